"""The part `commands`: whole commands that train 15 epochs, from the start of the process to its end.

This project's command runs in every round, with a compilation cache that an earlier run has filled, as it is for a
user's second run. The other commands take long and run in the first round only.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from jax_impl import data
from tests.bench import turns
from tests.bench.settings import Settings
from tests.bench.tables import Table, with_range

Results = dict[str, Any]
OURS = "jax"
HEADINGS = ("command", "rounds", "median s", "min s", "max s", "times this project's (range)")


class Command(NamedTuple):
    """A command that trains."""

    title: str
    module: str
    needs: str  # the package without which it cannot run


COMMANDS = {
    OURS: Command("this project, `python -m jax_impl train`", "jax_impl", "jax"),
    "keras": Command("Keras 3 on JAX, a script with `model.fit`", "tests.bench.commands.keras_script", "keras"),
    "notebook": Command("the notebook, `python -m torch_ref train`", "torch_ref", "torch"),
}


def measure(settings: Settings) -> Iterator[Results]:
    """Run the commands in turns and yield the results once."""
    seconds: dict[str, list[float]] = {name: [] for name, command in COMMANDS.items() if find_spec(command.needs)}
    own_epochs = []
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        run(OURS, 1, Path(folder) / "first", cache)
        for number in turns.shown(range(settings.rounds), "commands"):
            out = Path(folder) / str(number)
            for name in seconds if number == 0 else (OURS,):
                environment = cache if name == OURS else {}
                seconds[name].append(run(name, settings.epochs, out / name, environment))
            own_epochs.append(sum_of_epochs(out / OURS / "metrics.jsonl"))
    yield summary(settings.epochs, seconds, own_epochs)


def run(name: str, epochs: int, out: Path, environment: Mapping[str, str]) -> float:
    """Run a command to its end and return its seconds.

    Raises:
        RuntimeError: It failed. Its standard error is this process's, and says why.
    """
    train = ("train", "--epochs", str(epochs), "--out", str(out))
    arguments = (str(data.raw_folder()), str(epochs)) if name == "keras" else train
    command = [sys.executable, "-m", COMMANDS[name].module, *arguments]
    started = time.perf_counter()
    code = subprocess.run(
        command, env=os.environ | turns.QUIET | environment, stdout=subprocess.DEVNULL, check=False
    ).returncode
    seconds = time.perf_counter() - started
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}; what it said is above")
    return seconds


def sum_of_epochs(metrics: Path) -> float:
    """Return the seconds of all epochs of a run, without compiling and testing."""
    return sum(json.loads(line)["seconds"] for line in metrics.read_text(encoding="utf-8").splitlines())


def summary(epochs: int, seconds: Mapping[str, Sequence[float]], own_epochs: Sequence[float]) -> Results:
    """Return the seconds by command, the seconds of our epochs alone, and the ratio of both."""
    commands: Results = {}
    for name, command in COMMANDS.items():
        commands[name] = {"title": command.title}
        if name not in seconds:
            commands[name] |= {"missing": "not installed"}
            continue
        times = turns.ratio(seconds[name], seconds[OURS][: len(seconds[name])])
        commands[name] |= {"seconds": list(seconds[name]), **turns.spread(seconds[name])._asdict()}
        commands[name] |= {"times_jax": times._asdict()}
    return {
        "epochs": epochs,
        "commands": commands,
        "own_epochs": {"seconds": list(own_epochs), **turns.spread(own_epochs)._asdict()},
        "whole_over_epochs": turns.ratio(seconds[OURS], own_epochs)._asdict(),
    }


def tables(found: Results) -> list[Table]:
    """Return the table of the commands."""
    rows = []
    for one in found["commands"].values():
        if "missing" in one:
            rows.append((one["title"], one["missing"], "", "", "", ""))
        else:
            seconds = [f"{one[name]:.1f}" for name in turns.Spread._fields]
            rows.append((one["title"], str(len(one["seconds"])), *seconds, with_range(one["times_jax"].values())))
    own = found["own_epochs"]
    before = (
        f"{found['epochs']} epochs of `mnist_nn_xavier`, in seconds from the start of the process to its end. This "
        "project's programs have been compiled by an earlier run; the other commands compile as their users have it."
    )
    after = (
        f"The epochs of this project's command take {own['median']:.1f} s ({own['min']:.1f} to {own['max']:.1f}); the "
        f"whole command takes {with_range(found['whole_over_epochs'].values())} times as long."
    )
    return [Table("Whole commands", HEADINGS, rows, before, after)]
