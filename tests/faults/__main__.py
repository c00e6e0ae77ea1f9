"""`make faults`: kill, interrupt and damage trainings many times over, and write what came of it.

Every case is compared with a training that nothing disturbed. What is lost, wrong or ends in a traceback is a failure.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tyro.conf import arg

from jax_impl import data, files, machine
from tests.faults.commands import PACKAGES, command, ended, results, run, start
from tests.faults.files import cases

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How often what is done."""

    kills: Annotated[int, arg(metavar="N", help="Kills at random moments, in turns of both packages.")] = 100
    terms: Annotated[int, arg(metavar="N", help="SIGTERMs at random moments, in turns of both packages.")] = 30
    damages: Annotated[int, arg(metavar="N", help="Damaged files.")] = 200
    examples: Annotated[int, arg(metavar="N", help="Mutated inputs of each reader.")] = 10_000
    seed: Annotated[int, arg(metavar="N", help="Of the moments and the damage.")] = 0
    jobs: Annotated[int, arg(metavar="N", help="Cases at the same time.")] = os.cpu_count() or 1
    out: Annotated[Path, arg(metavar="FILE", help="The table.")] = Path("reports/faults.md")


class Row(NamedTuple):
    """What came of the cases of one kind."""

    what: str
    count: int
    good: int
    how: str  # the good ended
    bad: list[str]
    seconds: float


class Undisturbed(NamedTuple):
    """A training to compare with: its folder, and when it began to train and ended, in seconds from its start."""

    out: Path
    begun: float
    over: float


def undisturbed(package: str, work: Path, data_dir: Path) -> Undisturbed:
    out = work / f"whole-{package}"
    for _ in range(2):  # the second finds its programs compiled, as those of the cases will be
        shutil.rmtree(out, ignore_errors=True)
        started, process = time.monotonic(), start(command(package, "--out", str(out)), data_dir)
        while process.poll() is None and not (out / ".lock").exists():
            time.sleep(0.005)
        begun = time.monotonic() - started
        found = ended(process)
        assert found.code == 0, found.err
    return Undisturbed(out, begun, time.monotonic() - started)


def killed(package: str, whole: Undisturbed, out: Path, data_dir: Path, moment: float) -> str:
    """Kill a training at a moment, from 0 (it begins) to 1 (it is over), and resume it; return what is wrong."""
    process = start(command(package, "--out", str(out)), data_dir)
    while process.poll() is None and not (out / ".lock").exists():
        time.sleep(0.002)
    time.sleep(moment * (whole.over - whole.begun))
    process.kill()
    ended(process)
    found = run(command(package, "--out", str(out), "--resume"), data_dir)
    if found.code or "Traceback" in found.err:
        return f"resumed with exit code {found.code}: {found.err[-300:]}"
    return "" if results(out) == results(whole.out) else "another result"


def terminated(package: str, whole: Undisturbed, out: Path, data_dir: Path, moment: float) -> str:
    """Send SIGTERM at a moment of a training, and resume it; return what is wrong."""
    process = start(command(package, "--out", str(out)), data_dir)
    while process.poll() is None and not (out / ".lock").exists():
        time.sleep(0.002)
    time.sleep(moment * (whole.over - whole.begun) * 0.8)
    process.send_signal(signal.SIGTERM)
    found = ended(process)
    over = found.code in (0, -signal.SIGTERM) and "Learning finished" in found.out  # it came too late
    if found.code != 143 and not over:
        return f"exit code {found.code}: {found.err[-300:]}"
    last = found.err.splitlines()[-1] if found.err else ""
    if not over and not (last.startswith("interrupted: SIGTERM") and ("--resume" in last or "nothing was" in last)):
        return f"said {last!r}"
    found = run(command(package, "--out", str(out), "--resume"), data_dir)
    if found.code or "Traceback" in found.err:
        return f"resumed with exit code {found.code}: {found.err[-300:]}"
    return "" if results(out) == results(whole.out) else "another result"


def at_random_moments(
    what: str, count: int, case: Callable[..., str], wholes: dict[str, Undisturbed], data_dir: Path, options: Options
) -> Iterator[Row | None]:
    """Yield None after each case, and at last the row."""
    draw, begun = random.Random(f"{options.seed} {what}"), time.monotonic()
    moments = [(list(PACKAGES)[number % 2], draw.random()) for number in range(count)]
    bad: list[str] = []
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(options.jobs) as pool:
        futures = [
            pool.submit(case, package, wholes[package], Path(work) / str(number), data_dir, moment)
            for number, (package, moment) in enumerate(moments)
        ]
        for (package, moment), future in zip(moments, futures, strict=True):
            if wrong := future.result():
                bad.append(f"{package}, moment {moment:.3f}: {wrong}")
            yield None
    yield Row(what, count, count - len(bad), "resumed to the same bits", bad, time.monotonic() - begun)


def damaged(package: str, whole: Undisturbed, out: Path, data_dir: Path, name: Path, content: bytes) -> str:
    """Damage one file of a finished run, then resume and evaluate it; return what is wrong."""
    shutil.copytree(whole.out, out)
    (out / name).write_bytes(content)
    found = run(command(package, "--out", str(out), "--resume"), data_dir)
    lines = found.err.splitlines()
    if found.code not in (0, 1, 2) or "Traceback" in found.err:
        return f"exit code {found.code}: {found.err[-300:]}"
    if found.code and not lines[-1].startswith("error: "):
        return f"said {lines[-1]!r}"
    if found.code == 0 and results(out) != results(whole.out):
        return "another result"
    return ""


def damages(count: int, wholes: dict[str, Undisturbed], data_dir: Path, options: Options) -> Iterator[Row | None]:
    draw, begun, bad = random.Random(options.seed), time.monotonic(), []
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(options.jobs) as pool:
        futures = {}
        for turn, package in enumerate(PACKAGES):
            share = count // 2 + (turn < count % 2)
            for number, case in enumerate(cases(wholes[package].out, share, draw)):
                out = Path(work) / f"{package}-{number}"
                future = pool.submit(damaged, package, wholes[package], out, data_dir, case.name, case.content)
                futures[future] = f"{package}, {case.name}, {case.how}"
        for future, title in futures.items():
            if wrong := future.result():
                bad.append(f"{title}: {wrong}")
            yield None
    yield Row(
        "files damaged",
        count,
        count - len(bad),
        "recovered to the same bits, or refused",
        bad,
        time.monotonic() - begun,
    )


def inputs(options: Options) -> Row:
    """Run the property tests in their long form."""
    begun = time.monotonic()
    words = [sys.executable, "-m", "pytest", "-q", "tests/faults/test_inputs.py"]
    environment = os.environ | {"FAULTS_EXAMPLES": str(options.examples)}
    result = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    bad = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    bad = bad or ([] if result.returncode == 0 else [result.stdout[-300:]])
    title = f"readers with {options.examples:,} mutated inputs each"
    return Row(title, 7, 7 - len(bad), "only documented errors", bad, time.monotonic() - begun)


def table(rows: list[Row], options: Options) -> str:
    lines = [
        "# Faults",
        "",
        f"{machine.line()}, {machine.now()}; seed {options.seed}, {options.jobs} at the same time.",
        "",
        "| what | cases | good | how the good ended | minutes |",
        "|---|---|---|---|---|",
        *(f"| {row.what} | {row.count} | {row.good} | {row.how} | {row.seconds / 60:.1f} |" for row in rows),
    ]
    failures = [f"- {row.what}: {text}" for row in rows for text in row.bad]
    return "\n".join([*lines, *(["", "## Failures", "", *failures] if failures else [])]) + "\n"


def main(options: Options) -> int:
    console, rows = Console(stderr=True), []
    data_dir = data.raw_folder().parents[1].absolute()
    with tempfile.TemporaryDirectory() as work, Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as bar:  # fmt: skip
        task = bar.add_task("undisturbed", total=options.kills + options.terms + options.damages)
        wholes = {package: undisturbed(package, Path(work), data_dir) for package in PACKAGES}
        parts = {
            "kills": at_random_moments("kill -9 at random moments", options.kills, killed, wholes, data_dir, options),
            "SIGTERM": at_random_moments(
                "SIGTERM at random moments", options.terms, terminated, wholes, data_dir, options
            ),
            "damage": damages(options.damages, wholes, data_dir, options),
        }
        for title, part in parts.items():
            bar.update(task, description=title)
            for row in part:
                if row is None:
                    bar.advance(task)
                elif row.count:
                    rows.append(row)
        if options.examples:
            bar.update(task, description="inputs")
            rows.append(inputs(options))
    text = table(rows, options)
    files.write(options.out, text.encode())
    print(text)
    return int(any(row.bad for row in rows))


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
