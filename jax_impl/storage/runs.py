"""Run folders: whether they can be written, and their config.json."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jax_impl import data
from jax_impl.errors import UserError
from jax_impl.storage import configs, files, hardware
from jax_impl.storage.checkpoints import Checkpoints
from jax_impl.storage.tensors import Facts

PACKAGE = "jax_impl"


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


def check_replaceable(checkpoints: Checkpoints, settings: Facts, results: Sequence[str], *, epochs: int) -> None:
    """Check that a new run may replace what the folder holds: nothing, or a finished run of the same settings.

    Args:
        checkpoints: Those of the new run; the folder above them is the run folder.
        settings: What the new run writes to config.json.
        results: The names of the files of a run, besides config.json.
        epochs: Of the new run, as its checkpoints count them.

    Raises:
        UserError: It may not. The message names what differs and the remedies. Nothing was changed.
    """
    out = checkpoints.folder.parent
    config = configs.read(out, "add --overwrite to replace the run, or name another --out")
    held = [name for name in results if (out / name).exists()] + [checkpoints.folder.name] * bool(checkpoints.paths())
    if config is None:
        if held:
            raise UserError(
                f"{out} holds {', '.join(held)} and no config.json, so their experiment is unknown: add --overwrite "
                "to replace them, or name another --out"
            )
        return
    resume = "--resume to continue it, " if checkpoints.can_be_resumed(epochs) else ""
    if (differing := _difference(config, settings)) and (held or configs.command(config) is None):
        raise UserError(
            f"{out} holds another experiment, {differing}: add {resume}--overwrite to replace it, or name another --out"
        )
    facts = checkpoints.peek()
    if facts and facts["done"] < facts["epochs"]:
        raise UserError(
            f"{out} holds an unfinished run, {facts['done']} of {facts['epochs']} epochs: add {resume}--overwrite to "
            "replace it, or name another --out"
        )


def _difference(config: Facts, settings: Facts) -> str:
    """Return in words how the experiment of a config.json differs from these settings, or an empty string."""
    asked = {"package": PACKAGE, **settings}
    was, now = configs.command(config), configs.command(asked)
    if was is None:
        return "its config.json is not that of a run"
    if was != now:
        return f"a run of {was}, not of {now}"
    return configs.difference({name: config.get(name) for name in asked}, asked)


def describe(out: Path, results: Sequence[str], **settings: object) -> None:
    """Write config.json with the settings, versions and device, and delete these results of an earlier run.

    The results are deleted when config.json is on the disk under a temporary name: a full disk leaves the earlier run
    as it is, and a kill never leaves its results beside the new settings.
    """
    where = hardware.describe()
    config = {
        "package": PACKAGE,
        **settings,
        "versions": {"python": where["python"]} | where["versions"],
        "device": where["device"],
        "data_sha256": data.SHA256,
    }
    content = (json.dumps(config, indent=2) + "\n").encode()
    files.write(out / configs.NAME, content, delete=[out / name for name in results])
