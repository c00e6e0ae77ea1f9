"""The options of `prove`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jax_impl.commands.options import shared
from jax_impl.commands.options.shared import FILES, flag, option
from jax_impl.errors import require

JUDGING = "judging"


@dataclass(frozen=True, kw_only=True)
class Prove:
    """Compare a port with its original, by the records of both, and say where they first part.

    Needs neither PyTorch nor JAX. The exit code is 0 if the port is faithful, and 1 if it is not.
    """

    theirs: Annotated[Path, option("THEIRS", "The original's record, from torch_ref.record.save.", group=FILES)]
    ours: Annotated[Path, option("OURS", "The port's record, from jax_impl.parity.save.", group=FILES)]
    margin: Annotated[
        float, option("X", "Difference of mean accuracies that does not matter, above 0.", group=JUDGING)
    ] = 0.005
    out: Annotated[
        Path | None, option("DIR", "Folder for report.json, report.md and index.html.", "no report", group=FILES)
    ] = None
    json: Annotated[bool, flag("Print the report as JSON.", group=FILES)] = False
    debug: shared.Debug = False


def check(command: Prove) -> None:
    """Raise an ArgumentError if the margin is no positive number, or the report would lie among other files."""
    require(0 < command.margin < math.inf, "--margin", "a number above 0", command.margin)
    shared.check_out(command.out)
    records = [command.theirs.resolve(), command.ours.resolve()]
    apart = command.out is None or command.out.resolve() not in records
    require(apart, "--out", "a folder other than the records", str(command.out))
