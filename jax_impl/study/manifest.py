"""What a study's report is of: `study.json` beside the records."""

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
    """Note which records the report is of; what was noted before of the other kind stays.

    Raises:
        UserError: The file cannot be read or written.
    """
    contents = read(out)
    keys = [cell.key for cell in cells]
    contents["cells"] = keys or contents["cells"]
    contents["presets"] |= {name: list(seeds) for name, seeds in (measured or {}).items()}
    files.write(out / NAME, (json.dumps(records.sealed(contents), indent=1) + "\n").encode())


def read(out: Path) -> dict[str, Any]:
    """Return what was noted: the keys of the last grid's `cells`, and the seeds of each of the `presets`.

    Raises:
        UserError: The file cannot be read, or says something else.
    """
    path = out / NAME
    try:
        contents = records.unsealed(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {"cells": [], "presets": {}}
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; delete it, the records stay") from error
    match contents:
        case {"cells": list(cells), "presets": dict(presets)} if all(isinstance(key, str) for key in cells) and all(
            isinstance(seeds, list) and all(type(seed) is int for seed in seeds) for seeds in presets.values()
        ):
            return {"cells": cells, "presets": presets}
    raise UserError(f"{path} does not say what the report is of: delete it, the records stay")
