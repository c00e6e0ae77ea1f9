"""The module trees of both sides, aligned, with a state for each module."""

from collections.abc import Iterator, Sequence

from jax_impl.parity.pair import Pair
from jax_impl.parity.verdict import FAIL, NOT_COMPARED, PASS, Node, Rung


def nodes(pair: Pair, rungs: Sequence[Rung]) -> Iterator[Node]:
    """Yield the reference's modules in the order of registration, each with its partner."""
    failed: dict[str, tuple[int, str]] = {}
    checked = set[str]()
    for rung in rungs:
        for check in rung.checks:
            if check.module is not None:
                checked.add(check.module)
                if not check.passed:
                    failed.setdefault(check.module, (rung.number, check.finding))
    for path, module in pair.modules.items():
        own = pair.partners.get(path)
        other = None if own is None else pair.own_modules.get(own)
        number, finding = failed.get(path, (0, ""))
        yield Node(
            path=path,
            theirs=module.type,
            ours_path=own,
            ours=other.type if other else "",
            state=FAIL if number else PASS if path in checked else NOT_COMPARED,
            rung=number,
            finding=finding,
            depth=path.count(".") + 1 if path else 0,
        )


def folded(tree: Sequence[Node]) -> Iterator[tuple[Node, int]]:
    """Yield the nodes without those below a module in which nothing failed, each with the number of modules hidden."""
    hidden_below: str | None = None
    shown: list[tuple[Node, int]] = []
    for node in tree:
        if hidden_below is not None and node.path.startswith(hidden_below):
            last, count = shown[-1]
            shown[-1] = last, count + 1
            continue
        shown.append((node, 0))
        inside = [one for one in tree if one.path.startswith(f"{node.path}.")] if node.path else list(tree)
        hidden_below = None if not node.path or any(one.state == FAIL for one in inside) else f"{node.path}."
    yield from shown
