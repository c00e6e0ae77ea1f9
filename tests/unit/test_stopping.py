"""Signals and time: what is asked for, and when it is heeded; the same in both packages."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType

import pytest

import jax_impl.commands.stopping
import jax_impl.errors
import torch_ref.errors
import torch_ref.stopping

PACKAGES = {
    "jax_impl": (jax_impl.commands.stopping, jax_impl.errors),
    "torch_ref": (torch_ref.stopping, torch_ref.errors),
}


@pytest.fixture(params=PACKAGES)
def modules(request: pytest.FixtureRequest) -> tuple[ModuleType, ModuleType]:
    return PACKAGES[request.param]


def end(code: int) -> None:
    raise AssertionError(code)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what a thread is about to do."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wanted(stop: object) -> bool:
    found = stop.wanted
    return found if isinstance(found, bool) else found()


@pytest.mark.parametrize(("number", "code", "text"), [(signal.SIGINT, 130, ()), (signal.SIGTERM, 143, ("SIGTERM",))])
def test_a_signal_interrupts_at_once_outside_of_training(
    number: signal.Signals, code: int, text: tuple[str, ...], modules: tuple[ModuleType, ModuleType]
) -> None:
    stopping, errors = modules
    stop = stopping.Stop(end=end, log=print)
    before = signal.getsignal(number)
    with pytest.raises(errors.Interrupted) as caught, stop.catching():
        os.kill(os.getpid(), number)
    assert (caught.value.exit_code, caught.value.args) == (code, text)
    assert signal.getsignal(number) is before


def test_the_first_waits_for_the_steps_and_the_second_does_not(modules: tuple[ModuleType, ModuleType]) -> None:
    stopping, _ = modules
    before = threading.active_count()
    heard: list[str] = []
    codes: list[int] = []
    stop = stopping.Stop(end=codes.append, log=heard.append)
    with stop.catching(), stop.softly():
        assert not wanted(stop)
        os.kill(os.getpid(), signal.SIGTERM)
        assert wanted(stop)
        until(lambda: len(heard) == 1)
        assert heard[0].endswith("under way; once more ends at once")
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: codes == [130])
    assert stop.interrupted().exit_code == 143
    assert threading.active_count() == before


def test_the_second_is_heard_while_the_main_thread_waits(modules: tuple[ModuleType, ModuleType]) -> None:
    """In a call that returns to Python only at its end, as one that waits for a device."""
    program = f"""
import ctypes, os, signal, threading, time
from {modules[0].__name__} import Stop
stop = Stop(end=os._exit, log=lambda text: print(text, flush=True))
def twice():
    for _ in range(2):
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=twice).start()
with stop.catching(), stop.softly():
    ctypes.CDLL(None, use_errno=True).select(0, None, None, None, (ctypes.c_long * 2)(20, 0))
    ctypes.CDLL(None, use_errno=True).select(0, None, None, None, (ctypes.c_long * 2)(20, 0))
    ctypes.CDLL(None, use_errno=True).select(0, None, None, None, (ctypes.c_long * 2)(20, 0))
"""
    begun = time.monotonic()
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 143, result.stderr
    assert result.stdout.endswith("under way; once more ends at once\n")
    assert time.monotonic() - begun < 10


def test_time_is_heeded_like_a_signal(modules: tuple[ModuleType, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    stopping, errors = modules
    clock = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: clock[0])
    stop = stopping.Stop(end=end, log=print)
    stop.after(None)
    clock[0] += 1e9
    assert not wanted(stop)
    stop = stopping.Stop(end=end, log=print)
    stop.after(2.5)
    clock[0] += 2.4
    assert not wanted(stop)
    clock[0] += 0.2
    assert wanted(stop)
    assert stop.interrupted().exit_code == 124
    assert stop.interrupted().args == ("--max-seconds 2.5 are over",)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(errors.ArgumentError, match="--max-seconds must be a number above 0, got"):
            stop.after(wrong)


def test_what_is_kept_is_added_to_why(modules: tuple[ModuleType, ModuleType]) -> None:
    _, errors = modules
    found = errors.keeping(errors.Interrupted("SIGTERM", exit_code=143), "all is kept")
    assert (found.args, found.exit_code) == (("SIGTERM; all is kept",), 143)
    assert errors.keeping(KeyboardInterrupt(), "all is kept").args == ("all is kept",)
    assert errors.keeping(KeyboardInterrupt(), "all is kept").exit_code == 130
    diverged = errors.keeping(errors.DivergedError("nan"), "two epochs are kept")
    assert (type(diverged), diverged.args) == (errors.DivergedError, ("nan; two epochs are kept",))
