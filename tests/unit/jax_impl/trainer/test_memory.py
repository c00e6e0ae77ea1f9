import re

import pytest

from jax_impl import recipes
from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.starts.from_images import draw_seeds
from jax_impl.train import State
from jax_impl.trainer import devices, engine, memory

SMALL = recipes.Recipe(name="small", layers=(784, 16, 16, 10), epochs=2)


def states(runs: int, mnist: Mnist) -> State:
    return engine.begin(SMALL, draw_seeds(SMALL, range(runs), mnist)).state


def test_a_cpu_trains_one_run_at_a_time(small: Mnist) -> None:
    """It would gain nothing from more."""
    assert memory.split(SMALL, states(5, small), small).at_once == 1


def test_as_many_runs_train_at_once_as_fit_into_the_memory(small: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "side_by_side", lambda mesh: True)  # as on an accelerator
    five = states(5, small)
    whole = memory.split(SMALL, five, small)
    assert (whole.runs, whole.at_once) == (5, 5)
    assert memory.split(SMALL, five, small, max_bytes=float(whole.bytes)).at_once == 5
    parts = memory.split(SMALL, five, small, max_bytes=whole.bytes * 0.7)
    assert 1 < parts.at_once < 5
    assert parts.bytes <= whole.bytes * 0.7
    assert re.fullmatch(r"5 runs train \d at a time, in \S+ GiB of each device's memory", str(parts))


def test_without_a_limit_the_device_s_memory_counts(small: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = memory.split(SMALL, states(1, small), small).bytes
    monkeypatch.setattr(devices, "memory", lambda: int(needed / memory.SHARE) + 2)
    assert memory.split(SMALL, states(1, small), small).at_once == 1
    monkeypatch.setattr(devices, "memory", lambda: int(needed / memory.SHARE) - 2)
    with pytest.raises(UserError):
        memory.split(SMALL, states(1, small), small)


def test_a_run_that_does_not_fit_is_refused(small: Mnist) -> None:
    message = (
        r"one run of small needs \S+ GiB of a device's memory, more than the allowed 0 GiB: use a smaller network or"
    )
    with pytest.raises(UserError, match=message):
        memory.split(SMALL, states(2, small), small, max_bytes=0.0)
