"""`make faults`: kill, interrupt, damage and starve the commands many times over, and write what came of it.

Every case is compared with a run that nothing disturbed. What is lost, wrong or ends in a traceback is a failure.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tyro.conf import arg

from jax_impl import data
from jax_impl.storage import files, hardware
from tests.faults import damages, disks, interrupts, mirrors, races, refusals, soak, surroundings, zygote
from tests.faults.cases import Case, Part, World
from tests.faults.commands import TASKS, ZYGOTES

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How often what is done; 0 leaves it out."""

    kills: Annotated[int, arg(metavar="N", help="Kills at random moments, in turns of both packages.")] = 100
    terms: Annotated[int, arg(metavar="N", help="SIGTERMs at random moments, in turns of both packages.")] = 30
    damages: Annotated[int, arg(metavar="N", help="Damaged files.")] = 200
    disks: Annotated[int, arg(metavar="N", help="Random moments at which the disk is full, beside its stages.")] = 24
    fetches: Annotated[int, arg(metavar="N", help="Times that 8 processes ask for data at once.")] = 20
    pairs: Annotated[int, arg(metavar="N", help="Pairs of runs into one folder.")] = 6
    strange: Annotated[bool, arg(help="Bad mirrors and strange surroundings; --no-strange leaves them out.")] = True
    wrong: Annotated[bool, arg(help="Wrong inputs of every command; --no-wrong leaves them out.")] = True
    examples: Annotated[int, arg(metavar="N", help="Mutated inputs of each reader.")] = 10_000
    soak: Annotated[
        float, arg(metavar="MINUTES", help="How long studies follow each other in one process, beside the rest.")
    ] = 2.0
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


def tried(part: Part, jobs: int) -> Iterator[Row | None]:
    """Yield None after each case, and at last the row."""
    begun, bad = time.monotonic(), []
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(case.wrong): case.title for case in part.cases}
        for future in as_completed(futures):
            try:
                wrong = future.result()
            except Exception as error:  # such as a process that never ended: a failure as any other
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                bad.append(f"{futures[future]}: {wrong}")
            yield None
    yield Row(part.what, len(futures), len(futures) - len(bad), part.good, sorted(bad), time.monotonic() - begun)


def inputs(examples: int) -> Part:
    """Return the property tests in their long form."""

    def wrong(name: str) -> str:
        new = ["--hypothesis-profile", "default"]  # other examples in every run
        words = [sys.executable, "-m", "pytest", "-q", *new, "tests/faults/test_inputs.py", "-k", name]
        environment = os.environ | {"FAULTS_EXAMPLES": str(examples)}
        result = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return "" if result.returncode == 0 else result.stdout[-300:]

    text = (ROOT / "tests/faults/test_inputs.py").read_text(encoding="utf-8")
    names = re.findall(r"^@many\n.*?^def (test_\w+)\(", text, re.MULTILINE | re.DOTALL)
    cases = [Case(name, partial(wrong, name)) for name in reversed(names)]  # the slowest is the last in the file
    return Part(f"readers with {examples:,} mutated inputs each", "only documented errors", cases)


def soaking(minutes: float, data_dir: Path) -> Row:
    """Let studies follow each other in one process, beside all that is tried."""
    begun = time.monotonic()
    what = f"studies for {minutes:g} minutes"
    try:
        samples = soak.soaked(60 * minutes, data_dir)
    except Exception as error:  # which would take the other rows with it
        return Row(what, 1, 0, "", [f"{type(error).__name__}: {error}"], time.monotonic() - begun)
    growth, seconds = soak.growing(samples), time.monotonic() - begun
    rate, error = soak.slope(samples)
    last = samples[-1]
    how = (
        f"memory {rate:+.2f} ± {error:.2f} MiB an hour, {last.handles} handles, {last.compilations} compilations "
        f"throughout"
    )
    if growth:
        return Row(what, len(samples), 0, "", [growth], seconds)
    return Row(what, len(samples), len(samples), how, [], seconds)


def table(rows: list[Row], options: Options, minutes: float) -> str:
    lines = [
        "# Faults",
        "",
        f"{hardware.line()}, {hardware.now()}; seed {options.seed}, {options.jobs} at the same time: "
        f"{minutes:.1f} minutes.",
        "",
        "| what | cases | good | how the good ended | minutes |",
        "|---|---|---|---|---|",
        *(f"| {row.what} | {row.count} | {row.good} | {row.how} | {row.seconds / 60:.1f} |" for row in rows),
    ]
    failures = [f"- {row.what}: {text}" for row in rows for text in row.bad]
    return "\n".join([*lines, *(["", "## Failures", "", *failures] if failures else [])]) + "\n"


def chosen(world: World, source: mirrors.Source, options: Options) -> Iterator[Part]:
    """Yield the parts that were asked for, each made when its turn comes."""
    yield from interrupts.parts(world, options.kills, options.terms, options.seed)
    if options.damages:
        yield damages.part(world, source, options.damages, options.seed)
    if options.disks:
        yield disks.part(world, source, options.disks, options.seed)
    yield from races.parts(world, source, options.fetches, options.pairs)
    if options.strange:
        yield mirrors.part(world, source)
        yield surroundings.part(world)
    if options.wrong:
        yield refusals.part(world)
    if options.examples:
        yield inputs(options.examples)


def refused(options: Options) -> str:
    """Return what is wrong with the numbers; nothing, if all are well."""
    for name in ("kills", "terms", "damages", "disks", "fetches", "pairs", "examples", "soak", "jobs"):
        value, least = getattr(options, name), int(name == "jobs")
        if not value >= least:
            return f"error: --{name} must be at least {least}, got {value}"
    return ""


def main(options: Options) -> int:
    if wrong := refused(options):
        print(wrong, file=sys.stderr)
        return 2
    console, rows, begun = Console(stderr=True), [], time.monotonic()
    data_dir = data.raw_folder().parents[1].absolute()
    with tempfile.TemporaryDirectory() as work, Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as bar, ThreadPoolExecutor(1) as beside:  # fmt: skip
        task = bar.add_task("undisturbed", total=None)
        world = World(Path(work), data_dir)
        with mirrors.opened(world) as source, zygote.opened() as zygotes:
            ZYGOTES.update(zygotes)
            with ThreadPoolExecutor(options.jobs) as pool:  # as slow as the cases will be, whose moments they tell
                list(pool.map(world.whole, TASKS))
            soaked = beside.submit(soaking, options.soak, data_dir) if options.soak else None
            for part in chosen(world, source, options):
                bar.reset(task, description=part.what, total=len(part.cases))
                for row in tried(part, part.at_once or options.jobs):
                    bar.advance(task)
                    if row and row.count:
                        rows.append(row)
                        console.print(f"{row.what}: {row.good} of {row.count} good, {row.seconds / 60:.1f} minutes")
        if soaked:
            bar.reset(task, description="soak", total=None)
            rows.append(soaked.result())
    text = table(rows, options, (time.monotonic() - begun) / 60)
    files.write(options.out, text.encode())
    print(text)
    return int(any(row.bad for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Options, description=__doc__)))
    except KeyboardInterrupt:
        print("interrupted: no table was written", file=sys.stderr)
        sys.exit(130)
