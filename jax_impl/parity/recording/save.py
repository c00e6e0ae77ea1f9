"""`parity.save` and `parity.prove`: run the port from the reference's start and write its record."""

import contextlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from jax_impl.errors import UserError
from jax_impl.parity.arrays import NAME, Store
from jax_impl.parity.recording.content import recorded
from jax_impl.parity.recording.port import Port
from jax_impl.parity.recording.progress import Progress
from jax_impl.parity.recording.theirs import Theirs
from jax_impl.storage import hardware

PACKAGES = ("jax", "jaxlib", "flax", "equinox", "optax", "numpy")
Given = Mapping[str, str | tuple[str, ...]]


def save(
    folder: str | Path,
    *,
    model: Any,
    loss: Callable[..., Any],
    optimizer: Any,
    start: str | Path,
    state: Any = None,
    batches: Iterable[Any] | None = None,
    load: bool = True,
    pairs: Given | None = None,
    fresh: Callable[[int], Any] | None = None,
    accuracy: Sequence[float] | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Run a port from a reference's record and write the port's record. Return its folder.

    Args:
        folder: Of the new record; an older record in it is replaced.
        model: A Flax NNX module, a Linen module or (module, variables), an Equinox module, or a pytree of arrays.
        loss: `loss(model, batch)` returns a scalar. The model comes merged or bound, in training or evaluation mode. A
            batch has the structure, and the layout, of the reference's. Parameters named `train` (bool) and `key` (a
            JAX key) are passed if the function has them.
        optimizer: An Optax transformation, with schedule and clipping.
        start: The reference's record.
        state: Of an Equinox model or of plain functions: `loss(model, batch, state)` returns the value and a new state.
        batches: The port's own batches, if they are to be compared. Training uses the reference's.
        load: False keeps the model's own weights: they are compared with the reference's, as your converter made them.
        pairs: The port's leaf for a leaf of the reference, by name, where names and shapes do not tell.
        fresh: Makes a model from a seed, to compare initial distributions.
        accuracy: One number for each of several independent runs, to compare their means.
        seed: Of the keys that the loss gets.
        progress: Takes a line that says what is being done. None writes it to the terminal, if any, and to the log
            `jax_impl.parity`.

    Raises:
        UserError: The record cannot be read or written, or the port does not fit it.
    """
    check_folder(Path(folder), Path(start))
    require_optax(optimizer)
    theirs, store, report = Theirs(Path(start)), Store(), Progress(progress)
    own_fresh = None if fresh is None else in_own_precision(fresh)
    with precision(theirs):
        report("pairing the weights")
        port = Port(theirs, model, loss, state=state, load=load, pairs=pairs or {}, seed=seed)
        content = {
            "side": "jax",
            "start_of": theirs.digest,
            "loaded": load,
            "versions": versions(),
            "machine": machine(),
            **recorded(port, optimizer, batches=batches, fresh=own_fresh, store=store, progress=report),
            "accuracy": None if accuracy is None else [float(value) for value in accuracy],
        }
    report(f"writing {folder}")
    store.write(Path(folder), content)
    return Path(folder)


def check_folder(folder: Path, start: Path) -> None:
    """Raise a UserError if the record would replace the reference's, or that of another original."""
    if folder.resolve() == start.resolve():
        raise UserError(f"{folder} holds the record from which the port starts: name another folder")
    try:
        side = json.loads((folder / NAME).read_bytes())["side"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing, or nothing that can be read
    if side != "jax":
        raise UserError(f"{folder} holds an original's record: name another folder, or delete it")


def require_optax(optimizer: Any) -> None:
    """Raise a UserError if the optimizer is no Optax transformation."""
    if not (callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))):
        raise UserError(
            f"optimizer must be an Optax transformation, got {type(optimizer).__name__}: pass what it wraps, such as "
            "optax.adam(1e-3)"
        )


def prove(theirs: str | Path, **port: Any) -> Any:
    """Run a port from a reference's record and compare the two. Return the verdict; `.require()` raises if it fails.

    `port` is what `save` takes, without `folder` and `start`.
    """
    from jax_impl.parity import compare_records

    with tempfile.TemporaryDirectory() as folder:
        return compare_records(theirs, save(Path(folder) / "ours", start=theirs, **port))


@contextlib.contextmanager
def precision(theirs: Theirs) -> Iterator[None]:
    """Compute as precisely as the reference was recorded, and as JAX does by default for its users."""
    with jax.enable_x64(theirs.float64), jax.numpy_rank_promotion("allow"):
        yield


def in_own_precision(build: Callable[[int], Any]) -> Callable[[int], Any]:
    """Return a function that builds its models as the user's program does, whatever is recorded in float64."""
    wide = jax.config.read("jax_enable_x64")

    def built(seed: int) -> Any:
        with jax.enable_x64(wide):
            return build(seed)

    return built


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are imported."""
    known = {name: getattr(sys.modules[name], "__version__", "") for name in PACKAGES if name in sys.modules}
    return {"python": platform.python_version(), **known}


def machine() -> dict[str, Any]:
    """Return where the port ran."""
    return {"device": jax.devices()[0].device_kind, "processor": hardware.processor(), "threads": os.cpu_count()}
