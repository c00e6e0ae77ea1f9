"""The files of a run, the same as jax_impl's: config.json, metrics.jsonl, params.safetensors, curve.png."""

import contextlib
import errno
import hashlib
import io
import json
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from filelock import FileLock, Timeout
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter
from safetensors import SafetensorError

from torch_ref import data
from torch_ref.errors import UserError
from torch_ref.recipes import Recipe
from torch_ref.train import EpochRecord

PACKAGES = ("torch", "torchvision", "numpy")


def check(out: Path) -> None:
    """Check that a run can be written to `out`, before anything is trained.

    Raises:
        UserError: `out` is a file, or cannot be made or written.
    """
    try:
        if out.exists() and not out.is_dir():
            raise UserError(f"--out {out} is a file: name a folder, or a new one")
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise UserError(f"cannot write to --out {out}: {error.strerror or error}; name another folder") from error


def begin(out: Path, recipe: Recipe, *, loader: str, device: torch.device, anew: bool = True) -> None:
    """Say in config.json what is run, and, if that is begun anew, take an earlier run's results out of the folder.

    Called when there is something to put in their place, so that a run that comes to nothing costs nothing.
    """
    config = {
        "package": "torch_ref",
        "recipe": asdict(recipe),
        "loader": loader,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "data_sha256": data.SHA256,
    }
    write(out / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    for name in ("metrics.jsonl", "params.safetensors", "curve.png") if anew else ():
        (out / name).unlink(missing_ok=True)


def check_room(out: Path, size: int) -> None:
    """Check that so many bytes can be written to a folder, before what is in it gives way to them.

    Raises:
        UserError: They cannot; nothing was written.
    """
    try:
        with tempfile.TemporaryFile(dir=out) as file:
            if hasattr(os, "posix_fallocate"):  # not on a Mac
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(out).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise UserError(
            f"cannot write {size / 1e6:.0f} MB to {out}: {error.strerror or error}; make room, or name another --out"
        ) from error


@contextlib.contextmanager
def taken(out: Path) -> Iterator[None]:
    """Keep other processes out of a folder for as long as the context lasts.

    The lock is the system's, on a file that names its owner: it ends with the process, however that ends.

    Raises:
        UserError: Another process has it, or the folder cannot be written.
    """
    path = out / ".lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
        path.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
    except Timeout as error:
        owner = path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        raise UserError(f"{out} is in use by {owner}: wait for it, or name another --out") from error
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}; name another --out") from error
    try:
        yield
    finally:
        lock.release()


def record(out: Path, records: Sequence[EpochRecord]) -> None:
    """Write one line of JSON an epoch."""
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    write(out / "metrics.jsonl", lines.encode())


def finish(out: Path, recipe: Recipe, records: Sequence[EpochRecord], tensors: dict[str, torch.Tensor]) -> None:
    """Write the results: what every epoch measured, the parameters after the last, and the curve."""
    record(out, records)
    write(out / "params.safetensors", sealed(tensors))
    if records:
        write(out / "curve.png", curve(records, f"{recipe.name}, seed {recipe.seed}, PyTorch"))


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of the parameters, which training goes on changing."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def load(path: Path, layers: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Read the parameters of a network of these layers from what either implementation wrote.

    Raises:
        UserError: The file cannot be read, is no safetensors file, is damaged, or holds another network.
    """
    try:
        content = path.read_bytes()
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(content)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; name the params.safetensors that `train` wrote"
        ) from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path} is no safetensors file ({error}); name the one that `train` wrote") from error
    seal = _header(content).get("__metadata__", {}).get("sha256")
    if seal is not None and seal != _digest(content):  # other writers set none
        raise UserError(f"{path} is damaged, for its content is not what was written: take a copy, or train it anew")
    expected: dict[str, tuple[int, ...]] = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(layers), start=1):
        expected |= {f"linear{number}.weight": (fan_out, fan_in), f"linear{number}.bias": (fan_out,)}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        name = min(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise UserError(
            f"{path} is another network's: {name} must be {expected.get(name, 'absent')}, "
            f"got {found.get(name, 'none')}; name the recipe that it was trained with"
        )
    if {tensor.dtype for tensor in tensors.values()} not in ({torch.float32}, {torch.float64}):
        raise UserError(f"{path} must hold only float32 or only float64 tensors, as `train` writes them")
    return tensors


def sealed(tensors: dict[str, torch.Tensor]) -> bytes:
    """Return a safetensors file whose metadata hold the SHA-256 of the tensors, their names, dtypes and shapes."""
    digest = _digest(safetensors.torch.save(tensors))
    content: bytes = safetensors.torch.save(tensors, metadata={"sha256": digest})
    return content


def _header(content: bytes) -> dict[str, Any]:
    """Return what stands before the tensors of a safetensors file: 8 bytes of its length, and JSON."""
    header: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return header


def _digest(content: bytes) -> str:
    header = {name: place for name, place in _header(content).items() if name != "__metadata__"}
    length = 8 + int.from_bytes(content[:8], "little")
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + content[length:]).hexdigest()


def curve(records: Sequence[EpochRecord], title: str) -> bytes:
    """Return a PNG of the cost (on a log scale where it falls far) and of the test accuracy, by epoch."""
    epochs = [record.epoch for record in records]
    costs = [record.cost for record in records]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    figure.suptitle(title)
    cost, accuracy = figure.subplots(1, 2)
    cost.plot(epochs, costs, "o-", color="tab:blue", markersize=4)
    cost.set(xlabel="epoch", ylabel="training cost (cross-entropy, nats)")
    if max(costs) > 3 * min(costs) > 0:
        cost.set_yscale("log")
        cost.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        cost.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        cost.yaxis.set_minor_formatter(NullFormatter())
    accuracy.plot(epochs, [record.test_accuracy for record in records], "o-", color="tab:orange", markersize=4)
    accuracy.set(xlabel="epoch", ylabel="test accuracy (10,000 images)")
    accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))
    for axes in (cost, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(visible=True, alpha=0.3)
    last = records[-1]
    cost.set_title(f"cost {last.cost:.4f} after epoch {last.epoch}", fontsize="medium")
    accuracy.set_title(f"accuracy {last.test_accuracy:.2%} after epoch {last.epoch}", fontsize="medium")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    return png.getvalue()


def write(path: Path, content: bytes) -> None:
    """Write aside, flush to the disk, then rename: a reader sees the old file or the new one, never a part.

    Raises:
        UserError: The folder cannot be written or the disk is full; the old file stays.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; name a folder that can be written") from error
