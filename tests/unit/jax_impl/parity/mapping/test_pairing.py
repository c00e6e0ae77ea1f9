"""Which leaves are paired: by names first, then by structure, words, order and shape."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from jax_impl.errors import UserError
from jax_impl.parity.mapping import Leaf, Proposal, propose

Shapes = Mapping[str, tuple[int, ...]]
# A network of torch; every test pairs it, or a part of it, with another spelling
TORCH = {
    "stem.weight": (8, 8), "stem.bias": (8,), "blocks.0.norm.weight": (8,), "blocks.0.norm.bias": (8,),
    "blocks.0.query.weight": (8, 8), "blocks.0.key.weight": (8, 8), "blocks.0.out.weight": (8, 8),
    "blocks.1.norm.weight": (8,), "blocks.1.norm.bias": (8,), "blocks.1.query.weight": (8, 8),
    "blocks.1.key.weight": (8, 8), "blocks.1.out.weight": (8, 8), "head.weight": (3, 8), "head.bias": (3,),
}  # fmt: skip


def leaves(shapes: Shapes, framework: str = "torch", **settings: Any) -> list[Leaf]:
    found = []
    for name, shape in shapes.items():
        kind = "LayerNorm" if "norm" in name or "ln" in name else "Embed" if "wte" in name else "Linear"
        kind = "" if framework == "tree" or "table" in name or "cls" in name else kind
        module = name.rpartition(".")[0]
        found.append(Leaf(name=name, shape=shape, module=module, module_type=kind, framework=framework, **settings))
    return found


def flax(shapes: Shapes, *renamed: tuple[str, str]) -> dict[str, tuple[int, ...]]:
    """The same leaves with Flax's names and layouts, and other names of modules."""
    found = {}
    for name, shape in shapes.items():
        last = "scale" if name.endswith("norm.weight") else "kernel" if name.endswith("weight") else "bias"
        path = name.rpartition(".")[0]
        for old, new in renamed:
            path = path.replace(old, new)
        found[f"{path}.{last}"] = shape[::-1]
    return found


def paired(proposal: Proposal) -> dict[str, str]:
    return {
        name: partner for pair in proposal.convention() for name, partner in zip(pair.theirs, pair.ours, strict=True)
    }


def expected(shapes: Shapes, *renamed: tuple[str, str]) -> dict[str, str]:
    return dict(zip(shapes, flax(shapes, *renamed), strict=True))


RENAMED = {
    "the same names": (),
    "synonyms": (("blocks", "layers"), ("norm", "ln"), ("query", "q"), ("key", "k"), ("out", "o")),
    "projections": (("query", "q_proj"), ("key", "k_proj"), ("out", "out_proj")),
    "underscores": (("blocks.", "block_"), ("norm", "LayerNorm"),),
    "a wrapper": (("", ""), ("stem", "model.stem"), ("blocks", "model.blocks"), ("head", "model.head")),
    "a deeper attention": (("query", "attention.query"), ("key", "attention.key"), ("out", "attention.out")),
}  # fmt: skip


@pytest.mark.parametrize("case", RENAMED)
@pytest.mark.parametrize("order", ["registered", "sorted", "shuffled"])
def test_names_decide_in_any_order(case: str, order: str) -> None:
    ours = leaves(flax(TORCH, *RENAMED[case]), "nnx")
    if order != "registered":
        ours.sort(key=lambda leaf: leaf.name)
    if order == "shuffled":
        random.Random(0).shuffle(ours)
    proposal = propose(leaves(TORCH), ours)
    assert proposal.unmatched_theirs == proposal.unmatched_ours == proposal.choices == ()
    assert paired(proposal) == expected(TORCH, *RENAMED[case])
    assert {pair.how for pair in proposal.pairs} <= {"name", "shape"}


def test_prefixes_of_one_side_and_of_some_names_are_ignored() -> None:
    theirs = leaves(
        {"bert.encoder.fc.weight": (8, 8), "bert.encoder.fc.bias": (8,), "cls.fc.weight": (8, 8), "cls.fc.bias": (8,)}
    )
    ours = leaves(
        {"encoder.fc.kernel": (8, 8), "encoder.fc.bias": (8,), "cls.fc.kernel": (8, 8), "cls.fc.bias": (8,)}, "nnx"
    )
    proposal = propose(theirs, ours)
    assert paired(proposal)["bert.encoder.fc.weight"] == "encoder.fc.kernel"
    assert {pair.how for pair in proposal.pairs} == {"name"}


@pytest.mark.parametrize("numbers", [(0, 1, 2, 3), (1, 2, 3, 4)])
def test_layers_are_counted_from_the_first_on_both_sides(numbers: tuple[int, ...]) -> None:
    """torch's Sequential numbers activations, too: its layer 2 is the port's layer 1, not the port's layer 2."""
    theirs = leaves({f"layers.{2 * i}.weight": (8, 8) for i in range(4)})
    ours = leaves({f"layers.{number}.kernel": (8, 8) for number in numbers}, "nnx")
    proposal = propose(theirs, ours[::-1])
    assert paired(proposal) == {f"layers.{2 * i}.weight": f"layers.{number}.kernel" for i, number in enumerate(numbers)}
    assert proposal.choices == ()


def test_a_missing_number_moves_no_other() -> None:
    theirs = leaves({f"fc{i}.weight": (8, 8) for i in (1, 2, 3)})
    proposal = propose(theirs, leaves({"fc1.kernel": (8, 8), "fc3.kernel": (8, 8)}, "nnx"))
    assert paired(proposal) == {"fc1.weight": "fc1.kernel", "fc3.weight": "fc3.kernel"}
    assert [leaf.name for leaf in proposal.unmatched_theirs] == ["fc2.weight"]


def test_ten_comes_after_two() -> None:
    theirs = leaves({**{f"{i}.weight": (8, 8) for i in range(12)}, "end.weight": (8, 3)})
    listed = sorted(range(12), key=str)
    ours = leaves({**{f"Dense_{i}.kernel": (8, 8) for i in listed}, "head.kernel": (3, 8)}, "linen")
    assert paired(propose(theirs, ours)).items() >= {f"{i}.weight": f"Dense_{i}.kernel" for i in range(12)}.items()


def test_structure_decides_where_the_order_misleads() -> None:
    """Sorted by name, the final norm comes before the blocks, so the order alone would move every norm by one."""
    theirs = {
        f"layers.{i}.{name}": shape
        for i in range(3)
        for name, shape in (("norm1.weight", (8,)), ("linear.weight", (5, 8)))
    }
    ours = {
        f"stack.{i}.{name}": shape
        for i in range(3)
        for name, shape in (("first_norm.scale", (8,)), ("up.kernel", (8, 5)))
    }
    proposal = propose(leaves({**theirs, "norm.weight": (8,)}), leaves({"end_norm.scale": (8,), **ours}, "nnx"))
    assert paired(proposal) == {**dict(zip(theirs, ours, strict=True)), "norm.weight": "end_norm.scale"}


def test_a_last_norm_in_a_wrapper_is_not_one_of_the_layers() -> None:
    theirs = {**{f"layers.{i}.norm.weight": (8,) for i in range(3)}, "last.norm.weight": (8,)}
    ours = {"end_norm.scale": (8,), **{f"stack.{i}.first_norm.scale": (8,) for i in range(3)}}
    found = paired(propose(leaves(theirs), leaves(ours, "nnx")))
    assert found == dict(zip(theirs, [*list(ours)[1:], "end_norm.scale"], strict=True))
    del ours["stack.2.first_norm.scale"]
    found = paired(propose(leaves(theirs), leaves(ours, "nnx")))
    assert found.pop("last.norm.weight") == "end_norm.scale"
    assert list(found.values()) == ["stack.0.first_norm.scale", "stack.1.first_norm.scale"]  # the others stay in order


def test_strangers_are_not_paired_although_their_shapes_fit() -> None:
    theirs = leaves({"first.cls_table": (7, 5), "second.cls_table": (7, 5)})
    proposal = propose(theirs, leaves({"red.cls.bias": (7, 5), "blue.cls.bias": (7, 5)}, "nnx"))
    assert proposal.convention() == ()
    assert len(proposal.unmatched_theirs) == len(proposal.unmatched_ours) == 2


def test_a_layer_without_its_bias_leaves_the_bias_alone() -> None:
    ours = flax(TORCH)
    del ours["head.bias"]
    proposal = propose(leaves(TORCH), leaves({**ours, "scores.bias": (3,)}, "nnx"))
    (theirs,), (extra,) = proposal.unmatched_theirs, proposal.unmatched_ours
    assert (theirs.name, theirs.shape, theirs.closest[0]) == ("head.bias", (3,), "scores.bias")
    assert (extra.name, extra.closest[0]) == ("scores.bias", "head.bias")
    assert len(theirs.closest) == 3


def test_leaves_of_different_roles_are_paired_by_name_or_only_shape() -> None:
    theirs = leaves({"table.bias": (7, 5), "cls_token": (1, 1, 4)})
    proposal = propose(theirs, leaves({"position.table": (7, 5), "cls": (1, 4)}, "nnx"))
    assert paired(proposal) == {"table.bias": "position.table", "cls_token": "cls"}


def test_what_torch_computes_itself_is_not_missing() -> None:
    buffers = {"norm.num_batches_tracked": (), "attn.bias": (1, 1, 4, 4), "position_ids": (1, 5), "attn.mask": (4, 4)}
    proposal = propose([*leaves(TORCH), *leaves(buffers, kind="buffer")], leaves(flax(TORCH), "nnx"))
    assert proposal.unmatched_theirs == ()
    missing = propose([*leaves(TORCH), *leaves({"norm.running_mean": (8,)}, kind="buffer")], leaves(flax(TORCH), "nnx"))
    assert [leaf.name for leaf in missing.unmatched_theirs] == ["norm.running_mean"]


def test_statistics_that_equinox_keeps_in_a_state() -> None:
    shapes = {"norm.weight": (8,), "norm.bias": (8,)}
    state = leaves({f"norm.ema_state_index.{i}": (8,) for i in range(2)}, "equinox", kind="buffer")
    state += leaves({"norm.ema_first_time_index": ()}, "equinox", kind="buffer")
    theirs = leaves(shapes) + leaves({f"norm.running_{name}": (8,) for name in ("mean", "var")}, kind="buffer")
    proposal = propose(theirs, leaves(shapes, "equinox") + state)
    assert paired(proposal)["norm.running_var"] == "norm.ema_state_index.1"
    assert proposal.unmatched_theirs == proposal.unmatched_ours == ()


def test_a_tied_leaf_needs_one_partner() -> None:
    theirs = leaves({"wte.weight": (9, 4)}) + leaves({"lm_head.weight": (9, 4)}, tied="wte.weight")
    assert propose(theirs, leaves({"wte.embedding": (9, 4)}, "nnx")).unmatched_theirs == ()
    proposal = propose(theirs, leaves({"wte.embedding": (9, 4), "lm_head.kernel": (4, 9)}, "nnx"))
    assert paired(proposal) == {"wte.weight": "wte.embedding", "lm_head.weight": "lm_head.kernel"}
    assert "trains them apart" in proposal.warnings[0]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5, 8), ["transposed"]), ((8, 5), ["same"]), ((8, 8), ["transposed", "same"])],
)
def test_shapes_tell_how_a_plain_program_stores_a_matrix_unless_it_is_square(
    shape: tuple[int, ...], expected: list[str]
) -> None:
    proposal = propose(leaves({"fc.weight": (8, sum(shape) - 8)}), leaves({"w": shape}, "tree"))
    options = [proposal.convention(), *(pairs for choice in proposal.choices for pairs in choice.alternatives[1:])]
    assert [pair.layout.name for pairs in options for pair in pairs] == expected


def test_unnamed_pieces_of_one_shape_are_left_to_numbers() -> None:
    theirs = leaves({f"attn.{name}.weight": (8, 8) for name in ("q_proj", "k_proj", "v_proj")})
    ours = leaves({f"attn.{i}.kernel": (8, 8) for i in range(3)}, "nnx")
    (choice,) = propose(theirs, ours).choices
    assert choice.modules == ()  # each module agrees with its own weights, whichever it is: only the whole model tells
    assert len({tuple(pair.ours for pair in pairs) for pairs in choice.alternatives}) == 6
    assert [pair.ours for pair in choice.alternatives[0]] == [(f"attn.{i}.kernel",) for i in range(3)]
    packed = leaves({"attn.in_proj_weight": (24, 8)})
    (choice,) = propose(packed, ours).choices
    assert len({pairs[0].ours for pairs in choice.alternatives}) == 6


GIVEN = {
    "another partner": ({"stem.weight": "head.kernel"}, None),
    "unknown name of torch": ({"stam.weight": "stem.kernel"}, "reference has no .* 'stam.weight': .*stem.weight"),
    "unknown name of ours": ({"stem.weight": "stem.kernal"}, "port has no .* 'stem.kernal': .*stem.kernel"),
    "no layout": ({"stem.weight": "stem.bias"}, r"stem.weight \(8, 8\) and stem.bias \(8,\) cannot hold"),
}  # fmt: skip


@pytest.mark.parametrize("case", GIVEN)
def test_given_pairs_win_or_are_refused(case: str) -> None:
    given, message = GIVEN[case]
    theirs, ours = leaves({**TORCH, "stem.weight": (8, 3) if message is None else (8, 8)}), leaves(flax(TORCH), "nnx")
    if message:
        with pytest.raises(UserError, match=message):
            propose(theirs, ours, given)
        return
    proposal = propose(theirs, ours, given)
    assert paired(proposal)["stem.weight"] == "head.kernel"
    assert next(pair.how for pair in proposal.pairs if pair.theirs == ("stem.weight",)) == "given"
    assert "head.weight" in {leaf.name for leaf in proposal.unmatched_theirs}


def test_given_pairs_may_be_packed_joined_or_summed() -> None:
    theirs = leaves({"a.weight": (6, 4), "b.weight": (2, 4), "c.weight": (3, 4), "d.bias": (5,), "e.bias": (5,)})
    ours = leaves({"x.kernel": (4, 2), "y.kernel": (4, 4), "z.kernel": (4, 5), "t.bias": (5,)}, "nnx")
    given = {
        "a.weight": ("x.kernel", "y.kernel"),
        "b.weight": "z.kernel",
        "c.weight": "z.kernel",
        "d.bias": "t.bias",
        "e.bias": "t.bias",
    }
    proposal = propose(theirs, ours, given)
    found = {pair.theirs: (pair.ours, pair.summed) for pair in proposal.convention()}
    assert found == {
        ("a.weight",): (("x.kernel", "y.kernel"), False),
        ("b.weight", "c.weight"): (("z.kernel",), False),
        ("d.bias", "e.bias"): (("t.bias",), True),
    }
