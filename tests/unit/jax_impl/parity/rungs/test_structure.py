from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.unit.jax_impl.parity.synthetic import Pair, Raw


def pairs(raw: Raw) -> list[dict[str, Any]]:
    return raw["mapping"]["leaves"]


def test_the_coverage_counts_what_has_a_partner(pair: Pair) -> None:
    verdict = pair.verdict()
    assert verdict.coverage == (
        "3 of 3 torch modules with leaves, 6 of 6 parameters, 2 of 2 buffers, 6 of 7 calls in training mode, "
        "6 of 7 calls in evaluation mode"
    )
    assert verdict.coverage in verdict.rungs[2].notes


def lost(raw: Raw) -> None:
    raw["mapping"]["leaves"] = [one for one in pairs(raw) if one["theirs"] != ["head.bias"]]
    raw["mapping"]["unmatched"]["theirs"].append({"name": "head.bias", "shape": [3], "closest": ["dense.bias"]})


def forgotten(raw: Raw) -> None:
    raw["mapping"]["leaves"] = [one for one in pairs(raw) if one["theirs"] != ["head.bias"]]


def extra(raw: Raw) -> None:
    raw["mapping"]["unmatched"]["ours"] = [{"name": "head.scale", "shape": [3], "closest": ["head.bias"]}]


def invented(raw: Raw) -> None:
    pairs(raw).append({"theirs": ["tail.weight"], "ours": ["head.kernel"]})


def invented_ours(raw: Raw) -> None:
    pairs(raw)[0]["ours"] = ["nowhere"]


def tied(raw: Raw) -> None:
    pairs(raw)[-1]["ours"] = pairs(raw)[-2]["ours"]


def no_mapping(raw: Raw) -> None:
    raw["mapping"] = None


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lost, "head.bias (structure): the port has no such parameter: shape (3,), closest: dense.bias"),
        (forgotten, "head.bias (structure): the port has no such parameter: shape (3,)"),
        (extra, "head.scale (structure): only the port has this leaf: shape (3,), closest: head.bias"),
        (invented, "tail.weight (structure): the mapping names it, and the reference has no such leaf"),
        (invented_ours, "body.fc.weight (structure): the port's nowhere does not exist"),
        (
            tied,
            "body.bn.running_mean (structure): separate in theirs, tied in ours: "
            "body.bn.running_mean, body.bn.running_var",
        ),
        (no_mapping, "body.fc.weight (structure): the port has no such parameter: shape (8, 6)"),
    ],
)
def test_a_leaf_without_a_partner_fails(pair: Pair, edit: Callable[[Raw], None], line: str) -> None:
    verdict = pair.verdict(edit)
    assert str(verdict.rungs[2].failures[0]) == line
    assert not verdict.passed


def test_tied_leaves_must_be_tied_in_the_port(changed: Callable[..., Pair]) -> None:
    def tie(raw: Raw) -> None:
        raw["modules"].append({"path": "tail", "type": "Linear"})
        raw["leaves"].append(raw["leaves"][4] | {"name": "tail.weight", "module": "tail", "tied": "head.weight"})

    pair = changed(tie)
    assert pair.verdict().passed  # a tied leaf needs no partner of its own
    shared = {"theirs": ["tail.weight"], "ours": ["head.kernel"]}
    assert pair.verdict(lambda raw: pairs(raw).append(shared)).passed

    def separate(raw: Raw) -> None:
        raw["leaves"].append({**raw["leaves"][4], "name": "tail.kernel"})
        pairs(raw).append({"theirs": ["tail.weight"], "ours": ["tail.kernel"]})
        raw["start"]["tail.weight"] = raw["start"]["head.weight"]

    assert pair.verdict(separate).first_line == (
        "first divergence: tail.weight (structure): tied in theirs, separate in ours: "
        "theirs is head.weight, ours has two: head.kernel, tail.kernel"
    )


def test_packed_leaves_are_not_tied(pair: Pair) -> None:
    def packed(raw: Raw) -> None:
        kept = [one for one in pairs(raw) if not one["theirs"][0].startswith("head")]
        raw["mapping"]["leaves"] = [*kept, {"theirs": ["head.weight", "head.bias"], "ours": ["head.kernel"]}]

    assert pair.verdict(packed).passed


@pytest.mark.parametrize("kept", [True, False])
def test_constant_buffers_need_no_partner_and_others_do(changed: Callable[..., Pair], kept: bool) -> None:
    table = np.random.RandomState(0).randn(3000)  # more than are stored of a step

    def add(raw: Raw) -> None:
        raw["leaves"].append({"name": "table", "kind": "buffer", "shape": [3000], "dtype": "float64"})
        raw["start"]["table"] = table
        for step in raw["trajectory"]:
            step["buffers"]["table"] = table if kept else table + 1e-9

    line = changed(add).verdict().first_line
    if kept:
        assert line.startswith("PASS")
    else:
        assert line == "first divergence: table (structure): the port has no such buffer: shape (3000,)"


def test_warnings_of_the_mapping_are_notes(pair: Pair) -> None:
    verdict = pair.verdict(lambda raw: raw["mapping"].update(warnings=["lstm: two biases are added into one"]))
    assert verdict.rungs[2].notes[1:] == ("lstm: two biases are added into one",)
