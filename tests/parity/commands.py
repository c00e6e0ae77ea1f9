"""Both command lines, run in this process on a few images: what they print, and the files that they write."""

import contextlib
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
import torch

import torch_ref.cli
import torch_ref.commands
import torch_ref.data
from jax_impl import data
from jax_impl.commands import data as command_data
from jax_impl.commands import main
from jax_impl.commands.shared.stopping import Stop
from jax_impl.data import Mnist
from jax_impl.figures import curve
from tests.parity import torch_side
from tests.parity.jax_side import Tensors

EPOCH = re.compile(r"Epoch: (\d{4}) cost = (\d+\.\d{9})  test accuracy = (\d+\.\d\d)%  \((\d+\.\d\d) s\)")
COLUMNS = ("epoch", "cost", "test_accuracy", "seconds")
ACCURACY = re.compile(r"Accuracy: ([01]\.\d{4})")

Options = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What `train` printed and wrote."""

    printed: dict[str, np.ndarray]  # by epoch, as are the metrics; the accuracy is a percentage
    metrics: dict[str, np.ndarray]  # the columns of metrics.jsonl
    config: dict[str, Any]  # the recipe and the digests of the data, from config.json
    params: bytes  # the content of params.safetensors

    @property
    def tensors(self) -> Tensors:
        """The saved parameters, read by neither implementation."""
        return safetensors.numpy.load(self.params)


def jax_train(mnist: Mnist, *commands: Options) -> Trained:
    """Run `python -m jax_impl train` with these options, one command after the other in one run folder."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        return _trained([line for options in commands for line in _jax(mnist, "train", *options, out=out)], out)


def jax_evaluate(mnist: Mnist, params: bytes, *options: str) -> float:
    """Return the accuracy that `python -m jax_impl evaluate` prints for a params.safetensors with this content."""
    with _file(params) as path:
        return _accuracy(_jax(mnist, "evaluate", *options, params=path))


@lru_cache(maxsize=8)
def torch_train(n_train: int, n_test: int, options: Options) -> Trained:
    """Run `python -m torch_ref train` on the first training and test images."""
    with tempfile.TemporaryDirectory() as folder:
        return _trained(_torch(n_train, n_test, "train", *options, out=Path(folder)), Path(folder))


@lru_cache(maxsize=32)
def torch_evaluate(n_test: int, params: bytes, *options: str) -> float:
    """Return the accuracy of the first test images that `python -m torch_ref evaluate` prints."""
    with _file(params) as path:
        return _accuracy(_torch(1, n_test, "evaluate", *options, params=path))


def _jax(mnist: Mnist, *arguments: str, **paths: Path) -> list[str]:
    def end(code: int) -> None:
        raise SystemExit(code)

    with pytest.MonkeyPatch.context() as patch, _restored(), _printed() as lines:
        patch.setattr(command_data, "ensure", lambda *_: "")
        patch.setattr(data, "load", lambda *_: mnist)
        patch.setattr(main, "use_cache", lambda: None)  # the user's cache is none of the ladder's
        patch.setattr(curve, "curve", lambda *_: b"")  # a picture of numbers that are compared as numbers
        main.run(_line(arguments, paths), Stop(end=end, log=print))
    return lines


def _torch(n_train: int, n_test: int, *arguments: str, **paths: Path) -> list[str]:
    command = torch_ref.cli.parse(_line(arguments, paths))
    run: dict[str, Callable[..., None]] = {"train": torch_ref.commands.train, "evaluate": torch_ref.commands.evaluate}
    threads = torch.get_num_threads()
    lines: list[str] = []
    few = {dtype: torch_side.part(n_train, n_test, dtype) for dtype in ("float32", "float64")}
    with pytest.MonkeyPatch.context() as patch, _printed():
        patch.setattr(torch_ref.data, "load", lambda _, dtype="float32": few[dtype])
        try:
            run[arguments[0]](command, lines.append)
        finally:
            torch.set_num_threads(threads)
    return lines


def _line(arguments: Sequence[str], paths: dict[str, Path]) -> list[str]:
    return [*arguments, *(part for name, path in paths.items() for part in (f"--{name}", str(path)))]


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """Take back the precision that a command sets for its process."""
    before = jax.config.read("jax_enable_x64")
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


@contextlib.contextmanager
def _printed() -> Iterator[list[str]]:
    """Collect the lines that are printed to standard output; there is no terminal, hence no progress bar."""
    lines: list[str] = []
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        yield lines
    lines += output.getvalue().splitlines()


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.safetensors"
        path.write_bytes(content)
        yield path


def _trained(lines: Sequence[str], out: Path) -> Trained:
    """Parse the lines and the files of a run folder.

    Raises:
        ValueError: A line is neither an epoch's nor one of the last two of a command.
    """
    others = {"Learning finished", f"written to {out}"}
    found = [EPOCH.fullmatch(line) for line in lines if line not in others]
    if None in found or not others <= set(lines):
        raise ValueError(f"not the lines of a training: {lines}")
    rows = np.array([match.groups() for match in found if match], np.float64).reshape(-1, len(COLUMNS))
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    return Trained(
        printed=dict(zip(COLUMNS, rows.T, strict=True)),
        metrics={name: np.array([record[name] for record in records], np.float64) for name in COLUMNS},
        config=config["recipe"] | config["data_sha256"],
        params=(out / "params.safetensors").read_bytes(),
    )


def _accuracy(lines: Sequence[str]) -> float:
    """Parse what `evaluate` prints.

    Raises:
        ValueError: It is not one line with an accuracy of four decimals.
    """
    match = ACCURACY.fullmatch(lines[0]) if len(lines) == 1 else None
    if match is None:
        raise ValueError(f"not the line of an evaluation: {lines}")
    return float(match[1])
