"""The part `phases`: where the seconds of each command go. A command's rows sum to its whole time."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import turns
from tests.bench.commands import phase_child
from tests.bench.commands.phase_names import END, PHASES, START
from tests.bench.settings import Settings
from tests.bench.tables import Table

Results = dict[str, Any]
CHILD = "tests.bench.commands.phase_child"
TITLES = {"empty": "nothing compiled before", "filled": "compiled before"}  # by compilation cache
WHOLE = "**the whole command**"
AFTER = (
    "Testing includes the monitors of `rbm` and `dbn`. Measuring is the signal propagation and the timing of the "
    "machine in `study`, and the likelihood in `rbm`. The "
    "steps with which `study` times the machine count as training. The rest includes drawing random numbers between "
    "two steps. Other threads are not counted: one of `train` imports Matplotlib during the second epoch."
)


def measure(settings: Settings) -> Iterator[Results]:
    """Run each command twice, with an empty and with a filled compilation cache; yield the results after each run."""
    phase_child.check_names()
    planned = commands(settings.epochs)
    found: Results = {"commands": {name: " ".join(words) for name, words in planned.items()}}
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        for kind in TITLES:
            found[kind] = {}
            for name, words in turns.shown(list(planned.items()), f"phases, {TITLES[kind]}"):
                # evaluate needs the run of train. Every other command writes to a new folder.
                out = {"train": ("--out", f"{folder}/{kind}-train"), "evaluate": ("--params", f"{folder}/{kind}-train")}
                place = () if name == "data" else out.get(name, ("--out", f"{folder}/{kind}-{name}"))
                found[kind][name] = run((*words, *place), cache)
                yield found


def commands(epochs: int) -> dict[str, tuple[str, ...]]:
    """Return the words of each command, without its folder."""
    return {
        "train": ("train", "--epochs", str(epochs)),
        "evaluate": ("evaluate",),
        "study": ("study", "--inits", "xavier_normal", "--depths", "2", "--epochs", "1", "--seeds", "2"),
        "rbm": ("rbm", "--epochs", "1"),
        "dbn": ("dbn", "--epochs", "1"),
        "data": ("data",),
    }


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, float]:
    """Run a command and return its seconds by phase; they sum to those from its start to its end.

    Raises:
        RuntimeError: It failed. Its standard error is this process's, and says why.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "phases.json"
        command = [sys.executable, "-m", CHILD, str(file), *arguments]
        started = time.time()
        code = subprocess.run(
            command, env=os.environ | turns.QUIET | environment, stdout=subprocess.DEVNULL, check=False
        ).returncode
        ended = time.time()
        if code or not file.exists():
            raise RuntimeError(f"{' '.join(command)} ended with {code}; what it said is above")
        child = json.loads(file.read_text(encoding="utf-8"))
    return by_phase(started, ended, child)


def by_phase(started: float, ended: float, child: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of all phases in the table's order: the child's, and those before and after it.

    Raises:
        RuntimeError: The child counted a phase that the table does not have, or left a part of its time out.
    """
    seconds = {START: child["entered"] - started, END: ended - child["left"], **child["seconds"]}
    if unknown := set(seconds) - set(PHASES):
        raise RuntimeError(f"no row for {', '.join(sorted(unknown))}: add it to PHASES in phase_names.py")
    if abs((total := sum(seconds.values())) - (ended - started)) > 0.001:
        raise RuntimeError(f"the phases sum to {total:.1f} s of {ended - started:.1f} s: the clock missed some of them")
    return {phase: seconds.get(phase, 0.0) for phase in PHASES}


def tables(found: Results) -> list[Table]:
    """Return a table for each state of the compilation cache: phases by command."""
    made = []
    for kind, title in TITLES.items():
        if not (by_command := found.get(kind)):
            continue
        rows = [(phase, *(f"{seconds[phase]:.2f}" for seconds in by_command.values())) for phase in PHASES]
        rows.append((WHOLE, *(f"{sum(seconds.values()):.2f}" for seconds in by_command.values())))
        words = "; ".join(f"`{found['commands'][name]}`" for name in by_command)
        before = f"Seconds of {words}, one run each. A phase does not include the phases within it."
        made.append(Table(f"Where the seconds of a command go, {title}", ("phase", *by_command), rows, before, AFTER))
    return made
