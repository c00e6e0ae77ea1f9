"""The page's arrays: every number at the position of its setting."""

from itertools import product

import numpy as np
import pytest

from jax_impl.explore import fields, settings, verdicts
from jax_impl.explore.grid import Measured
from jax_impl.explore.pack import Scale
from jax_impl.explore.settings import GAINS, INITS, RATES, RULES, Network, start_at, starts
from tests.unit.jax_impl.explore.made_up import measured

DEPTHS, WIDTHS, ACTIVATIONS = (2, 5), (32, 64), ("relu", "sigmoid")


@pytest.fixture(scope="module")
def networks() -> dict[Network, Measured]:
    return {(one := Network(*shape)): measured(one) for shape in product(DEPTHS, WIDTHS, ACTIVATIONS)}


@pytest.fixture(scope="module")
def built(networks: dict[Network, Measured]) -> fields.Fields:
    return fields.build(networks)


def test_the_axes_are_those_that_were_measured(networks: dict[Network, Measured]) -> None:
    assert fields.axes(networks) == {
        "init": list(INITS),
        "gain": list(GAINS),
        "depth": [2, 5],
        "width": [32, 64],
        "activation": ["relu", "sigmoid"],
        "rule": [list(rule) for rule in RULES],
    }
    assert RULES[0] == ("sgd", RATES["sgd"][0])
    assert len(settings.networks()) == 36


@pytest.mark.parametrize("init", ["zeros", "normal", "lsuv"])
@pytest.mark.parametrize("gain", [0, 2])
@pytest.mark.parametrize("shape", [(0, 0, 0), (1, 0, 1)])
def test_each_number_is_at_its_setting(
    init: str, gain: int, shape: tuple[int, int, int], networks: dict[Network, Measured], built: fields.Fields
) -> None:
    network = Network(DEPTHS[shape[0]], WIDTHS[shape[1]], ACTIVATIONS[shape[2]])
    row = starts().index(start_at(init, GAINS[gain]))
    place = (list(INITS).index(init), gain, *shape)
    variance = built["variance"][0][place]
    np.testing.assert_array_equal(variance[: network.depth + 1], networks[network].before.variance[row])
    assert np.isnan(variance[network.depth + 1 :]).all()
    shown = built["pre"][0][place]
    np.testing.assert_array_equal(shown[: min(network.depth, 5)], networks[network].before.pre[row])
    for rule, (optimizer, rate) in enumerate(RULES):
        course = networks[network].courses[optimizer]
        of_setting = row, RATES[optimizer].index(rate)
        losses = course.loss[of_setting]
        wanted = np.stack([losses.mean(0, np.float64), losses.min(0), losses.max(0)], axis=1)
        np.testing.assert_allclose(built["loss"][0][*place, rule], wanted)
        diverged = course.diverged[of_setting]
        assert built["diverged"][0][*place, rule] == diverged.sum()
        if not diverged.all():
            np.testing.assert_allclose(
                built["accuracy"][0][*place, rule, :, 0], course.accuracy[of_setting][~diverged].mean(0, np.float64)
            )
        sizes = course.sizes[of_setting].mean(0)
        np.testing.assert_allclose(built["sizes"][0][*place, rule, 3], sizes[:, network.depth])
        np.testing.assert_allclose(built["sizes"][0][*place, rule, 0], sizes[:, 0])


def test_every_code_is_in_its_list(built: fields.Fields) -> None:
    assert np.isin(built["kind"][0], range(len(verdicts.KINDS))).all()
    assert np.isin(built["reason"][0], range(len(verdicts.REASONS))).all()
    assert (built["layer"][0] <= max(DEPTHS)).all()
    assert all(isinstance(scale, Scale) for _, scale in built.values())


def test_a_missing_network_is_an_error(networks: dict[Network, Measured]) -> None:
    with pytest.raises(KeyError):
        fields.build({network: one for network, one in networks.items() if network != Network(5, 64, "sigmoid")})


def test_the_band_leaves_out_what_is_not_finite() -> None:
    band = fields._band(np.array([[1.0, np.nan, np.inf], [3.0, 5.0, np.nan]]))
    np.testing.assert_array_equal(band, [[2, 1, 3], [5, 5, 5], [np.nan] * 3])


@pytest.mark.parametrize(("depth", "layers"), [(2, [0, 0, 1, 2]), (5, [0, 2, 4, 5]), (30, [0, 14, 29, 30])])
def test_the_followed_layers(depth: int, layers: list[int]) -> None:
    assert fields.followed_layers(depth) == layers
