"""How Orbax writes and reads one checkpoint: one array of bytes, and facts as JSON."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_impl.storage.packing import Arrays, Facts, digest, joined, parted

KEPT = 2
PARTS = ("arrays", "facts")
NAME = "content"  # of the only array


class Saved(NamedTuple):
    """The content of a checkpoint."""

    arrays: Arrays
    facts: Facts


# Orbax takes half a second to import, and has nothing to do before the first epoch is over.


def _alone() -> Any:
    """Say that only this process reads and writes: Orbax would wait for the others of a cluster."""
    from orbax.checkpoint.options import MultiprocessingOptions

    return MultiprocessingOptions(
        primary_host=jax.process_index(), active_processes={jax.process_index()}, barrier_sync_key_prefix="alone"
    )


def _handler(part: str) -> Any:
    """Return what reads and writes a part.

    Without OCDBT, with which TensorStore loses 260 bytes of memory at every array that it writes.
    """
    import orbax.checkpoint as ocp

    if part == "arrays":
        return ocp.PyTreeCheckpointHandler(use_ocdbt=False, multiprocessing_options=_alone())
    return ocp.JsonCheckpointHandler(multiprocessing_options=_alone())


def _reader(part: str) -> Any:
    import orbax.checkpoint as ocp

    return ocp.Checkpointer(_handler(part), multiprocessing_options=_alone())


def manager(folder: Path) -> Any:
    """Return what writes checkpoints into a folder, the last two of which it keeps."""
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEPT,
        create=False,
        enable_async_checkpointing=True,
        multiprocessing_options=_alone(),
    )
    return ocp.CheckpointManager(folder, options=options, item_handlers={part: _handler(part) for part in PARTS})


def content(arrays: Arrays, identity: Facts, facts: Facts) -> Any:
    """Return what a manager saves, sealed."""
    from orbax.checkpoint import args

    # One array of bytes: of many that cannot be written, Orbax names one and the others complain past it.
    whole, layout = joined(arrays)
    told = {"identity": identity, "facts": facts, "layout": layout}
    sealed = told | {"digest": digest(arrays, told)}
    return args.Composite(arrays=args.PyTreeSave({NAME: whole}), facts=args.JsonSave(sealed))


def read(path: Path) -> Saved | None:
    """Return the content of one checkpoint, whose facts hold its `identity` and its own `facts`; None if damaged."""
    facts = _facts(path)
    if facts is None:
        return None
    from orbax.checkpoint.args import PyTreeRestore

    try:
        with _reader("arrays") as reader:
            content = reader.restore((path / "arrays").absolute(), args=PyTreeRestore({NAME: 0}))[NAME]
        arrays = parted(np.asarray(content), facts["layout"])
    except Exception:  # damaged bytes make a reader fail in any way it likes
        return None
    return Saved(arrays, facts) if facts.pop("digest", "") == digest(arrays, facts) else None


def _facts(path: Path) -> Facts | None:
    try:
        with _reader("facts") as reader:
            facts = reader.restore((path / "facts").absolute())
    except Exception:  # as above
        return None
    match facts:
        case {"facts": dict(), "identity": dict(), "layout": list()}:
            return dict(facts)
    return None
