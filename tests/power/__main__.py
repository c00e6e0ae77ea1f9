"""`make power`: plant every mistake, look for its cause, and write a page of what was seen, named and confirmed.

Finished trials are kept beside the page, in a folder whose name depends on the code: an interrupted run continues.
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tyro.conf import arg

from jax_impl.commands.options.shared import listed
from jax_impl.storage import hardware
from tests.ports.faults import faults
from tests.ports.harmless import harmless
from tests.power import chance, cheats, report, sizes, trials
from tests.power.report import Results

ROOT = Path(__file__).parents[2]
SOURCES = ("jax_impl/parity/**/*.py", "torch_ref/record/**/*.py", "tests/ports/**/*.py", "tests/power/*.py")


def main(
    only: Annotated[str, arg(metavar="TEXT,…", help="Only models whose name contains one of these.")] = "",
    jobs: Annotated[int, arg(metavar="N", help="Trials at the same time.")] = os.cpu_count() or 1,
    changes: Annotated[bool, arg(help="Try harmless changes, too; --no-changes leaves them out.")] = True,
    smallest: Annotated[bool, arg(help="Search the smallest mistakes seen; --no-smallest leaves that out.")] = True,
    out: Annotated[Path, arg(metavar="DIR", help="Where the page goes.")] = Path("reports/power"),
) -> int:
    """Run all trials and write index.html, power.md and power.json. Exit code 1 if a target is missed."""
    begun = time.monotonic()
    kept = out / f"trials-{code_digest()}"
    kept.mkdir(parents=True, exist_ok=True)

    def chosen(found: Sequence[Any]) -> list[Any]:
        return [one for one in found if not only or any(text in one.model for text in listed(only))]

    work: list[tuple[str, Callable[[], Any]]] = [
        ("mistakes", partial(trials.kept, kept, "fault", fault)) for fault in chosen(faults())
    ]
    plain = [change for change in chosen(harmless()) if not change.environment]
    work += [("changes", partial(trials.kept, kept, "harmless", change)) for change in (plain if changes else ())]
    work += [("cheats", partial(cheats.caught, cheat.name)) for cheat in cheats.CHEATS]
    sized = sizes.SIZES if smallest else ()
    work += [("sizes", partial(sizes.smallest_seen, one)) for one in sized]
    drawn = [(size, draw) for size in chance.SIZES for draw in range(chance.SEEDS)] if smallest else []
    work += [("chance", partial(chance.fails, size, draw)) for size, draw in drawn]
    found = dict(done(work, jobs))
    outcomes = {kind: [found[number] for number, (what, _) in enumerate(work) if what == kind] for kind, _ in work}
    results = Results(
        mistakes=outcomes.get("mistakes", []),
        changes=outcomes.get("changes", []),
        cheats=dict(zip([one.name for one in cheats.CHEATS], outcomes["cheats"], strict=True)),
        sizes=dict(zip(sized, outcomes.get("sizes", []), strict=True)),
        chances=chance.compared(by_size(drawn, outcomes["chance"])) if drawn else [],
        machine=f"{os.cpu_count()} cores of {hardware.processor()}",
        minutes=(time.monotonic() - begun) / 60,
    )
    report.write(results, out)
    print(report.text(results))
    Console(stderr=True).print(f"the page is {out / 'index.html'}", markup=False, highlight=False)
    return 0 if results.good else 1


def by_size(drawn: Sequence[tuple[float, int]], failed: Sequence[bool]) -> dict[float, list[bool]]:
    """Return for each size of a mistake in which draws it was seen."""
    found: dict[float, list[bool]] = {}
    for (size, _), one in zip(drawn, failed, strict=True):
        found.setdefault(size, []).append(one)
    return found


def done(work: Sequence[tuple[str, Callable[[], Any]]], jobs: int) -> Iterator[tuple[int, Any]]:
    """Run all trials in processes of their own; yield the number and the result of each."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
        Progress(*columns, console=Console(stderr=True)) as bar,
    ):
        task = bar.add_task("trials", total=len(work))
        futures = {pool.submit(function): number for number, (_, function) in enumerate(work)}
        for future in as_completed(futures):
            bar.advance(task)
            yield futures[future], future.result()


def code_digest() -> str:
    """Return a digest of the code on which an outcome depends."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(tyro.cli(main, description=__doc__))
