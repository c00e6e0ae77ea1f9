"""How a study was made: the commands and the records that `study.json` lists, the settings, data and machine."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from jax_impl.errors import UserError
from jax_impl.figures.numbers import date, short
from jax_impl.storage import files, records
from jax_impl.storage.records import Record
from jax_impl.study import cells as study_cells
from jax_impl.study.cells import label, layers_text
from jax_impl.study.presets.preset import Seeds

NAME = "study.json"
DATA = "MNIST: 60,000 training images; accuracies are those on all 10,000 test images"
GRID = "grid"  # the key of the grid's command; those of presets are their names


def remember(
    out: Path,
    *,
    cells: Iterable[study_cells.Cell] = (),
    measured: Mapping[str, Seeds] | None = None,
    command: str | None = None,
) -> None:
    """Put the cells of a grid or measured presets into the report. A new grid replaces the one before; presets add up.

    `command` is the command line that measures them.

    Raises:
        UserError: The file cannot be read or written, or is damaged.
    """
    content = read(out)
    keys = [cell.key for cell in cells]
    content["cells"] = keys or content["cells"]
    content["presets"] |= {name: list(seeds) for name, seeds in (measured or {}).items()}
    for name in (*([GRID] if keys else []), *(measured or {})):
        content["commands"].pop(name, None)
        content["commands"] |= {name: command} if command else {}
    files.write(out / NAME, (json.dumps(records.with_checksum(content), indent=1) + "\n").encode())


def read(out: Path) -> dict[str, Any]:
    """Return the keys of the last grid's `cells`, the seeds of each of the `presets` by its name, and the `commands`.

    A file of an earlier version has no commands.

    Raises:
        UserError: The file cannot be read, or is damaged.
    """
    path = out / NAME
    try:
        return {"commands": {}} | records.verified(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {"cells": [], "presets": {}, "commands": {}}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; name another --out") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: delete it and repeat the command; the records are kept") from error


def setup(command: str, cells: Sequence[Record], of_presets: Iterable[Record]) -> list[tuple[str, str]]:
    """Return the names and values that a reader needs to repeat the study, in the order in which a page shows them."""
    lines = [("command", command)] if command and cells else []
    if cells:
        recipes = [record["recipe"] for record in cells]
        lines += [(name, _values(recipes, value)) for name, value in SETTINGS.items()]
        seeds = dict.fromkeys(", ".join(map(str, record["seeds"])) for record in cells)
        lines += [("seeds", " or ".join(seeds)), ("data", DATA)]
    return lines + [("measured on", where) for where in measured_on(chain(cells, of_presets))]


def not_started(cells: Sequence[Record]) -> list[tuple[str, str]]:
    """Return each cell whose initialiser failed, in words, and the reason of its first such seed."""
    failed = []
    for record in cells:
        reasons = [reason for reason in record.get("not_started", ()) if reason is not None]
        if reasons:
            recipe = record["recipe"]
            settings = label(recipe), layers_text(len(recipe["layers"]) - 2), recipe["activation"], recipe["optimizer"]
            failed.append((", ".join(settings), reasons[0]))
    return failed


def measured_on(measured: Iterable[Record]) -> list[str]:
    """Return a line for each machine and version of jax on which records were measured, with the time."""
    times: dict[str, list[str]] = {}
    for record in measured:
        times.setdefault(record["where"], []).append(record["made"])
    return [f"{where}, {_period(date(min(made)), date(max(made)))}" for where, made in times.items()]


def _period(first: str, last: str) -> str:
    """Return a period in words: 24 November 2026, 11:05 to 11:09 UTC."""
    day, _, _ = first.partition(", ")
    return first if first == last else f"{first.removesuffix(' UTC')} to {last.removeprefix(f'{day}, ')}"


def _values(recipes: Sequence[Record], value: Callable[[Record], str]) -> str:
    """Return the different values of a setting."""
    return ", ".join(dict.fromkeys(map(value, recipes)))


def _rate(recipe: Record) -> str:
    return f"{short(recipe['learning_rate'], 4)} ({recipe['optimizer']})"


SETTINGS: dict[str, Callable[[Record], Any]] = {
    "width": lambda recipe: " × ".join(map(str, dict.fromkeys(recipe["layers"][1:-1]))) + " units per hidden layer",
    "learning rate": _rate,
    "batch size": lambda recipe: str(recipe["batch_size"]),
    "epochs": lambda recipe: str(recipe["epochs"]),
    "biases": lambda recipe: recipe["bias_init"],
    "dtype": lambda recipe: recipe["dtype"],
}
