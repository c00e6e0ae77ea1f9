"""Modules belong together if they hold each other's leaves."""

from collections.abc import Sequence

import pytest

from jax_impl.parity.mapping import Leaf, Pair, modules
from jax_impl.parity.mapping.layouts import SAME


def parents(paths: Sequence[str]) -> list[str]:
    found = {"": None}
    for path in paths:
        pieces = path.split(".")
        found |= dict.fromkeys(".".join(pieces[:count]) for count in range(1, len(pieces) + 1))
    return list(found)


def paired(
    theirs: Sequence[str], ours: Sequence[str], links: Sequence[tuple[str, str]], **types: str
) -> dict[str, str]:
    """Pair modules, given the modules of both sides, and pairs of leaves by their owners' paths, "a b" for two."""
    pairs = [
        Pair(
            theirs=tuple(f"{path}.w" for path in left.split()),
            ours=tuple(f"{path}.k" for path in right.split()),
            layout=SAME,
            how="name",
        )
        for left, right in links
    ]
    owners = [[path for link in links for path in link[side].split()] for side in (0, 1)]
    first = [
        Leaf(name=f"{path}.w", shape=(1,), module=path, module_type=types.get(path, "Linear")) for path in owners[0]
    ]
    second = [Leaf(name=f"{path}.k", shape=(1,), module=path, module_type="Linear") for path in owners[1]]
    found = modules(parents([*theirs, *owners[0]]), parents([*ours, *owners[1]]), pairs, first, second)
    assert len({path for path, _ in found}) == len(found)
    return dict(found)


def test_containers_belong_to_those_with_the_same_leaves() -> None:
    links = [
        ("layer1.0.conv1", "layers_2.Conv_0"),
        ("layer1.0.conv2", "layers_2.Conv_1"),
        ("layer1.1.conv1", "layers_3.Conv_0"),
    ]
    found = paired([], [], links)
    assert found == {
        "": "",
        "layer1.0": "layers_2",
        "layer1.1.conv1": "layers_3.Conv_0",
        "layer1.1": "layers_3",
        **dict(links[:2]),
    }


def test_packed_leaves_make_containers_and_no_parts() -> None:
    found = paired([], [], [("attn", "mha.query mha.key mha.value"), ("attn.out_proj", "mha.out"), ("head", "head")])
    assert found == {"": "", "attn": "mha", "attn.out_proj": "mha.out", "head": "head"}
    back = paired([], [], [("a.q a.k a.v", "attn.qkv"), ("a.out", "attn.out"), ("head", "head")])
    assert back == {"": "", "a": "attn", "a.out": "attn.out", "head": "head"}


def test_wrappers_are_paired_from_the_outside_and_owners_with_owners() -> None:
    assert paired([], [], [("net.body.fc", "model.inner.dense"), ("head", "head")]) == {
        "": "", "net": "model", "net.body": "model.inner", "net.body.fc": "model.inner.dense", "head": "head",
    }  # fmt: skip
    found = paired([], [], [("fc", "wrapper.dense"), ("head", "head")])
    assert found == {"": "", "fc": "wrapper.dense", "head": "head"}
    found = paired([], [], [("block.wrapper.fc", "block.dense"), ("head", "head")])
    assert found == {"": "", "block": "block", "block.wrapper.fc": "block.dense", "head": "head"}


def test_the_roots_belong_together_even_if_one_only_wraps() -> None:
    assert paired([], [], [("fc", "model.fc")]) == {"": "", "fc": "model.fc"}


def test_a_recurrent_layer_is_the_outermost_of_ours() -> None:
    links = [("lstm", "rnn.cell.ii rnn.cell.hi"), ("head", "head")]
    assert paired([], [], links, lstm="LSTM") == {"": "", "lstm": "rnn", "head": "head"}
    assert paired([], [], links, lstm="LSTMCell")["lstm"] == "rnn.cell"


def test_a_module_with_an_unpaired_leaf_is_still_paired_by_the_others() -> None:
    pair = Pair(theirs=("fc.w",), ours=("dense.k",), layout=SAME, how="name")
    theirs = [Leaf(name=name, shape=(1,), module="fc") for name in ("fc.w", "fc.b")]
    ours = [Leaf(name=name, shape=(1,), module="dense") for name in ("dense.k", "dense.extra")]
    assert modules(["", "fc"], ["", "dense"], [pair], theirs, ours) == (("", ""), ("fc", "dense"))


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        (["block.relu"], ["layer.relu"], {"block.relu": "layer.relu"}),
        (["block.dropout"], ["layer.Dropout_0"], {"block.dropout": "layer.Dropout_0"}),
        (
            ["block.drop1", "block.drop2"],
            ["layer.drop_0", "layer.drop_1"],
            {"block.drop1": "layer.drop_0", "block.drop2": "layer.drop_1"},
        ),
        (
            ["block.drop1", "block.drop2"],
            ["layer.drop1", "layer.drop2"],
            {"block.drop1": "layer.drop1", "block.drop2": "layer.drop2"},
        ),
        (["block.drop1", "block.drop2"], ["layer.drop2"], {"block.drop2": "layer.drop2"}),
        (["block.act"], ["layer.pool"], {}),
        (["other.relu"], ["layer.relu"], {}),
    ],
)
def test_modules_without_leaves_go_by_name_inside_of_paired_modules(
    theirs: list[str], ours: list[str], expected: dict[str, str]
) -> None:
    links = [("block.a", "layer.b"), ("block.c", "layer.d"), ("head", "head")]
    rest = {"": "", "block": "layer", "block.a": "layer.b", "block.c": "layer.d", "head": "head"}
    assert paired(theirs, ours, links) == {**rest, **expected}


def test_tied_leaves_belong_to_their_first_module() -> None:
    pairs = [Pair(theirs=("wte.weight",), ours=("embed.embedding",), layout=SAME, how="name")]
    theirs = [
        Leaf(name="wte.weight", shape=(1,), module="wte"),
        Leaf(name="lm_head.weight", shape=(1,), module="lm_head", tied="wte.weight"),
    ]
    found = modules(
        ["", "wte", "lm_head"], ["", "embed"], pairs, theirs, [Leaf(name="embed.embedding", shape=(1,), module="embed")]
    )
    assert dict(found) == {"": "", "wte": "embed"}


def test_of_a_module_and_its_wrapper_the_one_that_returns_the_same_is_paired() -> None:
    """torch's `1` adds a residual around `1.block`; both hold the leaves that ours holds in one module."""
    theirs = [Leaf(name="1.block.conv.weight", shape=(1,), module="1.block.conv", module_type="Conv2d")]
    ours = [Leaf(name="middle.conv.kernel", shape=(1,), module="middle.conv", module_type="Conv")]
    pairs = [Pair(theirs=("1.block.conv.weight",), ours=("middle.conv.kernel",), layout=SAME, how="order")]
    paths = ["", "1", "1.block", "1.block.conv"], ["", "middle", "middle.conv"]
    for partner in ("1", "1.block"):
        agreeing = {(partner, "middle"), ("1.block.conv", "middle.conv")}
        found = dict(modules(*paths, pairs, theirs, ours, agreeing))
        assert found == {"": "", partner: "middle", "1.block.conv": "middle.conv"}
