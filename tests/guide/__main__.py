"""`make notebook`: execute the guide's notebook. `python -m tests.guide numbers` collects the numbers that it draws."""

import sys
from pathlib import Path
from typing import Annotated

import tyro
from nbclient.exceptions import CellExecutionError
from tyro.conf import Positional, arg

from jax_impl.errors import UserError
from tests.guide import notebook as notebooks
from tests.guide import numbers as records


def notebook(out: Annotated[Path, arg(metavar="FILE", help="The notebook to write.")] = notebooks.PATH) -> None:
    """Convert docs/notebook/weight_initialization.py to a notebook and execute it, in two minutes of processor time."""
    notebooks.build(out)
    print(f"written to {out}: {out.stat().st_size / 2**20:.2f} MiB")


def numbers(
    places: Positional[Annotated[tuple[Path, ...], arg(metavar="DIR", help="Output folders of study and rbm.")]],
) -> None:
    """Put the numbers of these folders into docs/study/numbers.json. They replace those of the same name."""
    records.collect(places)
    print(f"written to {records.PATH}: {records.PATH.stat().st_size / 2**10:.0f} KiB")


if __name__ == "__main__":
    try:
        tyro.extras.subcommand_cli_from_dict({"notebook": notebook, "numbers": numbers}, description=__doc__)
    except (UserError, CellExecutionError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
