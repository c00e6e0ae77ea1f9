"""The measurements of `tests.bench.gpu` as tables, in Markdown and for a terminal. Nothing is measured here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import rich.table
from rich.console import Console
from rich.markup import escape

from jax_impl.figures.canvas import short
from tests.bench import gpu_many, gpu_one, turns
from tests.bench.gpu_commands import EPOCHS
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
    if rows := result.get("commands"):
        yield from commands(rows)
    if rows := result.get("parity"):
        yield parity(rows)
    if rows := result.get("tf32"):
        yield tf32(rows)
    if rows := result.get("one"):
        yield one(rows, settings)
    if rows := result.get("many"):
        yield from many(rows, settings)
    if rows := result.get("study"):
        yield study(rows)
    if rows := result.get("profile"):
        yield from map(profile, rows)
    if rows := result.get("tf32-speed"):
        yield tf32_speed(rows)


def parts(result: dict[str, Any]) -> dict[str, list[Row]]:
    """Return the rows of every part that was measured."""
    return {name: rows for name, rows in result.items() if isinstance(rows, list)}


def device(found: dict[str, Any]) -> Table:
    rows = [
        (key, ", ".join(f"{name} {version}" for name, version in value.items()) if key == "versions" else str(value))
        for key, value in found.items()
    ]
    return Table(title="Device", head=("what", "value"), rows=rows)


def commands(rows: list[Row]) -> Iterator[Table]:
    lines = []
    for row in (row for row in rows if "command" in row):
        if "costs" not in row:
            lines.append((row["command"], row["place"], row["failed"], "–", "–"))
            continue
        cells = (f"{row['costs'][0]:.9f}", f"{row['costs'][-1]:.9f}", f"{row['accuracies'][-1]:.2%}")
        lines.append((row["command"], row["place"], *cells))
    head = ("command", "on the", "cost of epoch 1", "cost of the last", "accuracy")
    yield Table(title="The commands as they are", head=head, rows=lines)
    lines = [(row["compared"], short(row["apart"], 3), verdict(row)) for row in rows if "compared" in row]
    note = f"The largest relative difference: of draws, and of the costs of epochs 1 to {EPOCHS}."
    yield Table(title="The device against the CPU", head=("compared", "apart", "verdict"), rows=lines, notes=(note,))


def study(rows: list[Row]) -> Table:
    lines = [
        (str(row["trainings"]), f"{row['minutes']:.2f}", f"{row['training']:.1f}", f"{row['not training']:.0%}")
        if "minutes" in row
        else (row.get("note") or row["failed"], "–", "–", "–")
        for row in rows
    ]
    head = ("trainings", "minutes", "seconds of training", "share of the time that is not training")
    return Table(title="The default study", head=head, rows=lines)


def profile(row: Row) -> Table:
    if "kernels" not in row:
        return Table(title="Profile", head=("result",), rows=[(row.get("note") or row["failed"],)])
    lines = [
        (one["name"], str(one["count"]), f"{one['seconds'] * 1e3:.2f}", f"{one['seconds'] / (row['busy'] or 1):.1%}")
        for one in row["kernels"]
    ]
    note = (
        f"The epoch took {row['epoch'] * 1e3:.1f} ms. {row['launches']:,} kernels and copies ran in "
        f"{row['busy'] * 1e3:.1f} ms of {row['whole'] * 1e3:.1f} ms on the device."
    )
    head = ("kernel", "launches", "ms", "share of the busy time")
    return Table(title=f"Profile of an epoch: runs together: {row['runs']}", head=head, rows=lines, notes=(note,))


def tf32_speed(rows: list[Row]) -> Table:
    lines = [
        (row["precision"], spread(row["one"]), spread(row["many"]))
        if "one" in row
        else (row.get("note") or row["failed"], "–", "–")
        for row in rows
    ]
    runs = "/".join({str(row["runs"]) for row in rows if "runs" in row})
    head = ("precision", "an epoch of one run, s", f"of {runs} runs, s")
    return Table(title="Seconds by precision", head=head, rows=lines, notes=("Median (range), in turns.",))


def verdict(row: Row) -> str:
    return "pass" if row["passed"] else "FAIL"


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
    yield table(
        "GiB of the device's memory",
        gibibytes,
        "The most that the process has held, after all smaller numbers of runs. In brackets what `memory.split` plans.",
    )


def parity(rungs: list[Row]) -> Table:
    rows = []
    for rung in rungs:
        if "comparisons" not in rung:
            rows.append(("–", "–", rung["failed"], "–", "–", "FAIL"))
            continue
        worst = tightest(rung) or {"measured": float("nan"), "tolerance": float("nan"), "name": rung["note"]}
        numbers = (short(worst["measured"], 3), short(worst["tolerance"], 3))
        title = f"{rung['number']} {rung['title']}"
        rows.append((title, str(len(rung["comparisons"])), worst["name"], *numbers, verdict(rung)))
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
        shown.append((row["precision"], row["products"], *apart))
    return Table(
        title='JAX\'s precisions against "highest"',
        head=("precision", "in the traced program", "logits apart", "gradients apart"),
        rows=shown,
        notes=(
            "Apart: the largest difference, relative to the largest magnitude of its tensor.",
            *(f"{row[name]}." for row in rows for name in ("note", "failed") if name in row),
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


def gibibytes(row: Row) -> str:
    """Return the measured peak, and the planned size if there is one."""
    peak, planned = (f"{row[name] / 2**30:.2f}" if row.get(name) else "–" for name in ("peak", "planned"))
    return f"{peak} ({planned})" if row.get("planned") else peak


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
