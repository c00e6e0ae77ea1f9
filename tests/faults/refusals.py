"""Wrong inputs: every one is refused in one line with a remedy and the right exit code, and nothing is lost.

Options at and beyond their limits, names, lists, pairs that contradict each other, places that cannot be written, and
words that are no command. `wrong_files` has the files, `surroundings` the machines.
"""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

from tests.faults import wrong_files
from tests.faults.cases import Case, Part, World
from tests.faults.commands import judged, run

# Each integer option's least value, by command.
TRAIN = {"epochs": 0, "seed": 0, "batch-size": 1, "init-passes": 1}
MACHINE = {"k": 1, "epochs": 0, "batch-size": 1, "seed": 0, "checkpoint-every": 1}
INTEGERS = {
    "jax_impl train": TRAIN | {"checkpoint-every": 1},
    "jax_impl rbm": MACHINE | {"hidden": 1},
    "jax_impl dbn": MACHINE,
    "jax_impl study": {"width": 1, "epochs": 0, "seeds": 1, "first-seed": 0, "checkpoint-every": 1},
    "torch_ref train": TRAIN | {"threads": 1},
}
NO_INTEGERS = (str(-(10**20)), str(2**63), str(10**20), "2.5", "1e3", "x", "", "nan")
FLOATS = {
    "jax_impl train": ("learning-rate", "max-seconds"),
    "jax_impl rbm": ("learning-rate", "momentum", "weight-decay", "sparsity-cost", "sparsity-target", "max-seconds"),
    "jax_impl study": ("learning-rate", "max-hours", "max-gib", "max-seconds"),
    "torch_ref train": ("learning-rate",),
}
NO_FLOATS = ("nan", "-1", "-inf", "x", "")
NAMES = {
    "jax_impl train": ("init", "activation", "optimizer", "dtype", "stream"),
    "jax_impl study": ("inits", "activations", "optimizers", "recipes", "bias-init", "preset"),
    "torch_ref train": ("init", "activation", "optimizer", "dtype", "loader"),
}
NO_NAMES = ("", "nobody", "he, relu")
LISTS = {"jax_impl study": "depths", "jax_impl dbn": "hidden"}
NO_LISTS = ("", ",", "0", "-1", "2.5", "2,x", str(10**20), f"2,{10**20}")
WRITERS = ("jax_impl train", "jax_impl rbm", "jax_impl dbn", "jax_impl study", "torch_ref train")
NO_FOLDERS = (
    "",
    ".",
    "..",
    "/",
    "/dev/null",
    "/dev/null/run",
    "/proc/sys/run",
    "{file}",
    "{file}/run",
    "~no-such-user/run",
)
NO_DATA = ("", "{file}", "{link}", "/dev/null", "~no-such-user/data")
PAIRS = (
    "jax_impl train --resume --overwrite",
    "jax_impl train --dbn {file}",
    "jax_impl train --init dbn --dbn {file}",
    "jax_impl train --distributed",
    "jax_impl train --data-parallel --distributed --processes 2",
    "jax_impl train --data-parallel --coordinator localhost:1",
    "jax_impl train --init-passes 2 --stream jax",
    "jax_impl train --init lecun_normal",
    "jax_impl train --batch-size 60001",
    "jax_impl train --learning-rate 1e-31",
    "jax_impl train --learning-rate inf",
    "jax_impl rbm --resume --overwrite",
    "jax_impl rbm --hidden 1000000 --batch-size 60000",
    "jax_impl rbm --batch-size 60001",
    "jax_impl rbm --momentum 1",
    "jax_impl rbm --sparsity-target 1.5",
    "jax_impl dbn --hidden 500,100000000",
    "jax_impl dbn --resume --overwrite",
    "jax_impl study --preset lsuv --max-hours 1",
    "jax_impl study --preset lsuv --checkpoint-every 5",
    "jax_impl study --preset lsuv --depths 2",
    "jax_impl study --preset lsuv --distributed",
    "jax_impl study --depths 10000 --width 10000",
    "jax_impl study --first-seed 4294967295 --seeds 2",
    "jax_impl study --width 100000 --max-gib 1 --max-hours inf",
    "jax_impl study --epochs 100000 --max-hours 0.001",
    "torch_ref train --init lecun_normal",
    "torch_ref train --batch-size 60001",
    "torch_ref train --learning-rate inf",
)
WORDS = (
    *("jax_impl", "jax_impl trian", "jax_impl --epochs 3", "jax_impl train --epoch 3", "jax_impl train --Epochs 3"),
    *("jax_impl train --epochs 1 --epochs 2", "jax_impl train --resume=1", "jax_impl train --no-resume"),
    *("jax_impl train mnist_nn mnist_nn_he", "jax_impl train minst_nn", "jax_impl train --epochs", "jax_impl evaluate"),
    *("jax_impl study extra", "jax_impl data --mirror ''", "jax_impl recipes --all", "jax_impl rbm --hiden 5"),
    *("torch_ref", "torch_ref trian", "torch_ref --epochs 3", "torch_ref train --epoch 3", "torch_ref train --resume"),
    *("torch_ref train --epochs 1 --epochs 2", "torch_ref train minst_nn", "torch_ref train --epochs"),
    *("torch_ref evaluate", "torch_ref study", "torch_ref train mnist_nn mnist_nn_he"),
)
PLATFORMS = ("cuda", "tpu", "nonsense")
# What a message says a user should do, or what would have been right.
REMEDY = re.compile(
    r"must |needs? |allowed are|did you mean|see python|so leave|give it once"
    r"|[:;,] (use|name|give|drop|add|leave|rename|start|set|put|restore|train)\b"
    r"|[:;,] (convert|save|check|free|install|lower|raise|end)\b"
    r"|or (drop|install|raise|name|use|end)\b"
)


class Input(NamedTuple):
    """A command line that must be refused."""

    words: tuple[str, ...]  # the package and its arguments; {file}, {link} and {run} are paths in the case's folder
    code: int
    names: str  # what the message must name; any text if empty
    environment: Mapping[str, str] | None = None


def inputs() -> Iterator[Input]:
    """Yield every wrong command line."""
    yield from wrong_values()
    yield from wrong_places()
    for words in (*PAIRS, *WORDS):
        yield Input(tuple(word.strip("'") for word in words.split()), 0, "")
    for platform, command in product(PLATFORMS, ("train", "study", "rbm", "evaluate --params {run}")):
        yield Input(("jax_impl", *command.split()), 1, platform, {"JAX_PLATFORMS": platform})


def wrong_values() -> Iterator[Input]:
    """Yield options with values that they do not take."""
    below = [(command, name, str(least - 1)) for command, few in INTEGERS.items() for name, least in few.items()]
    integers = [
        (command, name, value) for command, few in INTEGERS.items() for name, value in product(few, NO_INTEGERS)
    ]
    floats = [(command, name, value) for command, few in FLOATS.items() for name, value in product(few, NO_FLOATS)]
    names = [(command, name, value) for command, few in NAMES.items() for name, value in product(few, NO_NAMES)]
    lists = [(command, name, value) for (command, name), value in product(LISTS.items(), NO_LISTS)]
    for command, name, value in chain(below, integers, floats, names, lists):
        words = (f"--{name}={value}",) if value.startswith("-") else (f"--{name}", value)
        yield Input((*command.split(), *words), 2, name.removesuffix("s").replace("-", "."))


def wrong_places() -> Iterator[Input]:
    """Yield folders that are none, or not for this purpose."""
    for command, folder in product(WRITERS, NO_FOLDERS):
        exists = folder.startswith(("/dev", "/proc", "{"))
        yield Input((*command.split(), "--out", folder), 1 if exists else 2, "--out")
    for command, folder in product(("jax_impl train", "jax_impl data", "torch_ref train"), NO_DATA):
        yield Input((*command.split(), "--data-dir", folder), 0, "data")


def refused(world: World, wrong: Input) -> str:
    """Run a wrong command line beside a finished run; return what is wrong with the answer."""
    folder = world.folder().parent
    places = {"file": folder / "file", "link": folder / "link", "run": folder / "run"}
    places["file"].write_text("not a folder")
    places["link"].symlink_to("nowhere")
    shutil.copytree(world.whole("jax_impl").out, places["run"])
    words = [word.format(**places) if "{" in word else word for word in wrong.words]
    # A command that would begin in spite of everything writes beside the finished run, where it is seen.
    writes = " ".join(words[:2]) in WRITERS and not any(word.startswith("--out") for word in words)
    words += ["--out", str(folder / "new")] * writes
    before = contents(folder)
    environment = None if wrong.environment is None else os.environ | wrong.environment
    found = run([sys.executable, "-m", *words], world.data_dir, environment, None)
    codes = (wrong.code,) if wrong.code else (1, 2)
    return answered(judged(found, *codes), found.last, wrong.names) or changed(before, folder)


def answered(wrong: str, last: str, names: str) -> str:
    """Return what is wrong with a message: what `judged` found, or that it names neither the mistake nor a remedy."""
    if wrong:
        return wrong
    if not re.search(names, last, re.IGNORECASE):
        return f"does not name {names}: {last}"
    return "" if REMEDY.search(last) else f"names no remedy: {last}"


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of every file but locks, which stay behind."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def changed(before: Mapping[str, str], folder: Path) -> str:
    """Return which files a refused command has changed, deleted or written."""
    after = contents(folder)
    differ = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    shutil.rmtree(folder)
    return f"changed {', '.join(differ)}" if differ else ""


def part(world: World) -> Part:
    """Return every wrong command line and every wrong file."""
    lines = [Case(" ".join(wrong.words), partial(refused, world, wrong)) for wrong in inputs()]
    files = [
        Case(f"{package} evaluate: {what}", partial(evaluated, world, package, wrong))
        for what, wrong in wrong_files.WRONG.items()
        for package in ("jax_impl", "torch_ref")
    ]
    return Part("wrong inputs", "one line, a remedy, nothing lost", lines + files)


def evaluated(world: World, package: str, wrong: wrong_files.Wrong) -> str:
    """Evaluate a wrong file; return what is wrong with the answer."""
    folder = world.folder().parent
    run_folder = folder / "run"
    shutil.copytree(world.whole("jax_impl").out, run_folder)
    words = wrong.prepare(run_folder)
    before = contents(folder)
    found = run([sys.executable, "-m", package, "evaluate", *words], world.data_dir)
    return answered(judged(found, 1, 2), found.last, wrong.names) or changed(before, folder)
