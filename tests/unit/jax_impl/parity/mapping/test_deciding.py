"""How choices are decided, with scores that are written by hand."""

import math
from collections.abc import Sequence

import pytest

from jax_impl.parity.mapping import Choice, Layout, Pair, Proposal, Scores, decide

KEEP, TURN = (Layout(name, list, list) for name in ("same", "transposed"))


def pair(theirs: str, ours: str, layout: Layout = KEEP) -> Pair:
    return Pair(theirs=(theirs,), ours=(ours,), layout=layout, how="order")


def proposal(*choices: Choice) -> Proposal:
    return Proposal((pair("z.w", "z.k"),), choices, (), (), ())


def layouts(path: str) -> Choice:
    """Whether a matrix is stored as in torch or transposed: its module tells."""
    return Choice(tuple((pair(f"{path}.w", f"{path}.k", layout),) for layout in (KEEP, TURN)), (path,))


def order(a: str, b: str) -> Choice:
    """Which of ours is torch's a, and which is b: only the whole model tells."""
    sets = ((pair(f"{a}.w", f"{a}.k"), pair(f"{b}.w", f"{b}.k")), (pair(f"{a}.w", f"{b}.k"), pair(f"{b}.w", f"{a}.k")))
    return Choice(sets)


def turned(pairs: Sequence[Pair]) -> set[str]:
    return {one.theirs[0][:-2] for one in pairs if one.layout == TURN}


def crossed(pairs: Sequence[Pair]) -> set[str]:
    return {one.theirs[0][0] for one in pairs if one.theirs[0][0] != one.ours[0][0]}


def test_layouts_of_different_modules_are_tried_in_the_same_call() -> None:
    calls = []

    def score(pairs: Sequence[Pair]) -> Scores:
        calls.append(turned(pairs))
        wrong = turned(pairs) ^ {"b", "c"}  # b and c are transposed in truth
        return Scores(total=float(len(wrong)), by_module={path: 0.5 if path in wrong else 1e-9 for path in "abcd"})

    pairs = decide(proposal(*map(layouts, "abcd")), score)
    assert turned(pairs) == {"b", "c"}
    assert len(calls) == 2
    assert {one.how for one in pairs if one.theirs != ("z.w",)} == {"numbers"}


def test_layouts_and_orders_are_decided_together() -> None:
    def score(pairs: Sequence[Pair]) -> Scores:
        wrong = (turned(pairs) ^ {"d"}) | (crossed(pairs) ^ {"a", "b"})
        return Scores(len(wrong) / 8 + 1e-9, {path: 0.5 if path in turned(pairs) ^ {"d"} else 1e-9 for path in "abcd"})

    pairs = decide(proposal(order("a", "b"), layouts("c"), layouts("d")), score)
    assert (turned(pairs), crossed(pairs)) == ({"d"}, {"a", "b"})


@pytest.mark.parametrize("broken", [0.3, math.nan, math.inf])
def test_a_wrong_port_keeps_the_convention(broken: float) -> None:
    pairs = decide(proposal(layouts("a"), order("b", "c")), lambda _: Scores(broken, {"a": broken}, {"a": broken}))
    assert turned(pairs) == crossed(pairs) == set()
    assert {one.how for one in pairs} == {"order"}


def test_a_slightly_better_alternative_does_not_win() -> None:
    pairs = decide(
        proposal(layouts("a"), order("b", "c")),
        lambda pairs: Scores(0.5 if crossed(pairs) else 0.9, {"a": 0.5 if turned(pairs) else 0.9}),
    )
    assert turned(pairs) == crossed(pairs) == set()


def test_a_much_better_alternative_wins_although_it_does_not_agree() -> None:
    pairs = decide(
        proposal(layouts("a"), order("b", "c")),
        lambda pairs: Scores(0.01 if crossed(pairs) else 0.9, {"a": 0.01 if turned(pairs) else 0.9}),
    )
    assert (turned(pairs), crossed(pairs)) == ({"a"}, {"b", "c"})


def test_without_choices_nothing_is_run() -> None:
    def score(_: Sequence[Pair]) -> Scores:
        raise AssertionError

    assert decide(proposal(), score) == (pair("z.w", "z.k"),)


def test_layouts_in_one_module_are_tried_in_all_combinations() -> None:
    """The port has no modules inside of m: the error of m vanishes only if both matrices are right."""

    def score(pairs: Sequence[Pair]) -> Scores:
        return Scores(total=1.0, by_module={"m": 1e-9 if turned(pairs) == {"m.a", "m.b"} else 0.7, "": 0.0})

    assert turned(decide(proposal(layouts("m.a"), layouts("m.b")), score)) == {"m.a", "m.b"}


def test_the_total_decides_where_there_are_no_modules() -> None:
    def score(pairs: Sequence[Pair]) -> Scores:
        return Scores(total=len(crossed(pairs) ^ {"c", "d", "e", "f"}) / 4 + 1e-9)

    assert crossed(decide(proposal(*(order(a, b) for a, b in ("ab", "cd", "ef"))), score)) == {"c", "d", "e", "f"}


def test_repeated_layers_are_decided_alike_in_one_call() -> None:
    calls = []

    def score(pairs: Sequence[Pair]) -> Scores:
        calls.append(crossed(pairs))
        return Scores(total=1e-9 if len(crossed(pairs)) == 8 else 0.3)

    decide(proposal(*(order(a, b) for a, b in ("ab", "cd", "ef", "gh"))), score)
    assert len(calls) == 2


@pytest.mark.parametrize("swapped", [False, True])
def test_in_a_wrong_port_only_choices_before_the_first_error_are_tried(swapped: bool) -> None:
    """Blocks b0 to b9 have two layers each; from b6 on, everything is wrong. In the swapped port, so are all orders."""
    names = [(f"b{i}.x", f"b{i}.y") for i in range(10)]
    calls = []

    def score(pairs: Sequence[Pair]) -> Scores:
        calls.append(pairs)
        right = {one.theirs[0][:-2] for one in pairs if (one.theirs[0][:-2] != one.ours[0][:-2]) == swapped}
        agrees, free = True, {}
        for i, pair in enumerate(names):
            for path in pair:
                agrees = agrees and path in right and i < 6
                free[path] = 1e-9 if agrees else 0.5
        return Scores(total=sum(free.values()), free=free)

    pairs = decide(proposal(*(order(a, b) for a, b in names)), score)
    assert len(calls) <= (4 if swapped else 2)
    assert {one.theirs[0] for one in pairs if one.theirs[0][:-2] != one.ours[0][:-2]} >= (
        {f"{path}.w" for i in range(6) for path in names[i]} if swapped else set()
    )
