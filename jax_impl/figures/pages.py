"""Templates of HTML pages, and the links between them."""

import os
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

REPORTS = {  # by the folder below `reports`: the file, and its name in a link
    "study": ("index.html", "Initialisation study"),
    "explore": ("index.html", "Explorer"),
    "parity": ("index.html", "Parity ladder"),
    "power": ("index.html", "Power of the ladder"),
    "bench": ("bench.md", "Benchmark"),
}


def other_reports(folder: Path, own: str) -> dict[str, str]:
    """Return the names of the other reports by their addresses relative to `folder`, that of the report `own`.

    Only reports that exist now are among them: no link is dead.
    """
    parent = Path(os.path.abspath(folder)).parent  # noqa: PTH100 - resolves "..", not symbolic links, as a browser does
    return {
        f"../{name}/{file}": title
        for name, (file, title) in REPORTS.items()
        if name != own and (parent / name / file).is_file()
    }


@lru_cache(maxsize=4)
def templates(*folders: Path) -> Environment:
    """Return the templates in these folders and this one. They escape HTML, and an undefined variable is an error."""
    loader = FileSystemLoader([*folders, Path(__file__).parent])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
