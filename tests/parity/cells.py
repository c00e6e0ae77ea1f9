"""The parts of a climb: one process per core computes them, and files keep them.

Small matrix products do not scale over threads; whole parts do. So each process computes with one thread.
"""

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jax
import psutil

from jax_impl.errors import UserError
from jax_impl.storage import files, hardware

ROOT = Path(__file__).parents[2]
SOURCES = (
    "jax_impl/**/*.py",
    "torch_ref/**/*.py",
    "tests/parity/**/*.py",
    "tests/laws.py",
    "tests/bench/*.py",
    "constraints.txt",
)
PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch", "torchvision", "numpy")
MEMORY = 4 * 2**30  # bytes that a process may need; 2.5 GB measured with 60,000 images and both frameworks


def folder_of_code(root: Path, size: str, jobs: int) -> Path:
    """Return the folder of the parts that this code computes on this machine, and delete those of other code.

    One job computes with all cores, several with one thread each: their parts are not mixed.
    """
    fingerprint = hashlib.sha256(json.dumps([hardware.describe(PACKAGES), jobs > 1]).encode())
    for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern)):
        fingerprint.update(path.read_bytes())
    folder = root / f"{size}-{fingerprint.hexdigest()[:16]}"
    for stale in root.glob(f"{size}-*/"):
        if stale != folder:
            shutil.rmtree(stale)
    return folder


def kept(folder: Path, name: str, work: Callable[[], Any]) -> Any:
    """Return the value of a part from its JSON file; without one, compute it and write the file."""
    path = folder / f"{name}.json"
    if not path.exists():
        started = time.perf_counter()
        value = work()
        files.write(path, json.dumps({"value": value, "seconds": time.perf_counter() - started}).encode())
    return json.loads(path.read_text(encoding="utf-8"))["value"]


def seconds(folder: Path) -> float:
    """Return the seconds of all finished parts together, as if they had followed each other."""
    return sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in folder.glob("*.json"))


def jobs_that_fit(cores: int) -> int:
    """Return how many processes work at the same time: one per core, if the memory suffices."""
    return max(1, min(cores, psutil.virtual_memory().available // MEMORY))


def computed(work: Mapping[str, Callable[[], Any]], jobs: int, compiled: Path) -> Iterator[tuple[str, Any]]:
    """Compute the work in this many processes, the first ones first; yield the name and value of each as it ends.

    One job is this process. Several processes share the programs that they compile, in the folder `compiled`.

    Raises:
        Exception: What the work raised. Work that has not begun is dropped.
        UserError: A process was killed.
    """
    if jobs == 1:
        yield from ((name, function()) for name, function in work.items())
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_prepare, initargs=(compiled,))
    try:
        names = {pool.submit(function): name for name, function in work.items()}
        for future in as_completed(names):
            yield names[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process of the climb was killed, probably because the memory did not suffice: repeat the command with "
            "a smaller --jobs; finished parts are kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(compiled: Path) -> None:
    """Let JAX compute with one thread, and keep programs by their content: a planted fault has programs of its own.

    torch computes with one thread as its command does.
    """
    signal.signal(signal.SIGINT, _end_at_once)  # an interrupted part must not leave half of its state to the next one
    os.environ["NPROC"] = "1"  # read when XLA's CPU client starts
    jax.config.update("jax_compilation_cache_dir", str(compiled))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _end_at_once(*_: object) -> None:
    """End this process, as Ctrl-C asks."""
    os._exit(130)
