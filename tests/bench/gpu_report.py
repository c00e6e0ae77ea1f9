"""The measurements of `tests.bench.gpu` as tables, in Markdown and for a terminal. Nothing is measured here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import rich.table
from rich.console import Console
from rich.markup import escape

from jax_impl.figures.canvas import short
from tests.bench import gpu_many, gpu_one, turns
from tests.bench.gpu_parity import tightest
from tests.bench.gpu_setup import Row, failures


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table and the sentences under it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def tables(result: dict[str, Any]) -> Iterator[Table]:
    """Yield the tables of the parts that are there."""
    settings = result["settings"]
    yield device(result["device"])
    if "one" in result:
        yield one(result["one"], settings)
    if "many" in result:
        yield from many(result["many"], settings)
    if "parity" in result:
        yield parity(result["parity"])
    if "tf32" in result:
        yield tf32(result["tf32"])


def parts(result: dict[str, Any]) -> dict[str, list[Row]]:
    """Return the rows of every part that was measured."""
    return {name: rows for name, rows in result.items() if isinstance(rows, list)}


def device(found: dict[str, Any]) -> Table:
    rows = [
        (key, ", ".join(f"{name} {version}" for name, version in value.items()) if key == "versions" else str(value))
        for key, value in found.items()
    ]
    return Table(title="Device", head=("what", "value"), rows=rows)


def one(rows: list[Row], settings: dict[str, Any]) -> Table:
    known = [row for row in rows if "contender" in row]
    jax = next((row["seconds"] for row in known if row["contender"] == gpu_one.JAX and "seconds" in row), None)
    shown = []
    for row in known:
        seconds = row.get("seconds")
        cells = [spread(seconds), ratio(seconds, jax)] if seconds else [row.get("note") or row["failed"], "–"]
        shown.append((gpu_one.CONTENDERS[row["contender"]], *cells))
    title = f"One training: {settings['epochs']} epochs of {settings['images']:,} images, all but compiling"
    head = ("contender", "seconds: median (range)", "times JAX's (median of rounds, range)")
    return Table(title=title, head=head, rows=shown, notes=(f"{settings['rounds']} rounds, in turns.",))


def many(rows: list[Row], settings: dict[str, Any]) -> Iterator[Table]:
    cells = {(row["contender"], row["runs"]): row for row in rows if "contender" in row and "runs" in row}
    whole = {row["contender"]: row for row in rows if "contender" in row and "runs" not in row and "full" not in row}
    head = ("runs", *gpu_many.CONTENDERS.values())

    def cell(name: str, runs: int, show: Any) -> str:
        row = cells.get((name, runs)) or whole.get(name) or {"note": "not measured"}
        return show(row) if "seconds" in row else row.get("note") or row["failed"]

    def table(title: str, show: Any, *notes: str) -> Table:
        lines = [(str(runs), *(cell(name, runs, show) for name in gpu_many.CONTENDERS)) for runs in settings["runs"]]
        return Table(title=title, head=head, rows=lines, notes=notes)

    finished = [
        f"{row['full']} runs trained to the end, {row['trained_epochs']} epochs: {row['total']:.1f} s with drawing "
        f"({row['drawing']:.1f} s), testing and copying, of which training {row['training']:.1f} s: "
        f"{number(row['per_minute'])} trainings a minute, mean test accuracy {row['accuracy']:.2%}."
        for row in rows
        if "full" in row
    ]
    yield table(
        f"Trainings of {settings['epochs']} epochs a minute",
        lambda row: number(row["per_minute"]),
        f"Extrapolated from epochs timed after one that warms up (median of up to {settings['rounds']}; of one where "
        "they are slow), without drawing, testing and copying. One after another is one run's time, multiplied.",
        *finished,
    )
    yield table(
        "Seconds of an epoch of all runs, and the mean test accuracy so far",
        lambda row: f"{spread(row['seconds'])}, n={len(row['seconds'])}; {row['accuracy']:.1%}",
        "Median (range). The accuracy only shows that every contender learns.",
    )


def parity(rungs: list[Row]) -> Table:
    rows = []
    for rung in rungs:
        if "comparisons" not in rung:
            rows.append(("–", "–", rung["failed"], "–", "–", "FAIL"))
            continue
        worst = tightest(rung) or {"measured": float("nan"), "tolerance": float("nan"), "name": rung["note"]}
        numbers = (short(worst["measured"], 3), short(worst["tolerance"], 3))
        verdict = "pass" if rung["passed"] else "FAIL"
        rows.append(
            (f"{rung['number']} {rung['title']}", str(len(rung["comparisons"])), worst["name"], *numbers, verdict)
        )
    where = ", ".join(sorted({rung["jax"] for rung in rungs if "jax" in rung}))
    return Table(
        title=f"Parity: JAX on {where or 'no device'}, torch on the CPU",
        head=("rung", "comparisons", "the tightest", "difference", "tolerance", "verdict"),
        rows=rows,
        notes=("Every comparison is in gpu.json.",),
    )


def tf32(rows: list[Row]) -> Table:
    measured = [row for row in rows if "precision" in row]
    shown = []
    for row in measured:
        apart = (short(row[part], 3) for part in ("logits", "gradients"))
        timings = (spread(row[part]) if row[part] else "–" for part in ("one", "many"))
        shown.append((row["precision"], row["products"], *apart, *timings))
    runs = {row["runs"] for row in measured}
    head = ("precision", "in the traced program", "logits apart", "gradients apart", "an epoch of one run, s")
    return Table(
        title='TF32: JAX\'s precisions against "highest"',
        head=(*head, *(f"of {number} runs, s" for number in runs)),
        rows=shown,
        notes=(
            "Apart: the largest difference, relative to the largest magnitude of its tensor. Seconds: median (range).",
            *(f"{row['note']}." for row in rows if "note" in row),
        ),
    )


def spread(seconds: Sequence[float]) -> str:
    """Return median and range, in the digits that the median asks for."""
    found = turns.spread(seconds)
    digits = 1 if found.median >= 100 else 2 if found.median >= 10 else 3 if found.median >= 0.1 else 5
    return "{:.{digits}f} ({:.{digits}f} to {:.{digits}f})".format(*found, digits=digits)


def ratio(seconds: Sequence[float], jax: Sequence[float] | None) -> str:
    """Return how many times JAX's seconds these are, round by round."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*turns.ratio(seconds, jax)) if jax else "–"


def number(value: float) -> str:
    """Return a rate in three digits or all before the point."""
    return f"{value:,.0f}" if value >= 100 else short(value, 3)


def markdown(result: dict[str, Any]) -> str:
    """Return the whole result as Markdown."""
    lines = ["# JAX and torch on one device", "", f"Made {result['made']} by `python -m tests.bench.gpu`.", ""]
    lines += [f"- **FAILED**, {_cell(failure)}" for failure in failures(parts(result))]
    for table in tables(result):
        lines += ["", f"## {table.title}", ""]
        cells = [[_cell(cell) for cell in row] for row in (table.head, ["---"] * len(table.head), *table.rows)]
        lines += [f"| {' | '.join(row)} |" for row in cells]
        lines += [line for note in table.notes for line in ("", note)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def show(result: dict[str, Any], console: Console) -> None:
    """Print the tables."""
    for table in tables(result):
        drawn = rich.table.Table(title=table.title, caption=" ".join(table.notes), caption_justify="left")
        for heading in table.head:
            drawn.add_column(heading, overflow="fold")
        for row in table.rows:
            drawn.add_row(*map(escape, row))
        console.print(drawn)
