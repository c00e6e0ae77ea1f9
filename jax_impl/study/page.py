"""The report of a study's folder: `index.html`, `study.md` and a PNG per figure. It measures nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from jax_impl.figures.canvas import duration, templates
from jax_impl.figures.pages import other_reports
from jax_impl.storage import files, records
from jax_impl.storage.records import Record
from jax_impl.study import grid, manifest, presets
from jax_impl.study.figures import pictures, title
from jax_impl.study.presets.drawing import draw_preset
from jax_impl.study.presets.preset import RECORDS, Check, Data, Preset, Seeds, saved_parts
from jax_impl.study.verdicts import ALIKE, MEANINGS, NOT_TRAINED, TARGET, Advice, Row, advise, row, words

FEW_SEEDS = "With few seeds, even a large difference may not be significant."


class Reproduction(NamedTuple):
    """A preset that was measured completely."""

    preset: Preset
    seeds: Seeds
    records: list[Record]  # one per part
    data: Data
    checks: list[Check]
    command: str  # that measured it


class Result(NamedTuple):
    """The content of a study's folder."""

    cells: list[Record]  # of the last grid
    rows: list[Row]
    advice: list[Advice]
    presets: dict[str, Reproduction]  # by name
    command: str = ""  # that made the grid; empty if the folder does not say


def read(out: Path) -> Result:
    """Read study.json, cells.jsonl and presets.jsonl, each once.

    Raises:
        UserError: A file cannot be read, or is damaged.
    """
    noted, saved = manifest.read(out), records.load(out / grid.RECORDS)
    cells = [saved[key] for key in noted["cells"] if key in saved]
    rows = [row(record) for record in cells]
    commands = noted["commands"]
    presets = _reproductions(noted["presets"], records.load(out / RECORDS), commands)
    return Result(cells, rows, advise(rows), presets, commands.get(manifest.GRID, ""))


def write(out: Path) -> Result:
    """Write the report of what `out` contains, and return it.

    Raises:
        UserError: The folder cannot be read or written.
    """
    result = read(out)
    of_cells = pictures(result.cells)
    reproductions = [(one, draw_preset(one.preset, one.data)) for one in result.presets.values()]
    of_presets = [picture for _, picture in reproductions]
    page = {
        "setup": manifest.setup(
            result.command, result.cells, chain.from_iterable(one.records for one in result.presets.values())
        ),
        "cells": len(result.cells),
        "seeds": sorted({len(record["seeds"]) for record in result.cells}),
        "meanings": {name: MEANINGS[name] for name in MEANINGS if any(row.verdict == name for row in result.rows)},
        "reasons": manifest.not_started(result.cells),
        "seconds": duration(sum(record["seconds"] for record in result.cells)),
        "advice": [{"title": title(advice.best), "words": words(advice)} for advice in result.advice],
        "alike": ALIKE,
        "few_seeds": FEW_SEEDS,
        "maps": heat_maps(result.rows),
        "rows": [table_row(row) for row in result.rows],
        "pictures": of_cells,
        "reproductions": reproductions,
        "links": other_reports(out, "study"),
    }
    images = {out / "figures" / f"{picture.key}.png": picture for picture in (*of_cells, *of_presets)}
    for path, picture in images.items():
        files.write(path, picture.png())
    for path in set((out / "figures").glob("*.png")) - set(images):  # of an earlier grid
        path.unlink()
    files.write(out / "study.md", markdown(page).encode())
    html = templates(Path(__file__).parent).get_template("study.html.j2").render(page)
    files.write(out / "index.html", html.encode())
    return result


def table_row(row: Row) -> dict[str, str]:
    """Return the texts of a row of the table, by the heads of their columns."""
    return {
        "initialiser": row.label,
        "hidden layers": str(row.depth),
        "activation": row.activation,
        "optimizer": row.optimizer,
        "verdict": row.verdict,
        "test accuracy": row.accuracy.percent(),
        "cost": str(row.cost),
        f"epochs to {TARGET:.0%}": row.epochs_to_target() if row.verdict != NOT_TRAINED else "–",
        "diverged": f"{row.diverged} of {row.seeds}",
        "seconds": f"{row.seconds:.1f}",
    }


def heat_maps(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a table for each activation and optimizer: the row of each cell by initialiser and depth, or None."""
    maps = []
    kind = attrgetter("activation", "optimizer")
    for group, members in groupby(sorted(rows, key=kind), key=kind):
        by_cell = {(row.label, row.depth): row for row in members}
        depths = sorted({depth for _, depth in by_cell})
        lines = [
            {"label": label, "cells": [by_cell.get((label, depth)) for depth in depths]}
            for label in dict.fromkeys(label for label, _ in by_cell)
        ]
        maps.append({"title": ", ".join(group), "depths": depths, "lines": lines})
    return maps


def markdown(page: Mapping[str, Any]) -> str:
    """Return the page's sentences and tables as Markdown, for a terminal or a pull request."""
    lines = [
        "# Initialisation study",
        "",
        *(f"- {name}: {f'`{value}`' if name == 'command' else value}" for name, value in page["setup"]),
        "",
    ]
    if page["advice"]:
        lines += ["## Which initialiser trains best", ""]
        lines += [*(f"- **{advice['title']}**: {advice['words']}" for advice in page["advice"]), ""]
        if page["seeds"] != [1]:
            lines += [f"Not significantly different: p > {ALIKE} in Welch's test. {FEW_SEEDS}", ""]
        lines += ["Verdicts:", "", *(f"- {name}: {meaning}" for name, meaning in page["meanings"].items()), ""]
    if page["rows"]:
        lines += [*_table(page["rows"][0], [row.values() for row in page["rows"]]), ""]
    for reproduction, _ in page["reproductions"]:
        preset = reproduction.preset
        lines += [f"## {preset.title} (`{preset.name}`)", "", f"{preset.claim} Source: {preset.source}.", ""]
        rows = [
            (check.name, check.measured, check.band, "pass" if check.passed else "**FAIL**", check.published)
            for check in reproduction.checks
        ]
        lines += [*_table(("check", "measured", "band", "verdict", "published"), rows), ""]
    return "\n".join(lines)


def _reproductions(
    seeds: Mapping[str, Seeds], saved: Mapping[str, Record], commands: Mapping[str, str]
) -> dict[str, Reproduction]:
    """Return the presets of which `saved` has every part; `seeds` are those of each preset by its name."""
    complete = {}
    for name, preset in presets.PRESETS.items():
        parts = saved_parts(preset, seeds[name], saved) if name in seeds else None
        if parts is not None:
            data = {label: record["data"] for label, record in parts.items()}
            command = commands.get(name, f"python -m jax_impl study --preset {name}")
            complete[name] = Reproduction(preset, seeds[name], list(parts.values()), data, preset.checks(data), command)
    return complete


def _table(head: Collection[str], rows: Iterable[Iterable[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
