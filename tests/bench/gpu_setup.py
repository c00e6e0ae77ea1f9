"""What the parts of `tests.bench.gpu` share: the settings, the data, and children that answer in lines of JSON.

Whatever computes is a process of its own (`tests.bench.gpu_child` with a name). So no framework holds memory that
another needs, and a failure stays alone. A child is ended when the time is up.
"""

import json
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jax_impl import data
from jax_impl.errors import require
from tests.bench import turns

RECIPE = "mnist_nn_xavier"
ENDLESS = 10**9  # epochs
LIMIT = 3.0  # seconds, after which what is slow is not timed once more
MODULE = "tests.bench.gpu_child"
DEVICE = "device"  # the name of the child that looks at it

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How much is measured.

    Raises:
        ArgumentError: A number is too small.
    """

    runs: tuple[int, ...] = (1, 4, 16, 64, 256, 1024)  # trained together
    epochs: int = 15  # of one training
    images: int = 60_000  # to train on, the first so many
    rounds: int = 3  # that count
    full: bool = False  # whether one number of runs is also trained to the end
    ends: float = 0.0  # when the time is up, as `time.time()` counts; 0 for never

    def __post_init__(self) -> None:
        require(len(self.runs) > 0 and min(self.runs) >= 1, "runs", "integers >= 1", self.runs)
        require(self.epochs >= 1, "epochs", "an integer >= 1", self.epochs)
        require(self.images >= 1_000, "images", "an integer >= 1000", self.images)
        require(self.rounds >= 1, "rounds", "an integer >= 1", self.rounds)

    @property
    def many(self) -> int:
        """The number of runs that stands for many: 256, or the largest below it, or else the smallest."""
        return max((runs for runs in self.runs if runs <= 256), default=min(self.runs))

    @classmethod
    def parse(cls, text: str) -> "Settings":
        """Return the settings that `text` spells."""
        found = json.loads(text)
        return cls(**found | {"runs": tuple(found["runs"])})

    def __str__(self) -> str:
        """Return the settings as JSON."""
        return json.dumps(asdict(self))

    @property
    def time_is_up(self) -> bool:
        return bool(self.ends) and time.time() >= self.ends

    def end_in_time(self, process: "subprocess.Popen[str]") -> threading.Timer:
        """End the process when the time is up, unless the returned timer is cancelled."""
        left = self.ends - time.time() if self.ends else threading.TIMEOUT_MAX
        timer = threading.Timer(max(left, 0.0), process.kill)
        timer.daemon = True
        timer.start()
        return timer


def mnist_part(images: int) -> data.Mnist:
    """Return the first so many training images, and all test images."""
    mnist = data.load()
    return data.Mnist(mnist.train_images[:images], mnist.train_labels[:images], *mnist[2:])


def print_rows(rows: Iterable[Row]) -> int:
    """Print every row as a line of JSON, in a child; an error becomes the last of them, and exit status 1."""
    try:
        for row in rows:
            print(json.dumps(row), flush=True)
    except Exception as error:  # whatever it is, the report says so, and the other children go on
        traceback.print_exc()
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), flush=True)
        return 1
    return 0


def ask(settings: Settings, name: str) -> Iterator[Row]:
    """Yield the rows of a child as they come; a child that dies has failed."""
    command = [sys.executable, "-m", MODULE, name, str(settings)]
    row: Row = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        timer = settings.end_in_time(process)
        for line in process.stdout:
            row = json.loads(line)
            yield row
        timer.cancel()
    if process.returncode and "failed" not in row:
        why = "the time was up" if settings.time_is_up else f"exit status {process.returncode}"
        yield {"failed": f"{name} ended: {why}"}


def in_turns(settings: Settings, names: Iterable[str]) -> tuple[dict[str, list[float]], list[str]]:
    """Let these children train in turns; return their seconds by round, and the names of those that died at once."""
    contenders = {name: turns.Contender(MODULE, name, str(settings)) for name in names}
    for contender in contenders.values():
        settings.end_in_time(contender.process)
    living = {name: contender for name, contender in contenders.items() if _starts(contender)}
    seconds = turns.measure(living, settings.rounds)
    return seconds, [name for name in contenders if name not in living]


def _starts(contender: turns.Contender) -> bool:
    """Whether a contender gets through its first turn, which compiles; one that does not is ended."""
    try:
        contender.epoch()
    except RuntimeError:
        contender.close()
        return False
    return True


def timed(epochs: Iterator[float], rounds: int) -> list[float]:
    """Return the seconds of up to so many epochs, after one that warms up; at least one, and none beyond `LIMIT`."""
    next(epochs)
    seconds: list[float] = []
    while len(seconds) < rounds and sum(seconds) < LIMIT:
        seconds.append(next(epochs))
    return seconds


def failures(rows: Mapping[str, Iterable[Row]]) -> list[str]:
    """Return what failed in each part of a result: children, rungs of the ladder and other comparisons."""
    found = []
    for part, each in rows.items():
        found += [f"{part}: {row['failed']}" for row in each if "failed" in row]
        found += [f"{part}: {compared(row)}" for row in each if row.get("passed") is False]
    return found


def compared(row: Row) -> str:
    """Return what a row compared."""
    if "number" in row:
        return f"rung {row['number']}, {row['title']}"
    return str(row["compared"])
