"""docs/study/numbers.json: the numbers of the big runs, from which the guide and the notebook take theirs.

It is made of the output folders of `study` and `rbm`:

- `grids`: by the name of the folder, the advice and the cells of a grid. A cell has the row of the report's table, and
  the numbers by seed and epoch.
- `presets`: by name, the checks of a published result and the data that its figure and its checks need.
- `machines`: by the name of the folder, an RBM's monitors by epoch and its log-likelihood.

Numbers have six digits, as in the records. A cell, a check, a part and an epoch take one line each. If the folder of a
grid is gone, its committed page serves. The cells then have their rows only.
"""

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jax_impl.errors import UserError
from jax_impl.storage import files
from jax_impl.storage.records import Record, plain
from jax_impl.study import figures, grid, manifest, page
from jax_impl.study.presets.preset import Data, Preset
from jax_impl.study.verdicts import Row, advise, row, words

PATH = Path(__file__).parents[2] / "docs" / "study" / "numbers.json"
Numbers = dict[str, dict[str, Any]]  # of `grids`, `presets` and `machines`
EXPANDED = 4  # levels of nesting that are written over several lines

OF_SEEDS = ("seeds", "cost", "test_accuracy", "diverged_in")
MONITORS = ("pseudo_log_likelihood", "reconstruction_error")
# Of a part's data. The measurements before training have more.
OF_PART = {
    "measured", "variance", "gradient_variance", "jacobian", "pre_variance", "mean", "steps", "loss", "cost",
    "test_accuracy", "kernel_gradient", "bias_gradient", "unit_spread", "labels", "limit", "learning_rate",
}  # fmt: skip


def load(path: Path = PATH) -> Numbers:
    """Return the content of numbers.json."""
    numbers: Numbers = json.loads(path.read_text(encoding="utf-8"))
    return numbers


def collect(places: Iterable[Path], path: Path = PATH) -> None:
    """Put the numbers of these folders and pages into numbers.json. They replace older ones of the same name.

    Raises:
        UserError: A place is none of these, or has nothing to collect.
    """
    numbers = load(path) if path.exists() else {"grids": {}, "presets": {}, "machines": {}}
    for place in places:
        if place.suffix == ".md":
            found = {"grids": {place.stem: of_page(place)}}
        elif (place / manifest.NAME).exists():
            found = of_study(place)
        elif (place / "likelihood.json").exists():
            found = {"machines": {place.name: of_machine(place)}}
        else:
            raise UserError(f"{place} has neither {manifest.NAME} nor likelihood.json: name the folder of a run")
        for kind, entries in found.items():
            numbers[kind] |= entries
    files.write(path, (text(numbers) + "\n").encode())


def of_study(folder: Path) -> Numbers:
    """Return the grid and the presets of a study's folder.

    Raises:
        UserError: It has neither.
    """
    result = page.read(folder)
    if not result.cells and not result.presets:
        raise UserError(f"{folder} has no finished cell or preset: run the study to its end")
    grids = {}
    if result.cells:
        grids[folder.name] = {
            "command": _command(result.command),
            "measured on": manifest.measured_on(result.cells),
            "advice": advice_of(result.rows),
            "cells": [cell_of(record) for record in result.cells],
        }
    presets = {}
    for name, one in result.presets.items():
        parts = {label: needed(data) for label, data in one.data.items()}
        where = manifest.measured_on(one.records)
        checks = checks_of(one.preset, parts)
        presets[name] = {"command": _command(one.command), "measured on": where, "checks": checks, "parts": parts}
    return {"grids": grids, "presets": presets}


def of_machine(folder: Path) -> dict[str, Any]:
    """Return the settings, monitors by epoch and log-likelihood of an RBM's folder."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))["settings"]
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [
        {"epoch": epoch["epoch"]} | {name: plain(epoch[name]) for name in MONITORS} for epoch in map(json.loads, lines)
    ]
    likelihood = json.loads((folder / "likelihood.json").read_text(encoding="utf-8"))
    return {"settings": settings, "log_likelihood": likelihood, "epochs": epochs}


def of_page(path: Path) -> dict[str, Any]:
    """Return the advice and the rows of a grid from the page that a study wrote.

    Raises:
        UserError: The page has no table of cells.
    """
    content = path.read_text(encoding="utf-8")
    lines, table = content.splitlines(), re.search(r"(?:^\|.*\n)+", content, re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()] if table else []
    if not rows or rows[0][0] != "initialiser":
        raise UserError(f"{path} has no table of initialisers: name the page that study wrote")
    where = [re.sub(r"^(- m|M)easured on:? ", "", line).rstrip(".") for line in lines if "easured on" in line]
    advice = [line.removeprefix("- ").replace("**", "") for line in lines if line.startswith("- **")]
    cells = [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
    return {"measured on": where, "advice": advice, "cells": cells}


def cell_of(record: Record) -> dict[str, Any]:
    """Return a cell's line: the row of the report's table, and the numbers by seed and epoch."""
    return page.table_row(row(record)) | {"by seed": {name: record[name] for name in OF_SEEDS}}


def row_of(cell: Mapping[str, Any], epochs: int = 1) -> Row:
    """Return what the numbers by seed say of a cell, as a study's report does."""
    layers = [784, *[1] * int(cell["hidden layers"]), 10]
    recipe = {"name": grid.NAME, "init": cell["initialiser"], "layers": layers, "epochs": epochs}
    recipe |= {name: cell[name] for name in ("activation", "optimizer")}
    return row({"recipe": recipe, "seconds": float(cell["seconds"]), **cell["by seed"]})


def advice_of(rows: Sequence[Row]) -> list[str]:
    """Return which initialiser trains each kind of network best, in the words of the report."""
    return [f"{figures.title(one.best)}: {words(one)}" for one in advise(rows)]


def checks_of(preset: Preset, parts: Data) -> list[dict[str, Any]]:
    """Return a line for each check of a preset."""
    return [
        {"check": check.name, "measured": check.measured, "band": check.band, "passed": check.passed}
        for check in preset.checks(parts)
    ]


def needed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a part without what neither the figure nor the checks of its preset use."""
    kept = {name: value for name, value in data.items() if name in OF_PART}
    return {name: needed(value) if isinstance(value, dict) else value for name, value in kept.items()}


def text(value: Any, level: int = 0) -> str:
    """Return JSON whose outer levels have a line per entry. Inner ones, and mere numbers, fill one line."""
    named = isinstance(value, dict)
    pairs = list(value.items()) if named else [(None, entry) for entry in value] if isinstance(value, list) else []
    worth_a_line = dict | list if named else dict | list | str
    if level >= EXPANDED or not any(isinstance(entry, worth_a_line) for _, entry in pairs):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    lines = [
        " " * (level + 1) + (f"{json.dumps(name, ensure_ascii=False)}: " if named else "") + text(entry, level + 1)
        for name, entry in pairs
    ]
    opening, closing = "{}" if named else "[]"
    return "\n".join([opening, ",\n".join(lines), " " * level + closing])


def _command(command: str) -> str:
    """Return a command without its folders, which are not part of what it measured."""
    words = iter(shlex.split(command))
    kept = []
    for word in words:
        if word in ("--out", "--data-dir"):
            next(words, None)
        elif not word.startswith(("--out=", "--data-dir=")):
            kept.append(word)
    return shlex.join(kept)
