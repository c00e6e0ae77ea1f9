"""Processes that start at once: eight ask for data, two want one folder."""

import os
import re
import shutil
import sys
from collections import Counter
from functools import partial

from jax_impl import data
from tests.faults.cases import Case, Part, World
from tests.faults.commands import command, ended, judged, start
from tests.faults.mirrors import Source, genuine

ASKING = 8


def eight(world: World, source: Source) -> str:
    """Let eight processes ask for data in an empty folder, one of them torch_ref's; return what is wrong."""
    root = world.folder()
    way = f"/{root.parent.name}/"  # of its own, to see what was asked; nothing goes wrong on it
    environment = os.environ | {"MNIST_MIRROR": source.mirror.url + way, "NO_PROXY": "127.0.0.1"}
    apart = environment | {"MNIST_MIRROR": f"{source.mirror.url}/{root.parent.name}-torch/"}
    fetch = [sys.executable, "-m", "tests.faults.fetch", str(source.spec)]
    words = [[*fetch, "jax_impl", "data"] for _ in range(ASKING - 1)]
    reference = [*fetch, "torch_ref", "train", "--epochs", "0", "--out", str(world.folder())]
    processes = [start(one, root, environment) for one in words] + [start(reference, root, apart)]
    found = [ended(process) for process in processes]
    if wrong := [text for one in found if (text := judged(one, 0))]:
        return "; ".join(wrong)
    asked = Counter(path.removeprefix(f"GET {way}") for path in source.mirror.paths if path.startswith(f"GET {way}"))
    # torch_ref takes no lock: it fetches what is missing for itself, and moves it into the place of the same content.
    if not set(asked) <= {f"{name}.gz" for name in data.SHA256} or max(asked.values(), default=1) > 1:
        return f"fetched {dict(asked)}"
    wrong = genuine(root)
    shutil.rmtree(root.parent)
    return wrong


def two(world: World, package: str) -> str:
    """Start two runs into one folder; return what is wrong. torch_ref takes no lock: the last one's files stay."""
    out = world.folder()
    pair = [start(command(package, "--out", str(out)), world.data_dir) for _ in range(2)]
    found = sorted(ended(process) for process in pair)
    refused = 1 if package == "jax_impl" else 0
    if wrong := judged(found[0], 0) or judged(found[1], refused):
        return wrong
    owner = r"(process \d+ on .+|another process)"
    said = rf"error: {out} is in use by {owner}: wait for it, or name another --out\n" if refused else ""
    if not re.fullmatch(said, found[1].err):
        return f"said {found[1].err!r}"
    return world.other_result(package, out)


def parts(world: World, source: Source, fetches: int, pairs: int) -> list[Part]:
    """Return so many rounds of eight that ask for data, and so many pairs of runs."""
    asking = [Case(f"round {number}", partial(eight, world, source)) for number in range(1, fetches + 1)]
    into_one = [Case(f"jax_impl, pair {number}", partial(two, world, "jax_impl")) for number in range(pairs)]
    return [
        Part("8 processes ask for data at once", "fetched once, read by all", asking),
        Part("two runs into one folder", "one refused, the other undisturbed", into_one),
    ]
