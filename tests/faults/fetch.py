"""`python -m tests.faults.fetch SPEC PACKAGE WORDS…`: a package's command line that trusts a loopback mirror.

SPEC is a JSON file: the `sums` to expect, and how many seconds of `silence` and in all (`limit`) a mirror has.
"""

import json
import sys
from pathlib import Path


def main() -> int:
    """Run the command line, with little patience."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    package, sys.argv[1:] = sys.argv[2], sys.argv[3:]
    if package == "jax_impl":
        from jax_impl.commands import main as ours
        from jax_impl.fetch import sources

        sources.SILENCE, sources.LIMIT = spec["silence"], spec["limit"]
        sums = spec["sums"]["sha256"].items()
        sources.registered = lambda: {name: ("", size, checksum) for name, (size, checksum) in sums}
        return ours.main()
    from torchvision.datasets import MNIST

    from torch_ref import __main__ as theirs
    from torch_ref import data

    data.SILENCE = spec["silence"]
    MNIST.resources = list(spec["sums"]["md5"].items())
    return theirs.main()


if __name__ == "__main__":
    sys.exit(main())
