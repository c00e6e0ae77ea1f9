"""Files of runs and of the data folder that are truncated, zeroed, altered by a bit or replaced by another's.

Whatever is damaged, the command either recovers to the same bits or says in one line what is wrong.
"""

import random
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

from jax_impl import data
from tests.faults.cases import Case, Part, World
from tests.faults.commands import PACKAGES, command, judged, resumed, run, signalled, start
from tests.faults.files import cases
from tests.faults.mirrors import Source, fetching

# Of the cases; the data folder has the rest. An interrupted run in JAX has six files, two of them checkpoints.
SHARES = {"jax_impl": 0.42, "torch_ref": 0.16, "study": 0.18, "rbm": 0.14}


def halfway(world: World, task: str) -> Path:
    """Return the folder of a run that was asked to end, with checkpoints in it, or of a whole study."""
    if task in ("study", "torch_ref"):
        return world.whole(task).out
    out = world.folder()
    if task == "rbm":
        for _ in range(2):  # of its epochs
            found = run([*resumed(task, out), "--max-seconds", "0.01"], world.data_dir)
            assert found.code == 124, found
    else:
        found = signalled(start(command(task, "--out", str(out)), world.data_dir), signal.SIGTERM, 0.05)
        assert found.code == 143, found
    return out


def damaged(world: World, task: str, half: Path, name: Path, content: bytes) -> str:
    """Damage one file of a run, and go on with it; return what is wrong."""
    out = world.folder()
    shutil.copytree(half, out)
    (out / name).write_bytes(content)
    if task in PACKAGES and name.name == "params.safetensors":
        words = [sys.executable, "-m", task, "evaluate", "mnist_nn_xavier", "--params", str(out / name)]
        right, found = run([*words[:-1], str(half / name)], world.data_dir), run(words, world.data_dir)
        if wrong := judged(found, 0, 1):
            return f"evaluated, {wrong}"
        if found.code == 0 and found.out != right.out:
            return "another accuracy"
    found = run(resumed(task, out), world.data_dir)
    if wrong := judged(found, 0, 1, 2):
        return wrong
    if found.code == 0 and (wrong := world.other_result(task, out)):
        return wrong
    shutil.rmtree(out.parent)
    return ""


def mended(world: World, source: Source, package: str, name: Path, content: bytes) -> str:
    """Damage one file of the data folder; return what is wrong.

    jax_impl sets it aside and fetches it again. torch_ref refuses it and names the command that does so.
    """
    root = world.folder()
    raw = data.raw_folder(root)
    raw.mkdir(parents=True)
    for other in data.SHA256:
        (raw / other).symlink_to((data.raw_folder(world.data_dir) / other).resolve())
    (raw / name).unlink()
    (raw / name).write_bytes(content)
    found = fetching(world, source, package, root)
    if package == "torch_ref":
        if wrong := judged(found, 1):
            return wrong
        remedy = f"{raw / name} is damaged: run `python -m jax_impl data --data-dir {root}` to repair it"
        if found.err != f"error: {remedy}\n" or (raw / name).read_bytes() != content:
            return f"said {found.err!r}"
        found = fetching(world, source, "jax_impl", root)
    if wrong := judged(found, 0):
        return wrong
    if f"{raw / name} is truncated or altered: renamed to {name}.damaged-" not in found.err:
        return f"said {found.err!r}"
    aside = [path for path in raw.iterdir() if ".damaged-" in path.name]
    if [path.read_bytes() for path in aside] != [content]:
        return "the damaged file is gone"
    if not all(data.is_genuine(other, (raw / other).read_bytes()) for other in data.SHA256):
        return "a file is not MNIST's"
    shutil.rmtree(root.parent)
    return ""


def part(world: World, source: Source, count: int, seed: int) -> Part:
    """Return so many cases, of which every file and every kind of damage has its turn."""
    draw, found = random.Random(seed), []
    for task, share in SHARES.items():
        half = halfway(world, task)
        for case in cases(half, round(share * count), draw):
            wrong = partial(damaged, world, task, half, case.name, case.content)
            found.append(Case(f"{task}, {case.name}, {case.how}", wrong))
    for number, case in enumerate(cases(data.raw_folder(world.data_dir), count - len(found), draw)):
        package = ("jax_impl", "torch_ref")[number % 2]
        wrong = partial(mended, world, source, package, case.name, case.content)
        found.append(Case(f"{package}, data, {case.name}, {case.how}", wrong))
    return Part("files damaged", "recovered to the same bits, or refused", found)
