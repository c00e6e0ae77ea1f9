"""Prints the ratios of several machines in one Markdown table: `python -m tests.bench.side_by_side FILE...`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional, arg

from jax_impl.errors import ArgumentError, UserError
from tests.bench import comparison, tables
from tests.bench.ratios import ratios


def table(found: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return a Markdown table: a row for each ratio, a column for each machine, an empty cell for what is missing.

    Each machine is the name of its file and its results: clouds hide which processor it is behind one name for all.
    """
    by_machine = [ratios(results) for _, results in found]
    names = dict.fromkeys(name for one in by_machine for name in one)
    rows = [(name, *(one[name].cell() if name in one else "" for one in by_machine)) for name in names]
    headings = [f"{name}: {comparison.heading(results)}" for name, results in found]
    return tables.markdown(("ratio", *headings), rows)


def main(files: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILE...", help="bench.json of each.")]) -> int:
    """Print the ratios of several machines, one column each. Medians of the rounds, with their range."""
    try:
        if not files:
            raise ArgumentError("side_by_side needs a FILE: name a bench.json that python -m tests.bench has written")
        print(table([(file.stem, comparison.read(file)) for file in files]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main, prog="python -m tests.bench.side_by_side"))
