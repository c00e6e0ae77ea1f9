"""A disk that is full: no file may grow beyond a limit, from the start or from some moment on."""

import random
import re
import resource
import shutil
import time
from functools import partial
from pathlib import Path

from jax_impl import data
from tests.faults.cases import Case, Part, World
from tests.faults.commands import TASKS, Process, command, ended, judged, run, start, until_begun
from tests.faults.interrupts import as_if_nothing_had_been
from tests.faults.mirrors import Source, fetching, genuine

SIZES = (0, 1000, 20_000, 300_000)  # bytes: below a config.json, a curve.png, a params.safetensors
FULL = (0, 2000, 20_000)  # for the lock, for a config.json too, for all but parameters and checkpoints
DOWNLOADED = (0, 5000, 1_000_000, 9_000_000, 30_000_000)  # and below each of what a download leaves


def limit(process: Process, size: int) -> None:
    """Let no file of a process grow beyond so many bytes from now on."""
    if process.poll() is None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))


def sudden(world: World, task: str, moment: float, size: int) -> str:
    """Let the disk be full from a moment on, from 0 (it begins) to 1 (it is over); return what is wrong."""
    whole, out = world.whole(task), world.folder()
    process = start(command(task, "--out", str(out)), world.data_dir)
    until_begun(task, process, out)
    time.sleep(moment * (whole.over - whole.begun))
    limit(process, size)
    found = ended(process)
    return judged(found, 0, 1) or as_if_nothing_had_been(world, task, out)


def full(world: World, task: str, size: int) -> str:
    """Begin on a disk that is full, or as good as full, where an earlier run lies; return what is wrong."""
    out = world.folder()
    shutil.copytree(world.whole(task).out, out)
    if task == "study":
        (out / "index.html").unlink()  # there is nothing to do but the report
    before = contents(out)
    process = start(command(task, "--out", str(out)), world.data_dir)
    limit(process, size)
    if wrong := judged(ended(process), 1):
        return wrong
    return "" if contents(out) == before else f"changed {sorted(contents(out).items() ^ before.items())}"


def contents(out: Path) -> dict[str, bytes]:
    """Return every file of a folder but the lock's."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def unfetched(world: World, source: Source, package: str, size: int) -> str:
    """Fetch MNIST onto a full disk, and again once there is room; return what is wrong."""
    root = world.folder()
    found = fetching(world, source, package, root, size=size)
    if wrong := judged(found, 1):
        return wrong
    if not re.search(
        "File too large; (check it, or )?name another( folder)?( with --data-dir( or MNIST_DATA_DIR)?)?$", found.last
    ):
        return f"said {found.err!r}"
    raw = data.raw_folder(root)
    for path in raw.iterdir() if raw.is_dir() else ():
        if path.name != ".lock" and not data.is_genuine(path.name, path.read_bytes()):
            return f"left {path.name}"
    found = fetching(world, source, package, root)
    return judged(found, 0) or genuine(root)


def unsaid(world: World, package: str) -> str:
    """Let the lines go to a file on a full disk; return what is wrong with how that ends."""
    out = world.folder()
    words = " ".join(command(package, "--out", str(out)))
    found = run(["bash", "-c", f"{words} > /dev/full"], world.data_dir)
    return judged(found, 1) or as_if_nothing_had_been(world, package, out)


def part(world: World, source: Source, count: int, seed: int) -> Part:
    """Return so many moments of every kind of command, and a full disk for every stage."""
    draw, found = random.Random(f"{seed} disks"), []
    for number in range(count):
        task, size = list(TASKS)[number % len(TASKS)], draw.choice(SIZES)
        moment = draw.random()
        title = f"{task}, {size} bytes from moment {moment:.3f} on"
        found.append(Case(title, partial(sudden, world, task, moment, size)))
    found += [
        Case(f"{task}, {size} bytes over an earlier one", partial(full, world, task, size))
        for task in TASKS
        for size in FULL[: 1 if task == "study" else None]  # a study takes nothing away
    ]
    for package in ("jax_impl", "torch_ref"):
        found.append(Case(f"{package}, lines on a full disk", partial(unsaid, world, package)))
        for size in DOWNLOADED:
            title = f"{package} downloads, {size} bytes"
            found.append(Case(title, partial(unfetched, world, source, package, size)))
    return Part("disk full", "said in a line; what was there is there", found)
