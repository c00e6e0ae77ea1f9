"""Causes of leaves that only one side has."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from jax_impl.parity.pair import Pair
from jax_impl.parity.records import content as c
from jax_impl.parity.rungs.structure import structure
from tests.unit.jax_impl.parity.causes.memory import Memory, diagnosed, leaf

SHAPES = {"conv.weight": (8, 3, 3, 3), "norm.weight": (8,), "norm.bias": (8,), "fc.weight": (10, 32), "fc.bias": (10,)}
TYPES = {"conv": "Conv2d", "norm": "BatchNorm2d", "fc": "Linear"}
SETTINGS = {"fc": {"in_features": 32, "out_features": 10}, "conv": {"out_channels": 8}, "norm": {"num_features": 8}}
OWN = {"conv": "Conv_0", "norm": "BatchNorm_0", "fc": "Dense_0"}


def own(name: str) -> str:
    module, _, last = name.rpartition(".")
    return f"{OWN[module]}.{last}"


def causes(
    *, lost: Sequence[str] = (), extra: Sequence[c.Leaf] = (), sized: dict[str, tuple[int, ...]] | None = None,
    tied: dict[str, str] | None = None, shared: dict[str, str] | None = None, modules: Sequence[str] = tuple(OWN),
    theirs_lack: Sequence[str] = (), theirs_more: Mapping[str, tuple[int, ...]] | None = None,
) -> list[str]:  # fmt: skip
    shapes = {name: shape for name, shape in SHAPES.items() if name not in theirs_lack} | dict(theirs_more or {})
    kept = {name: shape for name, shape in shapes.items() if name not in lost}
    loose = [c.Unpaired(name=one.name, shape=one.shape) for one in extra]
    loose += [c.Unpaired(name=own(name), shape=list(shape)) for name, shape in (sized or {}).items()]
    mapping = c.Mapping(
        leaves=[c.PairedLeaf(theirs=[name], ours=[(shared or {}).get(name, own(name))]) for name in kept],
        modules=[c.PairedModule(theirs=path, ours=OWN[path]) for path in modules],
        unmatched=c.Unmatched(theirs=[c.Unpaired(name=name, shape=list(shapes[name])) for name in lost], ours=loose),
    )
    theirs = c.Content(
        side="torch",
        modules=[c.Module(path=path, type=kind, settings=SETTINGS[path]) for path, kind in TYPES.items()],
        leaves=[leaf(name, shape, (tied or {}).get(name)) for name, shape in shapes.items()],
    )
    leaves = [leaf(own(name), shape) for name, shape in (kept | (sized or {})).items()]
    ours = c.Content(side="jax", modules=[], leaves=[*leaves, *extra], mapping=mapping)
    pair = Pair(Memory(Path(), "", theirs), Memory(Path(), "", ours), 0.01)
    return [one.cause for one in diagnosed(pair, structure).causes]


def test_the_same_leaves_have_no_cause() -> None:
    assert causes() == []


@pytest.mark.parametrize(("name", "module"), [("conv.bias", "conv"), ("fc.bias", "fc")])
def test_a_bias_too_many_is_named(name: str, module: str) -> None:
    found = causes(extra=[leaf(own(name), (8,))], theirs_lack=["fc.bias"])
    assert f"a bias that {module} of the reference does not have" in found
    assert len(found) == 1


def test_other_leaves_too_many_are_named() -> None:
    assert causes(extra=[leaf("BatchNorm_0.scale", (8,))], theirs_lack=["norm.weight"]) == [
        "a scale that norm of the reference does not have"
    ]
    assert causes(extra=[leaf("Dense_0.gate", (8,))]) == [
        "a parameter that fc of the reference does not have: Dense_0.gate, shape (8,)"
    ]
    assert causes(extra=[leaf("Dense_7.kernel", (8, 8))]) == [
        "a module that the reference does not have: Dense_7 with Dense_7.kernel, shape (8, 8)"
    ]


def test_missing_leaves_are_named() -> None:
    assert causes(lost=["fc.bias"]) == ["fc has no bias"]
    assert causes(lost=["norm.weight"]) == ["norm has no scale"]
    assert causes(lost=["norm.bias"]) == ["norm has no bias"]
    assert causes(lost=["conv.slope"], theirs_more={"conv.slope": (8,)}) == ["conv has no slope"]
    without = [path for path in OWN if path != "norm"]
    assert causes(lost=["norm.weight", "norm.bias"], modules=without) == ["no module that does what norm does"]


def test_other_sizes_are_named() -> None:
    assert (
        causes(lost=["fc.weight"], sized={"fc.weight": (10, 64)})
        == [
            "size 64 instead of 32, which is in_features in the reference",
            "a parameter that fc of the reference does not have: Dense_0.weight, shape (10, 64)",
        ][:1]
    )
    assert causes(lost=["conv.weight"], sized={"conv.weight": (16, 3, 3, 3)}) == [
        "size 16 instead of 8, which is out_channels in the reference"
    ]


def test_ties_are_named() -> None:
    assert causes(tied={"norm.bias": "norm.weight"}) == [
        "a leaf of its own instead of norm.weight: BatchNorm_0.weight and BatchNorm_0.bias train apart"
    ]
    assert causes(shared={"norm.bias": own("norm.weight")}) == [
        "norm.bias and norm.weight share their numbers instead of each having its own"
    ]
    assert causes(shared={"fc.bias": own("norm.weight")}) == [
        "fc and norm share their numbers instead of each having its own"
    ]


@pytest.mark.parametrize("calls", [1, 2])
def test_modules_that_are_called_twice_explain_missing_ones(calls: int) -> None:
    """Without a bn2 its leaves, or those of a module like it, have no partner: which one is missing is not certain."""
    leaves = [leaf(f"{name}.weight", (8,)) for name in ("bn1", "bn2", "down")]
    theirs = c.Content(
        side="torch",
        modules=[c.Module(path=path, type="BatchNorm2d", calls=1) for path in ("bn1", "bn2", "down")],
        leaves=leaves,
    )
    mapping = c.Mapping(
        leaves=[
            c.PairedLeaf(theirs=["bn1.weight"], ours=["bn1.scale"]),
            c.PairedLeaf(theirs=["bn2.weight"], ours=["norm.scale"]),
        ],
        modules=[c.PairedModule(theirs="bn1", ours="bn1"), c.PairedModule(theirs="bn2", ours="norm")],
    )
    ours = c.Content(
        side="jax",
        modules=[c.Module(path="bn1", type="BatchNorm", calls=calls), c.Module(path="norm", type="BatchNorm", calls=1)],
        leaves=[leaf("bn1.scale", (8,)), leaf("norm.scale", (8,))],
        mapping=mapping,
    )
    pair = Pair(Memory(Path(), "", theirs), Memory(Path(), "", ours), 0.01)
    found = [one.cause for one in diagnosed(pair, structure).causes]
    shared = "one module is called several times where the reference has one for each call: bn1"
    assert found == ([shared] if calls == 2 else [])
