"""Options and errors of several processes, in one; tests/scale/test_processes.py starts several."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from jax_impl.commands.options.parser import parse
from jax_impl.commands.options.study import Study
from jax_impl.commands.shared import cluster
from jax_impl.commands.shared.stopping import Stop
from jax_impl.errors import ArgumentError, Interrupted, UserError
from jax_impl.trainer import processes

ROOT = Path(__file__).parents[5]


def study(*options: str) -> Study:
    command = parse(["study", *options])
    assert isinstance(command, Study)
    return command


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--coordinator", "[::1]:99", "--processes", "4", "--process-id", "3"), ("[::1]:99", 4, 3)),
        ((), (None, None, None)),
    ],
)
def test_the_options_reach_the_runtime(
    options: tuple[str, ...], expected: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = study("--distributed", *options)
    cluster.check(command)
    given: list[tuple[object, ...]] = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *arguments, **_: given.append(arguments))
    monkeypatch.setattr(jax.config, "update", lambda name, value: None)
    cluster._join(command)
    assert given == [expected]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--processes", "2"), "--processes needs --distributed: add it, or drop --processes"),
        (("--distributed", "--coordinator", "here"), "--coordinator must be HOST:PORT, got 'here'"),
        (("--distributed", "--coordinator", "here:0"), "--coordinator must be HOST:PORT, got 'here:0'"),
        (("--distributed", "--processes", "0"), "--processes must be an integer from 1 to 2147483647, got 0"),
        (
            ("--distributed", "--processes", "2", "--process-id", "2"),
            "--process-id must be from 0 to below --processes",
        ),
    ],
)
def test_wrong_options_are_refused(options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cluster.check(study(*options))


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jax_impl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_without_a_cluster_the_error_names_the_options() -> None:
    result = call("study", "--distributed")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: --distributed found no cluster to join (")
    assert "give --coordinator HOST:PORT, --processes and --process-id" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--distributed"), "train --distributed needs work to share: add --data-parallel"),
        (("train", "--distributed", "--data-parallel", "--epochs", "-1"), "epochs must be an integer from "),
        (("study", "--preset", "all", "--distributed"), "distributed"),
    ],
)
def test_wrong_arguments_are_refused_before_the_processes_join(arguments: tuple[str, ...], message: str) -> None:
    """The second process is never started: a command that joined first would wait for it."""
    result = call(*arguments, "--coordinator", "127.0.0.1:29517", "--processes", "2", "--process-id", "0")
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_if_process_0_cannot_listen_the_user_learns_what_to_do() -> None:
    """JAX raises, or crashes: then only the line that was printed before helps."""
    with socket.create_server(("", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        result = call("study", "--distributed", "--coordinator", address, "--processes", "1", "--process-id", "0")
    assert result.returncode != 0
    assert "if JAX ends this process, now or later, another one is missing or gone: start all" in result.stderr
    if result.returncode > 0:
        assert "error: process 0 cannot listen at the coordinator's address (UNKNOWN: Failed to" in result.stderr


def test_an_error_of_the_runtime_becomes_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise jax.errors.JaxRuntimeError("UNKNOWN: Failed to start RPC server\nmore")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    monkeypatch.setattr(jax.config, "update", lambda name, value: None)
    with pytest.raises(UserError, match=r"address \(UNKNOWN: Failed to start RPC server\): choose"):
        cluster._join(study("--distributed"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a cluster of this process alone asks of the runtime."""
    made: list[str] = []
    monkeypatch.setattr(cluster, "_join", lambda command: made.append("join"))
    monkeypatch.setattr(jax.distributed, "shutdown", lambda: made.append("shutdown"))
    return made


def test_processes_wait_for_each_other_at_both_ends(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "gathered", lambda pieces: calls.append("gather"))
    with cluster.joined(study("--distributed")):
        calls.append("work")
    assert calls == ["join", "gather", "work", "shutdown"]


def test_one_process_joins_nothing(calls: list[str]) -> None:
    with cluster.joined(study()):
        calls.append("work")
    assert calls == ["work"]


@pytest.mark.parametrize("kind", [ValueError, jax.errors.JaxRuntimeError])
def test_a_failed_collective_says_what_to_do(kind: type[Exception], calls: list[str]) -> None:
    with pytest.raises(UserError) as caught, cluster.joined(study("--distributed")):
        raise kind("UNKNOWN: Gloo AllGather failed: Connection closed by peer\nmore")
    assert str(caught.value) == (
        "a computation of all processes failed, probably because one of them is gone (UNKNOWN: Gloo AllGather failed: "
        "Connection closed by peer): start all of them again; finished cells and checkpoints are kept"
    )
    assert calls == ["join"]  # nobody waits for a process that is gone


@pytest.mark.parametrize("error", [ValueError("a bug"), UserError("a full disk"), Interrupted("SIGTERM")])
def test_other_errors_stay_as_they_are(error: BaseException, calls: list[str]) -> None:
    with pytest.raises(type(error)) as caught, cluster.joined(study("--distributed")):
        raise error
    assert caught.value is error
    assert calls == ["join"]


def stop_with(number: signal.Signals | None) -> Stop:
    stop = Stop(end=lambda code: None, log=lambda text: None)
    stop.received = number
    return stop


def test_nothing_happens_unless_a_process_was_asked_to_stop(calls: list[str]) -> None:
    cluster.raise_if_stopped(stop_with(None), lambda: calls.append("save"))
    assert calls == []


@pytest.mark.parametrize(
    ("gather", "number"),
    [
        (lambda pieces: pieces, signal.SIGTERM),  # this process
        (lambda pieces: [*pieces, ("SIGTERM", 143)], None),  # another one
    ],
)
def test_all_processes_stop_with_one(
    gather: Callable[[list[object]], list[object]],
    number: signal.Signals | None,
    calls: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They leave together, after the first has saved: otherwise the runtime would abort those that are slower."""
    monkeypatch.setattr(processes, "gathered", gather)
    with pytest.raises(Interrupted, match="SIGTERM") as caught:
        cluster.raise_if_stopped(stop_with(number), lambda: calls.append("save"))
    assert caught.value.exit_code == 143
    assert calls == ["save", "shutdown"]


def test_only_public_jax_is_used() -> None:
    files = sorted((ROOT / "jax_impl").rglob("*.py"))
    assert len(files) > 50
    assert [path.name for path in files if "jax._src" in path.read_text(encoding="utf-8")] == []
