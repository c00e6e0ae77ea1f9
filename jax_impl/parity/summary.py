"""The verdict as text: for a terminal, and as Markdown for a pull request or the summary of a GitHub Actions run."""

import html
from collections.abc import Iterator, Sequence
from pathlib import Path

from jax_impl.errors import UserError
from jax_impl.parity.trees import folded
from jax_impl.parity.verdict import FAIL, NOT_COMPARED, Check, Node, Rung, Verdict

SHOWN = 30  # failed checks that are listed; all are in report.json
NODES = 60  # lines of the module trees
MARK = "→"
BLIND = "blind spots, which these records cannot show"


def text(verdict: Verdict) -> str:
    """Return the verdict for a terminal. The first line is the answer."""
    lines = [verdict.first_line, *verdict.diagnosis.lines(), "", *_ladder(verdict.rungs), "", verdict.coverage]
    lines += ["", *trees(verdict)]
    if verdict.failures:
        lines += ["", "failed, in the order of the ladder and of execution:"]
        lines += [f"  {one}" for one in _shown(verdict.failures)]
    if absent := _absent(verdict.rungs):
        lines += ["", "not compared:", *(f"  {rung.number} {rung.title}: {rung.reason}" for rung in absent)]
    if verdict.blind_spots:
        lines += ["", f"{BLIND}:", *(f"  {spot}" for spot in verdict.blind_spots)]
    return "\n".join(lines)


def markdown(verdict: Verdict) -> str:
    """Return the verdict as Markdown. Names come from the programs that were compared, so they are escaped."""
    heading = f"{FAIL}: " if verdict.failures else ""
    lines = [f"### {_escaped(heading + verdict.first_line)}", ""]
    lines += [f"- {_escaped(line)}" for line in verdict.diagnosis.lines()]
    lines += ["", _escaped(verdict.coverage), ""]
    rows = [
        (str(rung.number), rung.title, _word(rung.state), f"{len(rung.checks):,}", _telling(rung))
        for rung in verdict.rungs
    ]
    lines += [*_table(("#", "rung", "verdict", "checks", "first failure, or why it was not compared"), rows), ""]
    lines += ["```text", *(line.replace("`", "'") for line in trees(verdict)), "```", ""]
    if verdict.failures:
        lines += ["Failed, in the order of the ladder and of execution:", ""]
        lines += [f"- {_escaped(one)}" for one in _shown(verdict.failures)]
        lines += [""]
    if verdict.blind_spots:
        lines += [f"{BLIND.capitalize()}:", "", *(f"- {_escaped(str(spot))}" for spot in verdict.blind_spots), ""]
    notes = [f"- {rung.title}: {_escaped(note)}" for rung in verdict.rungs for note in rung.notes[:SHOWN]]
    return "\n".join((*lines, *(["Notes:", "", *notes, ""] if notes else [])))


def append(path: Path, verdict: Verdict) -> None:
    """Append the Markdown to a file, such as the one that GitHub Actions shows as a run's summary.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{markdown(verdict)}\n")
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write the summary {path}: {reason}; unset GITHUB_STEP_SUMMARY") from error


def trees(verdict: Verdict) -> list[str]:
    """Return the two module trees side by side. A module in which nothing failed is one line."""
    first = verdict.first
    marked = None if first is None else first.module
    rows = [_node(node, hidden, marked) for node, hidden in folded(verdict.tree)]
    cut = rows[:NODES]
    width = max([len(left) for left, _ in cut] + [len("theirs")])
    lines = [f"{left:<{width}}  {right}".rstrip() for left, right in [("  theirs", "ours"), *cut]]
    return lines + ([f"  … and {len(rows) - len(cut):,} more lines, in the report"] if len(rows) > len(cut) else [])


def _node(node: Node, hidden: int, marked: str | None) -> tuple[str, str]:
    """Return a line of the two trees: the reference's module, and the port's with the verdict."""
    mark = MARK if marked is not None and node.path == marked else " "
    name = node.path.rpartition(".")[2]
    more = f" (and {hidden} inside)" if hidden else ""
    left = f"{mark} {'  ' * node.depth}{f'{name}: ' if name else ''}{node.theirs}{more}"
    right = "-" if node.ours_path is None else f"{node.ours_path}: {node.ours}" if node.ours_path else node.ours
    state = "" if node.state == NOT_COMPARED else f"  {node.state}"
    return left, f"{right}{state}{f' on rung {node.rung}: {node.finding}' if node.rung else ''}"


def _ladder(rungs: Sequence[Rung]) -> Iterator[str]:
    """Yield a line for each rung."""
    width = max(len(rung.title) for rung in rungs)
    for rung in rungs:
        count = f"{len(rung.checks):,} checks" if len(rung.checks) != 1 else "1 check"
        failed = f", {len(rung.failures):,} failed" if rung.failures else ""
        result = f"{count}{failed}" if rung.checks else rung.reason
        yield f"{rung.number:>2} {rung.title:<{width}}  {rung.state:<{len(NOT_COMPARED)}}  {result}"


def _shown(checks: Sequence[Check]) -> Iterator[str]:
    yield from (str(check) for check in checks[:SHOWN])
    if len(checks) > SHOWN:
        yield f"and {len(checks) - SHOWN:,} more, in report.json"


def _absent(rungs: Sequence[Rung]) -> list[Rung]:
    return [rung for rung in rungs if rung.state == NOT_COMPARED]


def _telling(rung: Rung) -> str:
    return str(rung.failures[0]) if rung.failures else rung.reason


def _word(state: str) -> str:
    return f"**{state}**" if state == FAIL else state


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        cells = [row[2] if place == 2 else _escaped(cell) for place, cell in enumerate(row)]
        yield f"| {' | '.join(cells)} |"


def _escaped(value: str) -> str:
    """Return a text that Markdown shows as it is, in one line and in a table's cell."""
    plain = html.escape(" ".join(value.split()), quote=False)
    return "".join(f"\\{sign}" if sign in "\\`*_[]|#~" else sign for sign in plain)
