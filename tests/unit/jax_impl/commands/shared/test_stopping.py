"""Signals and the time limit: the first one lets the command save, the second one ends it at once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from jax_impl.commands.shared import stopping
from jax_impl.commands.shared.stopping import Stop
from jax_impl.errors import ArgumentError, DivergedError, Interrupted, with_note

SAVING = "Saving. Press Ctrl-C again to quit immediately."


def end(code: int) -> None:
    raise AssertionError(code)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code", "text"), [(signal.SIGINT, 130, ()), (signal.SIGTERM, 143, ("SIGTERM",))])
def test_outside_of_training_a_signal_interrupts_at_once(
    number: signal.Signals, code: int, text: tuple[str, ...]
) -> None:
    stop = Stop(end=end, log=print)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, stop.catching():
        os.kill(os.getpid(), number)
    assert (caught.value.exit_code, caught.value.args) == (code, text)
    assert signal.getsignal(number) is before


def test_the_first_signal_is_only_recorded_and_the_second_ends_the_process() -> None:
    before = threading.active_count()
    heard: list[str] = []
    codes: list[int] = []
    stop = Stop(end=codes.append, log=heard.append)
    with stop.catching(), stop.polling():
        assert stop.reason is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason
        until(lambda: heard == [SAVING])
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: codes == [130])
    assert stop.interrupted().exit_code == 143
    assert threading.active_count() == before


def test_the_second_signal_is_received_while_the_main_thread_waits() -> None:
    """It waits in a call that returns to Python only at its end, as a wait for a device does."""
    wait = "ctypes.CDLL(None, use_errno=True).select(0, None, None, None, (ctypes.c_long * 2)(20, 0))"
    program = f"""
import ctypes, os, signal, threading, time
from jax_impl.commands.shared.stopping import Stop
stop = Stop(end=os._exit, log=lambda text: print(text, flush=True))
def send_two():
    for _ in range(2):
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=send_two).start()
with stop.catching(), stop.polling():
    {wait}
    {wait}
    {wait}
"""
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 143, result.stderr
    assert result.stdout == f"{SAVING}\n"
    assert time.monotonic() - started < 10


def test_the_time_limit_acts_like_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: clock[0])
    stop = Stop(end=end, log=print)
    stop.after(None)
    clock[0] += 1e9
    assert stop.reason is None
    stop = Stop(end=end, log=print)
    stop.after(2.5)
    clock[0] += 2.4
    assert stop.reason is None
    clock[0] += 0.2
    assert stop.reason
    assert stop.interrupted().exit_code == 124
    assert stop.interrupted().args == ("the limit of --max-seconds 2.5 is reached",)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_time_limit_must_be_above_0(seconds: float) -> None:
    with pytest.raises(ArgumentError, match="--max-seconds must be a number above 0, got"):
        Stop(end=end, log=print).after(seconds)


def test_a_note_about_what_is_kept_follows_the_reason() -> None:
    found = with_note(Interrupted("SIGTERM", exit_code=143), "all is kept")
    assert isinstance(found, Interrupted)
    assert (found.args, found.exit_code) == (("SIGTERM; all is kept",), 143)
    found = with_note(KeyboardInterrupt(), "all is kept")
    assert isinstance(found, Interrupted)
    assert (found.args, found.exit_code) == (("all is kept",), 130)
    diverged = with_note(DivergedError("nan"), "two epochs are kept")
    assert (type(diverged), diverged.args) == (DivergedError, ("nan; two epochs are kept",))
