"""What one run of the benchmark found, as data, as Markdown and in files."""

import json
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from jax_impl.commands.shared.cores import cores
from jax_impl.storage import files, hardware
from tests.bench import cold, epochs, figures, rbm, seeds, turns
from tests.bench.commands import phases, whole
from tests.bench.settings import Settings
from tests.bench.tables import Table

PACKAGES = (*hardware.PACKAGES, "torch", "scikit-learn", "keras")  # those that are installed
Results = dict[str, Any]


class Part(NamedTuple):
    """One part of the benchmark."""

    measure: Callable[[Settings], Iterator[Results]]  # yields what it has found so far
    tables: Callable[[Results], list[Table]]


PARTS = {
    "epochs": Part(epochs.measure, epochs.tables),
    "cold": Part(cold.measure, cold.tables),
    "seeds": Part(seeds.measure, seeds.tables),
    "rbm": Part(rbm.measure, rbm.tables),
    "commands": Part(whole.measure, whole.tables),
    "phases": Part(phases.measure, phases.tables),
}


def where() -> Results:
    """Return the machine, its cores that this process may use, the versions and the date."""
    described = hardware.describe([name for name in PACKAGES if is_installed(name)])
    return {
        "machine": described | {"cores": cores()},
        "threads": turns.THREADS,
        "date": hardware.now(),
        "minutes": {},  # by part
    }


def is_installed(name: str) -> bool:
    """Return whether there is a package of this name."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def markdown(results: Results) -> str:
    """Return the tables of all parts, and where they were measured."""
    described = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in described["versions"].items())
    minutes = results["minutes"]
    parts = [
        "# Benchmark",
        f"{described['processor']}, {described['cores']} cores, {results['threads']} threads a contender, "
        f"{described['device']}, Python {described['python']}, {versions}; {results['date']}. Contenders train in "
        "turns; the first round is not counted. A ratio is the median of the ratios of all rounds, with its range.",
        f"Measured in {sum(minutes.values()):.1f} minutes: "
        + ", ".join(f"{name} {taken:.1f}" for name, taken in minutes.items())
        + ".",
    ]
    parts += [
        table.markdown() for name, part in PARTS.items() if name in results for table in part.tables(results[name])
    ]
    return "\n\n".join(parts) + "\n"


def write(out: Path, results: Results) -> None:
    """Write `bench.json`, `bench.md` and, where epochs were measured, `bench.png`.

    Raises:
        UserError: The folder cannot be written.
    """
    files.write(out / "bench.json", json.dumps(results, indent=1).encode())
    files.write(out / "bench.md", markdown(results).encode())
    if results.get("epochs"):
        files.write(out / "bench.png", figures.epochs(results["epochs"]).png())
