"""What `make faults` consists of: parts, each of many cases that end well or say what is wrong."""

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.faults.commands import TASKS, Undisturbed, difference, results, undisturbed


class Case(NamedTuple):
    """One thing that is done, and what is wrong with what comes of it: nothing, if all is well."""

    title: str
    wrong: Callable[[], str]


class Part(NamedTuple):
    """Cases of one kind."""

    what: str
    good: str  # how the good ones end
    cases: list[Case]
    at_once: int = 0  # how many are tried at the same time, if they mostly wait; 0 for as many as there are cores


@dataclass(frozen=True)
class World:
    """What the cases share: a folder to work in, MNIST, and runs that nothing disturbs, made when first asked for."""

    work: Path
    data_dir: Path
    wholes: dict[str, Undisturbed] = field(default_factory=dict)
    locks: dict[str, threading.Lock] = field(default_factory=lambda: {task: threading.Lock() for task in TASKS})

    def whole(self, task: str) -> Undisturbed:
        """Return the undisturbed run of a task. Cases that are tried at the same time wait for it."""
        with self.locks[task]:
            if task not in self.wholes:
                self.wholes[task] = undisturbed(task, self.work, self.data_dir)
            return self.wholes[task]

    def other_result(self, task: str, out: Path) -> str:
        """Return how the results in a folder differ from the undisturbed run's; nothing if they do not."""
        return difference(results(task, out), results(task, self.whole(task).out))

    def folder(self) -> Path:
        """Return a folder of a case's own, which is not there yet."""
        return Path(tempfile.mkdtemp(dir=self.work)) / "run"
