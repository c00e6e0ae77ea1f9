"""The file `study.json`: which records the report of a study shows."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jax_impl.errors import UserError
from jax_impl.storage import files, records
from jax_impl.study import cells as study_cells
from jax_impl.study.presets.preset import Seeds

NAME = "study.json"


def remember(out: Path, *, cells: Iterable[study_cells.Cell] = (), measured: Mapping[str, Seeds] | None = None) -> None:
    """Put the cells of a grid or measured presets into the report. A new grid replaces the one before; presets add up.

    Raises:
        UserError: The file cannot be read or written, or is damaged.
    """
    content = read(out)
    content["cells"] = [cell.key for cell in cells] or content["cells"]
    content["presets"] |= {name: list(seeds) for name, seeds in (measured or {}).items()}
    files.write(out / NAME, (json.dumps(records.with_checksum(content), indent=1) + "\n").encode())


def read(out: Path) -> dict[str, Any]:
    """Return the keys of the last grid's `cells`, and the seeds of each of the `presets` by its name.

    Raises:
        UserError: The file cannot be read, or is damaged.
    """
    path = out / NAME
    try:
        return records.verified(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {"cells": [], "presets": {}}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; name another --out") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: delete it and repeat the command; the records are kept") from error
