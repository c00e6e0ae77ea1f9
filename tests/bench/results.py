"""What the benchmark of an epoch found, as data, as Markdown and in files."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jax_impl import recipes
from jax_impl.storage import files, hardware
from tests.bench import cold, figures, turns
from tests.bench.contenders import CONTENDERS, FLOORS, missing
from tests.bench.floor import flop

PACKAGES = (*hardware.PACKAGES, "torch", "scikit-learn", "keras")  # those that are installed
Results = dict[str, Any]


def where() -> Results:
    """Return the machine, the versions, the threads of every contender, and the date."""
    described = hardware.describe([name for name in PACKAGES if is_installed(name)])
    return {"machine": described, "threads": turns.THREADS, "date": hardware.now(), "epochs": {}}


def is_installed(name: str) -> bool:
    """Return whether there is a package of this name."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def summary(recipe: recipes.Recipe, images: int, seconds: Mapping[str, Sequence[float]]) -> Results:
    """Return the rounds of a recipe's contenders, their medians and ranges, and the ratios to JAX and to the floor."""
    measured = {
        name: {
            "title": CONTENDERS[name],
            "seconds": list(values),
            **turns.spread(values)._asdict(),
            "times_jax": turns.ratio(values, seconds["jax"])._asdict(),
        }
        for name, values in seconds.items()
    }
    without = {name: {"title": CONTENDERS[name], "missing": words} for name, words in missing().items()}
    gflop = images // recipe.batch_size * flop(recipe.layers, recipe.batch_size) / 1e9
    return {
        "layers": recipe.layers,
        "batch": recipe.batch_size,
        "images": images,
        "gflop": gflop,
        "contenders": measured | without,
        "floor": floor_of(seconds, gflop),
    }


def floor_of(seconds: Mapping[str, Sequence[float]], gflop: float) -> Results | None:
    """Return the floor whose median is the smaller one, and how many times its seconds JAX takes."""
    medians = {name: turns.spread(seconds[name]).median for name in FLOORS if name in seconds}
    if not medians:
        return None
    name = min(medians, key=lambda name: medians[name])
    jax_over_floor = turns.ratio(seconds["jax"], seconds[name])._asdict()
    return {
        "name": name,
        "median": medians[name],
        "gflop_per_second": gflop / medians[name],
        "jax_over_floor": jax_over_floor,
    }


def seconds_of(epoch: Results) -> dict[str, list[float]]:
    """Return the seconds of every round by contender."""
    return {name: found["seconds"] for name, found in epoch["contenders"].items() if "seconds" in found}


def absent(epoch: Results) -> dict[str, str]:
    """Return why a contender has no seconds."""
    return {name: found["missing"] for name, found in epoch["contenders"].items() if "missing" in found}


def heading(name: str, epoch: Results) -> str:
    """Say what was trained."""
    return f"{name}, {'-'.join(map(str, epoch['layers']))}, {epoch['images']:,} images in batches of {epoch['batch']}"


def floor_line(epoch: Results) -> str:
    """Say in a sentence what the floor is and how far above it JAX stands."""
    floor, times = epoch["floor"], epoch["floor"]["jax_over_floor"]
    return (
        f"The floor is {floor['median']:.2f} s ({floor['name']}): {epoch['gflop']:,.0f} GFLOP in the matrix products "
        f"of an epoch, at {floor['gflop_per_second']:.0f} GFLOP/s. JAX takes {times['median']:.2f} times as long "
        f"(median of the rounds; {times['min']:.2f} to {times['max']:.2f})."
    )


def markdown(results: Results) -> str:
    """Return the tables of all recipes and of the cold start, and where they were measured."""
    described = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in described["versions"].items())
    parts = [
        f"{described['processor']}, {described['cores']} cores, {results['threads']} threads a contender, "
        f"{described['device']}, Python {described['python']}, {versions}; {results['date']}. Contenders train in "
        "turns; the first round is not counted."
    ]
    for name, epoch in results["epochs"].items():
        seconds = seconds_of(epoch)
        rounds = len(seconds["jax"])
        parts += [
            f"## {heading(name, epoch)}",
            f"Seconds per epoch, {rounds} rounds:",
            table(turns.HEADINGS, turns.rows(CONTENDERS, seconds, absent(epoch))),
        ]
        parts += [floor_line(epoch)] if epoch["floor"] else []
    if "cold" in results:
        parts += ["## Cold start", cold.WORDS, table(cold.HEADINGS, cold.rows(results["cold"]))]
    return "\n\n".join(["# Seconds per epoch", *parts]) + "\n"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rule, *rows))


def write(out: Path, results: Results) -> None:
    """Write `bench.json`, `bench.md` and, where there are recipes, `bench.png`.

    Raises:
        UserError: The folder cannot be written.
    """
    files.write(out / "bench.json", json.dumps(results, indent=1).encode())
    files.write(out / "bench.md", markdown(results).encode())
    if results["epochs"]:
        files.write(out / "bench.png", figures.epochs(results["epochs"]).png())
