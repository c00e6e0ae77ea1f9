"""Correct ports of other people's models pass every rung, and the ladder names what is wrong with released ones."""

import inspect

import pytest

from jax_impl.parity.verdict import Verdict
from tests.ports import runs
from tests.ports.catalogue import PORTS, Port
from tests.ports.faults import FRESH, OPTIMIZER, SETTINGS, STATE, TRAIN
from tests.ports.planting import planted

LINES = 15  # of a user's code beside model, loss and data


@pytest.mark.parametrize("name", PORTS)
def test_correct_ports_pass_every_rung(name: str) -> None:
    verdict = runs.verdict(name).require()
    compared = [rung.number for rung in verdict.rungs if rung.checks]
    absent = {2, 14} if name in ("resnet", "dcgan") else {2, 11, 14}  # no data of its own, no buffers, no accuracies
    assert set(range(1, 15)) - set(compared) == absent


@pytest.mark.parametrize("name", PORTS)
def test_a_user_writes_few_lines(name: str) -> None:
    for module, call in (PORTS[name].theirs, PORTS[name].ours):
        function = getattr(planted(f"tests.ports.{module}", ()), call.partition("(")[0])
        lines = [line for line in inspect.getsource(function).splitlines() if line.strip()]
        assert len(lines) <= LINES


def released(name: str, module: str, call: str) -> Verdict:
    return runs.proven(runs.recorded(name), Port(PORTS[name].theirs, (module, call)).port())


def test_jax_resnet_draws_its_weights_otherwise() -> None:
    verdict = released("resnet", "resnet.released", "ours()")
    assert runs.first_rung(verdict) == FRESH
    failed = {check.module for check in verdict.failures if check.stage == "initial distribution"}
    assert {"conv1", "layer1.0.bn2", "fc"} <= failed  # fan_in, residuals that start at zero, Flax's default


def test_jax_resnet_stores_the_biased_variance() -> None:
    verdict = released("resnet", "resnet.released", "ours(with_fresh=False)")
    assert runs.first_rung(verdict) == STATE
    assert verdict.first is not None
    assert verdict.first.place == "bn1.running_var"


@pytest.mark.slow
def test_flaxmodels_inverts_the_momentum() -> None:
    pytest.importorskip(
        "flaxmodels", reason="pip install --no-deps flaxmodels h5py: it declares much that it never uses"
    )
    verdict = runs.proven(
        runs.recorded("resnet18", "theirs(full, size=32, batch_size=4) | {'steps': 2}"),
        Port(("", ""), ("resnet.released", "with_flaxmodels()")).port(),
    )
    assert runs.first_rung(verdict) == SETTINGS
    assert verdict.first is not None
    assert (verdict.first.module, verdict.first.what) == ("bn1", "momentum")


def test_flax_has_no_place_for_a_bias_of_the_gru() -> None:
    verdict = released("gru", "lstm.flax_gru", "ours()")
    assert verdict.first is not None
    assert verdict.first.module == "gru"
    assert runs.first_rung(verdict) <= TRAIN


def test_one_bias_for_two_computes_the_same_and_trains_otherwise() -> None:
    verdict = released("lstm", "lstm.single_bias", "ours()")
    assert runs.first_rung(verdict) == OPTIMIZER
    assert verdict.first is not None
    assert verdict.first.place.startswith("lstm.bias_ih_l0") and " + lstm.bias_hh_l0" in verdict.first.place
    assert any("two biases" in note for rung in verdict.rungs for note in rung.notes)
