"""`make test-matrix`: run the tests in environments that imitate other machines, and write a table of what passed.

The tests are those that compute; the row of the newest versions runs the whole fast tier. A row whose interpreter is
missing here is named in the table.
"""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from tyro.conf import arg

from jax_impl.commands.options.shared import listed
from jax_impl.storage import files, hardware
from tests.matrix.environments import (
    SIGNALS,
    SLOW,
    Environment,
    build,
    environments,
    interpreter,
    variables_of,
)

ROOT = Path(__file__).parents[2]
PACKAGES = ("jax", "flax", "optax", "numpy", "scipy", "torch")


@dataclass(frozen=True)
class Row:
    """What came of one environment."""

    environment: Environment
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    minutes: float = 0.0
    note: str = ""  # why it did not run, or what it ran with

    @property
    def good(self) -> bool:
        """Whether tests ran and none failed. A missing interpreter is no failure of the project."""
        return not self.failed and (self.passed > 0 or self.note.startswith("no python"))


def main(
    only: Annotated[str, arg(metavar="TEXT,…", help="Only rows whose name contains one of these.")] = "",
    jobs: Annotated[int, arg(metavar="N", help="Test processes of a row.")] = os.cpu_count() or 1,
    venvs: Annotated[Path, arg(metavar="DIR", help="Where environments of other versions are built.")] = Path(
        "reports/matrix/venvs"
    ),
    out: Annotated[Path, arg(metavar="DIR", help="Where the table and the output of the rows go.")] = Path(
        "reports/matrix"
    ),
) -> int:
    """Run the rows one after the other; write matrix.md after each. Exit code 1 if a test failed."""
    console = Console(stderr=True, width=120)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    begun = time.monotonic()
    chosen = [one for one in environments() if not only or any(text in one.name for text in listed(only))]
    for environment in chosen:
        with console.status(f"{environment.name} ({len(rows) + 1} of {len(chosen)})"):
            rows.append(run(environment, venvs, out, jobs))
        files.write(out / "matrix.md", table(rows, (time.monotonic() - begun) / 60).encode())
        console.print(line(rows[-1]), markup=False, highlight=False)
    print(table(rows, (time.monotonic() - begun) / 60))
    return 0 if rows and all(row.good for row in rows) else 1


def run(environment: Environment, venvs: Path, out: Path, jobs: int) -> Row:
    """Run the tests of one environment."""
    python, begun = sys.executable, time.monotonic()
    if environment.own:
        if interpreter(environment.python) is None:
            return Row(environment, note=f"no python{environment.python} here")
        try:
            python = str(build(environment, venvs / re.sub(r"\W+", "-", environment.name)))
        except subprocess.CalledProcessError as error:
            return Row(environment, failed=1, note=f"not installed: {(error.stderr or '').strip()[-200:]}")
    fast = tested(python, environment, ["-m", "not slow", *environment.tests], out, jobs)
    slow = tested(python, environment, ["-m", "slow", "-k", SIGNALS, *SLOW], out, jobs)
    minutes = (time.monotonic() - begun) / 60
    counts = [sum(part) for part in zip(fast, slow, strict=True)]
    return Row(environment, *counts, minutes=minutes, note=versions(python) if environment.own else "")


def tested(python: str, environment: Environment, words: list[str], out: Path, jobs: int) -> tuple[int, int, int]:
    """Run pytest; return how many tests passed, failed and were skipped. Its output is appended to the row's file."""
    cores = environment.cores
    command = [python, "-m", "pytest", "-q", "--numprocesses", str(min(jobs, cores or jobs)), "--dist", "worksteal"]
    result = subprocess.run(
        [*command, *words],
        cwd=ROOT,
        env=variables_of(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores]),
    )
    name = re.sub(r"\W+", "-", environment.name)
    with (out / f"{name}.log").open("a", encoding="utf-8") as file:
        file.write(result.stdout)
    passed, failed, skipped = counts_of(result.stdout)
    return passed, failed or int(result.returncode not in (0, 5)), skipped  # 5: no test was chosen


def counts_of(output: str) -> tuple[int, int, int]:
    """Return passed, failed and skipped tests from pytest's last line. An error counts as a failure."""
    last = output.strip().rpartition("\n")[2]

    def count(word: str) -> int:
        found = re.search(rf"(\d+) {word}", last)
        return int(found[1]) if found else 0

    return count("passed"), count("failed") + count("error"), count("skipped")


def versions(python: str) -> str:
    """Return the versions of the packages that an interpreter finds."""
    code = f"from importlib.metadata import version; print(*(f'{{n}} {{version(n)}}' for n in {PACKAGES}), sep=', ')"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()


def line(row: Row) -> str:
    """Return what progress says of a row."""
    result = f"{row.passed} passed, {row.failed} failed, {row.skipped} skipped, {row.minutes:.1f} minutes"
    return f"{row.environment.name}: {row.note if not row.passed and row.note else result}"


def table(rows: list[Row], minutes: float) -> str:
    """Return the rows in Markdown."""
    lines = [
        "# Test matrix",
        "",
        f"{hardware.line()}, {hardware.now()}: {minutes:.0f} minutes.",
        "",
        "| environment | imitates | passed | failed | skipped | minutes | with |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        one = row.environment
        how = row.note or " ".join(f"`{name}={value}`" for name, value in one.variables.items())
        cells = (one.name, one.imitates, row.passed, row.failed, row.skipped, f"{row.minutes:.1f}", how)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
