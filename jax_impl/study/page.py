"""A study's folder as pages: `index.html`, `study.md` and a PNG a figure. Every number was measured elsewhere."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from jax_impl.figures.canvas import date, duration, templates
from jax_impl.storage import files, records
from jax_impl.storage.records import Record
from jax_impl.study import grid as study
from jax_impl.study import manifest
from jax_impl.study.figures import pictures, title
from jax_impl.study.presets import preset as evidence
from jax_impl.study.presets import registry
from jax_impl.study.presets.figures import draw_preset
from jax_impl.study.presets.preset import Check, Preset, Seeds
from jax_impl.study.verdicts import ALIKE, TARGET, Advice, Row, advise, row, words

HEAD = (
    "initialiser", "hidden layers", "activation", "optimizer", "verdict", "test accuracy", "cost",
    f"epochs to {TARGET:.0%}", "diverged", "seconds",
)  # fmt: skip


class Result(NamedTuple):
    """What a study's folder holds."""

    cells: list[Record]  # of the last grid
    rows: list[Row]
    advice: list[Advice]
    presets: dict[str, list[Check]]  # of every preset that was measured


def read(out: Path) -> Result:
    """Return what `out` holds.

    Raises:
        UserError: A file cannot be read.
    """
    noted, kept = manifest.read(out), records.load(out / study.RECORDS)
    cells = [kept[key] for key in noted["cells"] if key in kept]
    rows = [row(record) for record in cells]
    checks = {
        preset.name: preset.checks(data)
        for preset, _, data in _measured(out, noted["presets"])
    }  # fmt: skip
    return Result(cells, rows, advise(rows), checks)


def write(out: Path) -> Result:
    """Write the report of what `out` holds, and return it.

    Raises:
        UserError: The folder cannot be read or written.
    """
    result, noted = read(out), manifest.read(out)
    drawn = pictures(result.cells)
    shown = [_preset(*one) for one in _measured(out, noted["presets"])]
    page = {
        "measured": measured(out, result.cells, noted["presets"]),
        "cells": len(result.cells),
        "seeds": sorted({len(record["seeds"]) for record in result.cells}),
        "epochs": sorted({record["recipe"]["epochs"] for record in result.cells}),
        "seconds": duration(sum(record["seconds"] for record in result.cells)),
        "advice": [{"title": title(one.best), "words": words(one)} for one in result.advice],
        "alike": ALIKE,
        "maps": heat_maps(result.rows),
        "head": HEAD,
        "rows": [{"cells": cells(one), "verdict": one.verdict} for one in result.rows],
        "pictures": drawn,
        "presets": shown,
    }
    images = {
        out / "figures" / f"{picture.key}.png": picture for picture in (*drawn, *(one["picture"] for one in shown))
    }
    for path, picture in images.items():
        files.write(path, picture.png())
    for path in set((out / "figures").glob("*.png")) - set(images):  # of an earlier grid
        path.unlink()
    files.write(out / "study.md", markdown(page).encode())
    files.write(
        out / "index.html", templates(Path(__file__).parent).get_template("study.html.j2").render(page).encode()
    )
    return result


def measured(out: Path, grid: Sequence[Record], noted: Mapping[str, Seeds]) -> list[str]:
    """Say on which machines, with which jax, and when the records were measured."""
    parts = records.load(out / evidence.RECORDS)
    wanted = {
        evidence.key(registry.PRESETS[name], label, seeds)
        for name, seeds in noted.items()
        if name in registry.PRESETS
        for label in registry.PRESETS[name].parts
    }
    made: dict[str, list[str]] = {}
    for record in (*grid, *(record for key, record in parts.items() if key in wanted)):
        made.setdefault(record["where"], []).append(record["made"])
    return [
        f"{where}, {date(min(times))}" + (f" to {date(max(times))}" if min(times) != max(times) else "")
        for where, times in made.items()
    ]


def cells(one: Row) -> tuple[str, ...]:
    """Return a row of the table as text, in the order of `HEAD`."""
    return (
        one.label,
        str(one.depth),
        one.activation,
        one.optimizer,
        one.verdict,
        one.accuracy.percent(),
        "–" if math.isnan(one.cost.mean) else str(one.cost),
        one.epochs_to_target() if one.verdict != "not trained" else "–",
        f"{one.diverged} of {one.seeds}",
        f"{one.seconds:.1f}",
    )


def heat_maps(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return for each activation and optimizer the verdicts by initialiser and depth."""

    def kind(one: Row) -> tuple[str, str]:
        return one.activation, one.optimizer

    maps = []
    for group, found in groupby(sorted(rows, key=kind), key=kind):
        members = list(found)
        depths = sorted({one.depth for one in members})
        by_place = {(one.label, one.depth): one for one in members}
        lines = [
            {"label": label, "places": [_place(by_place.get((label, depth))) for depth in depths]}
            for label in dict.fromkeys(one.label for one in members)
        ]
        maps.append({"title": ", ".join(group), "depths": depths, "lines": lines})
    return maps


def markdown(page: Mapping[str, Any]) -> str:
    """Return the page's sentences and tables for a terminal or a pull request."""
    lines = ["# Initialisation study", "", *(f"Measured on {where}." for where in page["measured"]), ""]
    if page["advice"]:
        lines += ["## Which initialiser", "", *(f"- **{one['title']}**: {one['words']}" for one in page["advice"]), ""]
        lines += [f"Not told apart: p > {ALIKE} in Welch's test, which with few seeds says little.", ""]
    if page["rows"]:
        lines += [*_table(page["head"], [one["cells"] for one in page["rows"]]), ""]
    for preset in page["presets"]:
        lines += [f"## {preset['title']} (`{preset['name']}`)", "", f"{preset['claim']} {preset['source']}.", ""]
        checks = [
            (one["name"], one["measured"], one["band"], one["word"], one["published"]) for one in preset["checks"]
        ]
        lines += [*_table(("check", "measured", "band", "verdict", "published"), checks), ""]
    return "\n".join(lines)


def _place(one: Row | None) -> dict[str, str]:
    if one is None:
        return {"verdict": "", "text": ""}
    return {"verdict": one.verdict.replace(" ", "-"), "text": one.accuracy.percent()}


def _preset(preset: Preset, seeds: Seeds, data: evidence.Data) -> dict[str, Any]:
    checks = [
        {
            "name": check.name,
            "measured": check.measured,
            "band": check.band,
            "published": check.published,
            "passed": check.passed,
            "word": "pass" if check.passed else "**FAIL**",
        }
        for check in preset.checks(data)
    ]
    return {
        "name": preset.name,
        "title": preset.title,
        "source": preset.source,
        "claim": preset.claim,
        "seeds": ", ".join(map(str, seeds)),
        "checks": checks,
        "picture": draw_preset(preset, data),
    }


def _measured(out: Path, noted: Mapping[str, Seeds]) -> list[tuple[Preset, Seeds, evidence.Data]]:
    found = []
    for name, preset in registry.PRESETS.items():
        data = evidence.data_of(preset, noted[name], out) if name in noted else None
        if data is not None:
            found.append((preset, noted[name], data))
    return found


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
