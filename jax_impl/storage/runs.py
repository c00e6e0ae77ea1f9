"""The files of a run: config.json, metrics.jsonl, params.safetensors, curve.png."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jax_impl import data, interop
from jax_impl.errors import UserError
from jax_impl.model import Params
from jax_impl.recipes import Recipe
from jax_impl.storage import files, hardware
from jax_impl.trainer.trajectory import EpochRecord


def check(out: Path) -> None:
    """Check that a run can be written to `out`, before anything is trained.

    Raises:
        UserError: `out` is a file, or cannot be made or written, or its path has letters that the locale has not.
    """
    if any("\udc80" <= letter <= "\udcff" for letter in str(out.absolute())):  # as Python spells such bytes
        raise UserError(
            f"--out {out} has letters that the locale cannot spell ({sys.getfilesystemencoding()}): set PYTHONUTF8=1, "
            "or name a folder without them"
        )
    try:
        if out.exists() and not out.is_dir():
            raise UserError(f"--out {out} is a file: name a folder, or a new one")
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise UserError(f"cannot write to --out {out}: {error.strerror or error}; name another folder") from error


def begin(out: Path, recipe: Recipe, *, stream: str, anew: bool = True) -> None:
    """Say in config.json what is run, and, if that is begun anew, take an earlier run's results out of the folder.

    Called when there is something to put in their place, so that a run that comes to nothing costs nothing.
    """
    results = ("metrics.jsonl", "params.safetensors", "curve.png") if anew else ()
    describe(out, results, recipe=asdict(recipe), stream=stream)


def describe(out: Path, results: Sequence[str], **settings: object) -> None:
    """Write config.json, with the settings, versions and the device, and remove the results of an earlier run."""
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


def finish(out: Path, recipe: Recipe, records: Sequence[EpochRecord], params: Params) -> None:
    """Write the results: what every epoch measured, the parameters after the last, and the curve."""
    record(out, records)
    interop.save(out / "params.safetensors", params)
    if records:
        from jax_impl.figures import curve  # with Matplotlib, which only who writes has to wait for

        files.write(out / "curve.png", curve.curve(records, f"{recipe.name}, seed {recipe.seed}, JAX"))


def record(out: Path, records: Sequence[EpochRecord]) -> None:
    """Write one line of JSON an epoch."""
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    files.write(out / "metrics.jsonl", lines.encode())
