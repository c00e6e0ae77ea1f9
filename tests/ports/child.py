"""One step of a proof in a process of its own, which prints a line and what the process used.

python -m tests.ports.child record MODEL RECORD
python -m tests.ports.child port MODEL RECORD RECORD
python -m tests.ports.child prove MODEL RECORD RECORD
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

from tests.ports.catalogue import FULL, PORTS


def done(step: str, model: str, theirs: Path, ours: Path | None = None) -> Any:
    """Take a step; return the line that tells of it, and whether all is well."""
    if step == "record":
        from torch_ref import record

        record.save(theirs, **(PORTS | FULL)[model].reference())
        return "recorded", True
    from jax_impl import parity

    if step == "port":
        parity.save(ours, start=theirs, **(PORTS | FULL)[model].port())
        return "recorded", True
    verdict = parity.compare_records(theirs, ours)
    return verdict.first_line, verdict.passed


if __name__ == "__main__":
    line, passed = done(*sys.argv[1:3], *map(Path, sys.argv[3:]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(line)
    print(json.dumps({"seconds": used.ru_utime + used.ru_stime, "bytes": used.ru_maxrss * 1024}))
    sys.exit(not passed)
