"""`make parity`: climb the whole ladder, plant every fault, and write the report.

Finished parts are kept in a folder whose name depends on the code. An interrupted climb continues from them; changed
code starts from the beginning.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from jax_impl.commands.shared.cores import cores
from jax_impl.errors import UserError, require_integer
from jax_impl.storage import hardware
from tests.parity import report
from tests.parity.cells import PACKAGES, folder_of_code, jobs_that_fit, seconds
from tests.parity.climbing import climb


def main(
    size: Annotated[Literal["full", "quick"], arg(help="How much to measure.")] = "full",
    jobs: Annotated[
        int | None, arg(metavar="N", help="Processes at the same time.", help_behavior_hint="(default: one per core)")
    ] = None,
    out: Annotated[Path, arg(metavar="DIR", help="Folder of the report.")] = Path("reports/parity"),
) -> int:
    """Climb the parity ladder, plant every fault, and write parity.json, parity.md and index.html."""
    if jobs is not None:
        require_integer(jobs, "--jobs", 1)
    jobs = jobs or jobs_that_fit(cores())
    folder = folder_of_code(out / "cells", size, jobs)
    rungs, faults = climb(folder, size, jobs)
    result = {
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "size": size,
        "seconds": seconds(folder),
        "machine": hardware.describe(PACKAGES),
        "rungs": rungs,
        "faults": faults,
    }
    report.write(result, out)
    failed = [f"rung {rung['number']} ({rung['title']})" for rung in rungs if not rung["passed"]]
    missed = [f"the fault {fault['name']!r}" for fault in faults if fault["first"] != fault["expected"]]
    print(f"{len(rungs) - len(failed)} of {len(rungs)} rungs pass")
    print(f"{len(faults) - len(missed)} of {len(faults)} planted faults are caught first by the rung that should")
    print(f"written to {out / 'index.html'}")
    for what in (*failed, *missed):
        print(f"failed: {what}", file=sys.stderr)
    return 1 if failed or missed else 0


if __name__ == "__main__":
    try:
        sys.exit(tyro.cli(main))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted: finished parts are kept; repeat the command to continue", file=sys.stderr)
        sys.exit(130)
