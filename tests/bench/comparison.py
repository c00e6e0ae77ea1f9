"""Compares the ratios of two `bench.json` files: which grew or fell by more than their spread."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax_impl.errors import ArgumentError
from tests.bench.ratios import Ratio, ratios
from tests.bench.tables import Table

FEWEST = 3  # rounds of a ratio that is judged: the range of one or two says little about the next one
NOISE = 1.1  # two runs of the same code: of 26 ratios, the ranges of one lay apart, by a factor of 1.06
SLOWER, FASTER = "slower", "faster"
HEADINGS = ("ratio", "then", "now", "this project is")
MEANING = (
    f"A ratio has changed if the ranges of its rounds lie apart by more than a factor of {NOISE}. This project's time "
    "is the numerator of each."
)


def read(file: Path) -> dict[str, Any]:
    """Return the content of a bench.json.

    Raises:
        ArgumentError: It cannot be read, or is no such file.
    """
    remedy = "name a bench.json that python -m tests.bench has written"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        ratios(found)
        heading(found)
    except OSError as error:
        raise ArgumentError(f"cannot read {file}: {error.strerror or error}; {remedy}") from error
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise ArgumentError(f"{file} is not a bench.json ({type(error).__name__}: {error}): {remedy}") from error
    return dict(found)


def heading(results: Mapping[str, Any]) -> str:
    """Return the name of a machine, its number of cores and the day."""
    machine = results["machine"]
    return f"{machine['processor']}, {machine['cores']:d} cores, {results['date'][:10]}"


def check_cores(file: Path, baseline: Mapping[str, Any], cores: int) -> None:
    """Raise an ArgumentError if a baseline was measured with another number of cores: its ratios differ."""
    if (expected := baseline["machine"]["cores"]) != cores:
        raise ArgumentError(
            f"the number of cores must be that of {file}, {expected}, got {cores}: run on as many, as with taskset -c "
            f"0-{expected - 1}, or name a file of a run on {cores}"
        )


def verdict(then: Ratio, now: Ratio) -> str:
    """Return whether a ratio has grown or fallen by more than its spread and `NOISE`: `SLOWER`, `FASTER` or nothing."""
    if min(then.rounds, now.rounds) < FEWEST:
        return ""
    return SLOWER if now.min > NOISE * then.max else FASTER if NOISE * now.max < then.min else ""


def compare(then: Mapping[str, Ratio], now: Mapping[str, Ratio]) -> dict[str, str]:
    """Return the names of the ratios that changed, and how."""
    verdicts = {name: verdict(then[name], now[name]) for name in then if name in now}
    return {name: how for name, how in verdicts.items() if how}


def left_out(then: Mapping[str, Ratio], now: Mapping[str, Ratio]) -> list[str]:
    """Say in lines which ratios were not judged, and why."""
    both = [name for name in then if name in now]
    groups = {
        "Only then": [name for name in then if name not in now],
        "Only now": [name for name in now if name not in then],
        f"Fewer than {FEWEST} rounds": [name for name in both if min(then[name].rounds, now[name].rounds) < FEWEST],
    }
    return [f"{why}, not judged: {name}" for why, names in groups.items() for name in names]


def report(baseline: Mapping[str, Any], found: Mapping[str, Any]) -> int:
    """Print what changed, and each ratio that grew to standard error. Return the exit code: 1 if one grew, else 0.

    Processors differ in their ratios, so between two of them nothing is judged.
    """
    then, now = ratios(baseline), ratios(found)
    changed = compare(then, now)
    rows = [(name, then[name].cell(), now[name].cell(), how) for name, how in changed.items()]
    judged = [name for name in then if name in now and min(then[name].rounds, now[name].rounds) >= FEWEST]
    if rows:
        Table(f"Changed since {baseline['date']}", HEADINGS, rows, MEANING).show()
    print(f"{len(changed)} of {len(judged)} ratios have changed since {baseline['date']}")
    for line in left_out(then, now):
        print(line)
    if baseline["machine"]["processor"] != found["machine"]["processor"]:
        print(
            f"not judged: the baseline is of another processor, {baseline['machine']['processor']}; to judge the next "
            "run here, keep this bench.json as its baseline"
        )
        return 0
    worse = [name for name, how in changed.items() if how == SLOWER]
    for name in worse:
        ranges = f"{then[name].cell()} to {now[name].cell()}"
        print(f"slower: {name} grew from {ranges}: find the change, or commit a new baseline", file=sys.stderr)
    return 1 if worse else 0
