"""Run folders: whether they can be written, and their config.json."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jax_impl import data
from jax_impl.errors import UserError
from jax_impl.storage import files, hardware


def check_writable(out: Path) -> None:
    """Check that a run can be written to `out`, before anything is trained. Create the folder if necessary.

    Raises:
        UserError: `out` is a file or cannot be written.
    """
    try:
        if out.exists() and not out.is_dir():
            raise UserError(f"--out {out} is a file: name a folder")
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise UserError(f"cannot write to --out {out}: {error.strerror or error}; name another folder") from error


def describe(out: Path, results: Sequence[str], **settings: object) -> None:
    """Write config.json with the settings, versions and device, and delete these results of an earlier run."""
    where = hardware.describe()
    config = {
        "package": "jax_impl",
        **settings,
        "versions": {"python": where["python"]} | where["versions"],
        "device": where["device"],
        "data_sha256": data.SHA256,
    }
    files.write(out / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    for name in results:
        (out / name).unlink(missing_ok=True)
