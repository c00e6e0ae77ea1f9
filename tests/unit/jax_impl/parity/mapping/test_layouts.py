"""Layouts move numbers and change none: there and back is the same, bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_impl.parity.mapping import Leaf, Pair, converted, propose, recorded_names, restored, terms, value
from jax_impl.parity.mapping.layouts import SAME, layout, split

SIZES = st.integers(1, 5)


def theirs(module: str, kind: str, settings: dict[str, int] | None = None, **shapes: tuple[int, ...]) -> list[Leaf]:
    return [
        Leaf(
            name=f"{module}.{name}",
            shape=shape,
            module=module,
            module_type=kind,
            settings=settings or {},
            framework="torch",
        )
        for name, shape in shapes.items()
    ]


def ours(framework: str, module: str, kind: str, **shapes: tuple[int, ...]) -> list[Leaf]:
    return [
        Leaf(name=f"{module}.{name}", shape=shape, module=module, module_type=kind, framework=framework)
        for name, shape in shapes.items()
    ]


Case = tuple[list[Leaf], list[Leaf]]


def linear(framework: str) -> Callable[..., Case]:
    def case(a: int, b: int, *_: int) -> Case:
        names = {"equinox": {"weight": (a, b)}, "nnx": {"kernel": (b, a)}, "tree": {"w": (b, a)}}[framework]
        kind = "" if framework == "tree" else "Linear"
        return theirs("f", "Linear", weight=(a, b), bias=(a,)), ours(framework, "f", kind, **names, bias=(a,))

    return case


def convolution(rank: int, *, transposed: bool, framework: str = "nnx") -> Callable[..., Case]:
    def case(a: int, b: int, c: int, d: int, e: int) -> Case:
        kernel, kind = (c, d, e)[:rank], f"Conv{'Transpose' if transposed else ''}"
        first = (b, a) if transposed else (a, b)
        name = "weight" if framework == "equinox" else "kernel"
        shape = (a, b, *kernel) if framework == "equinox" else (*kernel, b, a)
        return theirs("f", f"{kind}{rank}d", weight=(*first, *kernel)), ours(framework, "f", kind, **{name: shape})

    return case


def grouped(a: int, b: int, c: int, d: int, _: int) -> Case:
    """Equinox's transposed convolution with two groups: 2b channels in, 2a out."""
    left = theirs("f", "ConvTranspose2d", {"groups": 2}, weight=(2 * b, a, c, d))
    return left, ours("equinox", "f", "ConvTranspose2d", weight=(2 * a, b, c, d))


def attention(a: int, b: int, c: int, *_: int) -> Case:
    left = theirs("f", "MultiheadAttention", in_proj_weight=(3 * a * b, c), in_proj_bias=(3 * a * b,))
    parts = [
        ours("nnx", f"f.{name}", "LinearGeneral", kernel=(c, a, b), bias=(a, b)) for name in ("query", "key", "value")
    ]
    return left, [leaf for part in parts for leaf in part]


def attention_packed_by_the_port(a: int, b: int, *_: int) -> Case:
    left = [leaf for part in "qkv" for leaf in theirs(f"f.{part}_proj", "Linear", weight=(a, b), bias=(a,))]
    return left, ours("nnx", "f.qkv", "Linear", kernel=(b, 3 * a), bias=(3 * a,))


def lstm(a: int, b: int, *_: int) -> Case:
    left = theirs("f", "LSTM", weight_ih_l0=(4 * a, b), weight_hh_l0=(4 * a, a))
    right = [
        ours("nnx", f"f.{side}{gate}", "Linear", kernel=(b if side == "i" else a, a))
        for side in "ih"
        for gate in "ifgo"
    ]
    return left, [leaf for part in right for leaf in part]


def flat(a: int, b: int, c: int, d: int, e: int) -> Case:
    """A Linear after an image of b + 1 channels and c * d + 1 pixels, and before an image of e + 1 channels."""
    features = (b + 1) * (c * d + 1)
    left = theirs("c", "Conv2d", weight=(b + 1, 1, 1, 1)) + theirs(
        "f", "Linear", weight=(2 * (e + 1), features), bias=(2 * (e + 1),)
    )
    left += theirs("t", "ConvTranspose2d", weight=(e + 1, a, 1, 1))
    right = ours("nnx", "c", "Conv", kernel=(1, 1, 1, b + 1)) + ours(
        "nnx", "t", "ConvTranspose", kernel=(1, 1, e + 1, a)
    )
    return left, right + ours("nnx", "f", "Linear", kernel=(features, 2 * (e + 1)), bias=(2 * (e + 1),))


CASES: dict[str, Callable[..., Case]] = {
    **{f"linear of {framework}": linear(framework) for framework in ("nnx", "equinox", "tree")},
    **{f"conv {rank}d": convolution(rank, transposed=False) for rank in (1, 2, 3)},
    **{f"conv transpose {rank}d": convolution(rank, transposed=True) for rank in (1, 2, 3)},
    "conv transpose of equinox": convolution(2, transposed=True, framework="equinox"),
    "conv transpose of a tree": convolution(2, transposed=True, framework="tree"),
    "conv transpose in groups": grouped,
    "attention": attention,
    "attention packed by the port": attention_packed_by_the_port,
    "lstm": lstm,
    "flattened": flat,
}


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=25, deadline=None)
@given(a=SIZES, b=SIZES, c=SIZES, d=SIZES, e=SIZES)
def test_there_and_back_is_the_same(case: str, a: int, b: int, c: int, d: int, e: int) -> None:
    left, right = CASES[case](a, b, c, d, e)
    proposal = propose(left, right)
    assert proposal.unmatched_theirs == proposal.unmatched_ours == ()
    arrays = {leaf.name: np.random.default_rng(0).normal(size=leaf.shape) for leaf in left}
    for choice in (
        proposal.convention(),
        *(alternative for one in proposal.choices for alternative in one.alternatives),
    ):
        there = converted(choice, arrays)
        assert all(there[leaf.name].shape == leaf.shape for leaf in right if leaf.name in there)
        back = restored(choice, there)
        assert all(
            back[name].tobytes() == arrays[name].tobytes() and back[name].shape == arrays[name].shape for name in back
        )
        assert {name for pair in choice for name in pair.theirs} == back.keys()
    assert converted(proposal.convention(), arrays).keys() == {leaf.name for leaf in right}


def test_sums_and_parts_have_names_of_their_own() -> None:
    """A GRU of Linen: the biases of r and z are added, those of n are not."""
    sides = ("i", "h")
    left = theirs("f", "GRU", weight_ih_l0=(6, 3), weight_hh_l0=(6, 2), bias_ih_l0=(6,), bias_hh_l0=(6,))
    weights = [
        ours("linen", f"f.{side}{gate}", "Dense", kernel=(3 if side == "i" else 2, 2))
        for side in sides
        for gate in "rzn"
    ]
    biases = [ours("linen", f"f.{name}", "Dense", bias=(2,)) for name in ("ir", "iz", "in", "hn")]
    pairs = propose(left, [leaf for part in weights + biases for leaf in part]).convention()
    arrays = {leaf.name: np.random.default_rng(0).normal(size=leaf.shape) for leaf in left}
    back = restored(pairs, converted(pairs, arrays))
    names = [
        "f.weight_ih_l0",
        "f.weight_hh_l0",
        "f.bias_hh_l0[4:6]",
        "f.bias_ih_l0[4:6]",
        "f.bias_ih_l0[0:4] + f.bias_hh_l0[0:4]",
    ]
    assert sorted(back) == sorted(names) == sorted(name for pair in pairs for name in recorded_names(pair))
    assert all(np.array_equal(back[name], value(name, arrays)) for name in names)
    assert np.array_equal(back[names[-1]], arrays["f.bias_ih_l0"][:4] + arrays["f.bias_hh_l0"][:4])
    assert terms(names[-1]) == [("f.bias_ih_l0", slice(0, 4)), ("f.bias_hh_l0", slice(0, 4))]


def test_pairs_without_their_arrays_are_left_out() -> None:
    pair = Pair(theirs=("a",), ours=("b", "c"), layout=layout("cut", split(1, 2)), how="name")
    assert converted([pair], {}) == {}
    assert restored([pair], {"b": np.zeros(1)}) == {}
    same = Pair(theirs=("x",), ours=("y",), layout=SAME, how="name")
    assert list(converted([pair, same], {"x": np.zeros(1)})) == ["y"]


def test_gradients_of_few_leaves_come_back_through_parts() -> None:
    parts = [Pair(theirs=(f"a[{i}:{i + 1}]",), ours=(f"b[{i}:{i + 1}]",), layout=SAME, how="name") for i in (1, 0)]
    assert np.array_equal(converted(parts, {"a": np.array([1.0, 2.0])})["b"], [1, 2])
    assert restored(parts, {"b": np.array([1.0, 2.0])}) == {"a[1:2]": np.array([2.0]), "a[0:1]": np.array([1.0])}
