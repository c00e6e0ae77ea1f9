"""What a passing ladder says of what its records could not have shown."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import nn

from jax_impl import parity
from jax_impl.parity import summary
from jax_impl.parity.blind import changes, sizes, spots, training
from jax_impl.parity.blind.blindspot import BlindSpot
from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.causes.families.registry import FAMILIES
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.records.content import Module
from tests.unit.jax_impl.parity.causes.recorded import Program, diagnosed
from tests.unit.jax_impl.parity.synthetic import Pair, Raw
from torch_ref import record

LOADED = "the recorder loaded the reference's weights"


def told(pair: Pair, edit: Callable[[Raw], object] = lambda raw: None) -> list[str]:
    verdict = pair.verdict(edit)
    assert verdict.passed, verdict.first_line
    return [str(spot) for spot in verdict.blind_spots]


def test_a_record_that_shows_much_leaves_one_blind_spot(pair: Pair) -> None:
    (spot,) = told(pair)
    assert spot.startswith(LOADED)
    assert told(pair, lambda raw: raw.update(loaded=False)) == []


def test_a_ladder_that_fails_has_none(pair: Pair) -> None:
    assert pair.verdict(eps=1e-3).blind_spots == ()


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"clip_norm": 1e9}, "no gradient has a norm above clip_norm 1e+09, so a port that does not clip would pass"),
        ({"clip_norm": 1e-9}, "every gradient has a norm above clip_norm 1e-09"),
        ({"schedule": {"type": "StepLR", "settings": {}}}, "StepLR keeps the learning rate at 0.01 in all 3 recorded"),
    ],
)
def test_settings_of_the_optimizer_that_no_step_shows(
    changed: Callable[..., Pair], setting: dict[str, Any], text: str
) -> None:
    spots = told(changed(lambda raw: raw["optimizer"].update(setting)))
    assert any(text in spot for spot in spots), spots


def test_a_limit_between_the_norms_is_seen(changed: Callable[..., Pair], pair: Pair) -> None:
    middle = float(np.median([step["gradient_norm"] for step in pair.reference["trajectory"]]))
    assert not any("clip_norm" in spot for spot in told(changed(lambda raw: raw["optimizer"].update(clip_norm=middle))))


def test_inputs_that_show_little(changed: Callable[..., Pair]) -> None:
    def edit(raw: Raw) -> None:
        for batch in raw["batches"]:
            batch["tuple"].append({"array": np.ones((16, 6))})
        modules = {module["path"]: module for module in raw["modules"]}
        modules["body.drop"]["settings"]["p"] = 0
        modules["body"]["settings"]["sliding_window"] = 4096
        raw["modules"].append({"path": "auxiliary", "type": "Linear", "settings": {}, "calls": 0})

    def port(raw: Raw) -> None:
        raw["own_batches"] = None
        next(one for one in raw["modules"] if one["path"] == "body.drop")["settings"]["rate"] = 0

    spots = told(changed(edit), port)
    assert any(spot.startswith("batch[2]: it is 1 everywhere") for spot in spots), spots
    assert any(spot.startswith("body.drop: its rate is 0") for spot in spots), spots
    assert any(spot.startswith("auxiliary: never called") for spot in spots), spots
    assert any("no sequence is longer than its sliding_window, 4096" in spot for spot in spots), spots


def test_a_leaf_that_never_moves_is_named(changed: Callable[..., Pair]) -> None:
    def still(raw: Raw) -> None:
        for step in raw["trajectory"]:
            step["updates"]["head.bias"] = step["updates"]["head.bias"] * 0

    spots = told(changed(still), still)
    assert any(spot.startswith("head.bias: no step moves it") for spot in spots), spots


@pytest.mark.parametrize(
    ("kind", "settings", "space", "text"),
    [
        ("Conv2d", {"kernel_size": [3, 3], "stride": [2, 2], "padding": [1, 1], "dilation": [1, 1]}, [5, 5],
         'at size 5, padding "SAME" is (1, 1), too, and at size 6 it is (0, 1)'),
        ("Conv2d", {"kernel_size": [3, 3], "stride": [2, 2], "padding": [1, 1], "dilation": [1, 1]}, [6, 6], ""),
        ("Conv1d", {"kernel_size": [3], "stride": [1], "padding": [1], "dilation": [1]}, [5], ""),
        ("Conv2d", {"kernel_size": [3, 3], "stride": [2, 2], "padding": "valid", "dilation": [1, 1]}, [5, 5], ""),
        ("MaxPool2d", {"kernel_size": 2, "stride": 2, "padding": 0, "dilation": 1}, [8, 8],
             'at size 8, padding "SAME" is (0, 0), too, and at size 9 it is (0, 1)'),
            ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 1}, [7, 8], "at size 7, padding"),
            ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 0, "dilation": 1}, [7, 7], "at size 7, ceil_mode"),
        ("AvgPool1d", {"kernel_size": [2], "stride": [2], "padding": [0]}, [7], ""),
    ],
)  # fmt: skip
def test_sizes_at_which_two_paddings_agree(kind: str, settings: dict[str, Any], space: list[int], text: str) -> None:
    found = [spot.hidden for spot in sizes.windowed(Module(path="x", type=kind, settings=settings), space)]
    assert found[0].startswith(text) if text else not found


@pytest.mark.parametrize(("target", "space", "hides"), [(2, [8, 8], True), ([3, 2], [8, 8], False), (1, [8, 8], False)])
def test_an_adaptive_pool_with_equal_windows(target: Any, space: list[int], *, hides: bool) -> None:
    module = Module(path="x", type="AdaptiveAvgPool2d", settings={"output_size": target})
    assert bool(list(sizes.adaptive(module, space))) is hides


def test_a_change_that_makes_no_difference_is_a_blind_spot(tmp_path: Path) -> None:
    """Without training steps nothing else would show a missing bias that is 0."""

    def found(bias: float, folder: Path) -> list[str]:
        layer = nn.Linear(3, 4).double()
        nn.init.constant_(layer.bias, bias)
        diagnosed(folder, Program(nn.Sequential(layer), [torch.randn(5, 3, dtype=torch.float64)]))
        return [str(spot) for spot in parity.compare_records(folder / "theirs", folder / "ours").blind_spots]

    assert any("the bias is left out" in spot for spot in found(0.0, tmp_path / "zero"))
    assert not any("bias" in spot for spot in found(0.5, tmp_path / "half"))


def test_families_that_training_shows_exist() -> None:
    assert {family.name for family in FAMILIES["forward"]} >= changes.SHOWN_BY_TRAINING


def test_equal_blind_spots_are_one_line_with_all_places() -> None:
    many = [BlindSpot(place=(f"layer{number}",), hidden="a", remedy="b") for number in range(5)]
    (one,) = spots.grouped([*many, *many])
    assert str(one) == "layer0, layer1, layer2 and 2 more: a; b"


def test_text_and_markdown_list_them(pair: Pair) -> None:
    verdict = pair.verdict()
    for text in (summary.text(verdict), summary.markdown(verdict)):
        assert LOADED in text
        assert "lind spots, which these records cannot show:" in text


class Small(nnx.Module):
    """A strided convolution, and the mean over the image: for any size, or written for one."""

    def __init__(self, padding: Any, size: int | None = None) -> None:
        self.conv = nnx.Conv(1, 2, (3, 3), strides=2, padding=padding, rngs=nnx.Rngs(0))
        self.size = size

    def __call__(self, x: Any) -> Any:
        if self.size is not None:
            x = x.reshape(x.shape[0], self.size, self.size, 1)
        return self.conv(x).mean((1, 2))


@pytest.fixture(scope="module")
def strided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of images of 5 pixels, where torch's padding is "SAME"."""
    torch.manual_seed(0)
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3, stride=2, padding=1), pool=nn.AdaptiveAvgPool2d(1)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return record.save(
        tmp_path_factory.mktemp("strided") / "theirs",
        model=net,
        loss=lambda net, batch: net(batch[0])[..., 0, 0].square().sum(),
        optimizer=optimizer,
        batches=[(torch.randn(2, 1, 5, 5),)],
        steps=2,
    )


def probed(theirs: Path, port: nnx.Module) -> list[str]:
    def loss(net: Any, batch: Any) -> Any:
        return (net(jnp.moveaxis(batch[0], 1, -1)) ** 2).sum()

    verdict = parity.prove(theirs, model=port, loss=loss, optimizer=optax.sgd(0.1)).require()
    return [str(spot) for spot in verdict.blind_spots if LOADED not in str(spot)]


def test_a_padding_that_agrees_at_the_recorded_size_only_is_told(strided: Path) -> None:
    assert probed(strided, Small(((1, 1), (1, 1)))) == []
    told, hidden = probed(strided, Small("SAME"))
    assert told.startswith("at another size the two differ: the loss (first batch, cut from 5 to 4): differs: measured")
    assert hidden.startswith('conv: at size 5, padding "SAME" is (1, 1), too')


def test_a_port_for_one_size_is_told(strided: Path) -> None:
    told, _ = probed(strided, Small(((1, 1), (1, 1)), size=5))
    assert told.startswith("at another size the port does not run: TypeError: cannot reshape")


@pytest.mark.parametrize("broken", ["training", "a family"])
def test_a_search_that_breaks_down_warns_and_leaves_the_verdict(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fails(_: object) -> Any:
        raise ValueError("no such thing")

    if broken == "training":
        monkeypatch.setattr(training, "spots", fails)
    else:
        monkeypatch.setitem(FAMILIES, "forward", (Family("epsilon", fails),))
    with pytest.warns(RuntimeWarning, match="the search for blind spots of .* failed: ValueError: no such thing"):
        assert pair.verdict().passed


@pytest.mark.parametrize("modes", [{"train", "eval"}, {"eval"}])
def test_a_change_that_one_call_shows_is_no_blind_spot(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, modes: set[str]
) -> None:
    def hypotheses(case: ForwardCase) -> Iterator[Hypothesis]:
        found = Measured(measured=0.0 if case.evidence.mode in modes else 1.0, allowed=0.0)
        yield Hypothesis(cause="another epsilon", fix="", test=lambda: found)

    monkeypatch.setitem(FAMILIES, "forward", (Family("epsilon", hypotheses),))
    assert any("another epsilon" in spot for spot in told(pair)) is (modes == {"train", "eval"})
