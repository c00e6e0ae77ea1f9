import pytest
from hypothesis import given
from hypothesis import strategies as st

from jax_impl.parity.measures.execution import events, within_float32
from jax_impl.parity.records.content import Call

Tree = tuple[str, list["Tree"]]  # type: ignore[misc]


def call(module: str, order: int) -> Call:
    return Call(module=module, call=0, order=order, inputs=[], outputs=[])


def listed(trees: list[Tree]) -> tuple[list[Call], list[tuple[str, bool]]]:
    """The calls in the order of returning, and what happened."""
    calls: list[Call] = []
    happened: list[tuple[str, bool]] = []
    count = 0

    def visit(tree: Tree) -> None:
        nonlocal count
        name, inside = tree
        begun, count = count, count + 1
        happened.append((name, True))
        for one in inside:
            visit(one)
        happened.append((name, False))
        calls.append(call(name, begun))

    for tree in trees:
        visit(tree)
    return calls, happened


NET: Tree = ("net", [("body", [("fc", []), ("bn", []), ("drop", [])]), ("head", [])])


def test_events_are_in_the_order_of_execution() -> None:
    calls, happened = listed([NET])
    found = list(events(calls))
    assert [(calls[event.call].module, event.begins) for event in found] == happened
    parents = {calls[event.call].module: event.parent for event in found if event.begins}
    names = {module: None if parent is None else calls[parent].module for module, parent in parents.items()}
    assert names == {"net": None, "body": "net", "fc": "body", "bn": "body", "drop": "body", "head": "net"}
    assert {calls[event.call].module: event.children for event in found if not event.begins} == {
        "net": 2, "body": 3, "fc": 0, "bn": 0, "drop": 0, "head": 0
    }  # fmt: skip


@given(st.recursive(st.just([]), lambda inside: st.lists(st.tuples(st.just("x"), inside), max_size=3), max_leaves=12))
def test_any_nesting_is_recovered(trees: list[Tree]) -> None:
    calls, happened = listed(trees)
    found = list(events(calls))
    assert [event.begins for event in found] == [begins for _, begins in happened]
    assert len(found) == 2 * len(calls)


@pytest.mark.parametrize(
    ("flagged", "late"),
    [
        (set(), set()),
        ({"bn"}, {"bn", "drop", "body", "head", "net"}),
        ({"head"}, {"head", "net"}),
        ({"body", "bn"}, {"bn", "drop", "body", "head", "net"}),  # the body, because of what is in it
        ({"body"}, {"fc", "bn", "drop", "body", "head", "net"}),
    ],
)
def test_what_follows_a_computation_in_float32(flagged: set[str], late: set[str]) -> None:
    calls, _ = listed([NET])
    inputs, outputs = within_float32(calls, {(name, 0) for name in flagged})
    assert {name for name, _ in outputs} == late
    first = "fc" if flagged == {"body"} else min(flagged - {"body"}, default="")
    expected = late - {"body", "net"} if flagged == {"body"} else late - {first, "body", "net"}
    assert {name for name, _ in inputs} == expected
