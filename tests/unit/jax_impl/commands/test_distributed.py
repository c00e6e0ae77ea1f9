"""What is told without other processes; tests/scale/test_processes.py has some."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import pytest

from jax_impl.commands import cli, cli_cluster, distributed, herald
from jax_impl.commands.cluster import Cluster
from jax_impl.errors import ArgumentError


class Store:
    """Stands for the runtime's key-value store."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.gone = False

    def key_value_set(self, key: str, value: str, allow_overwrite: bool) -> None:
        assert allow_overwrite
        self._check()
        self.values[key] = value

    def key_value_dir_get(self, prefix: str) -> list[tuple[str, str]]:
        self._check()
        return [(key, value) for key, value in self.values.items() if key.startswith(prefix)]

    def _check(self) -> None:
        if self.gone:
            raise jax.errors.JaxRuntimeError("the store is gone")


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store], str]:
    """What process 1 of 3 says about the others, who left their signs in the store."""
    monkeypatch.setattr(distributed, "BEAT", 0.01)
    monkeypatch.setattr(distributed, "SILENT", 0.2)
    monkeypatch.setattr(distributed, "GRACE", 0.1)

    def found(store: Store) -> str:
        heard: list[str] = []
        said = threading.Event()
        watch = distributed.Watch(store, 1, 3, lambda word: (heard.append(word), said.set()))  # type: ignore[func-returns-value]
        watch.start()
        said.wait(1)
        watch.end(distributed.DONE)
        return heard[0] if heard else ""

    return found


def test_a_silent_process_is_named(words: Callable[[Store], str]) -> None:
    store = Store()
    store.values |= {"alive/0": "7", "alive/2": distributed.DONE}
    assert words(store) == "process 0 of 3 has given no sign of life for 0.2 s"


def test_processes_that_are_done_are_let_go(words: Callable[[Store], str]) -> None:
    store = Store()
    store.values |= {"alive/0": distributed.DONE, "alive/2": distributed.DONE}
    assert words(store) == ""
    assert store.values["alive/1"] == distributed.DONE


def test_why_another_process_failed_is_passed_on(words: Callable[[Store], str]) -> None:
    store = Store()
    store.values |= {"alive/0": distributed.DONE, "alive/2": f"{distributed.FAILED}the disk is full"}
    assert words(store) == "process 2 ended: the disk is full"


def test_an_error_of_all_is_said_by_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process ends by itself soon after another did, and its own words are not cut short."""
    monkeypatch.setattr(distributed, "BEAT", 0.01)
    heard: list[str] = []
    store = Store()
    store.values |= {"alive/0": f"{distributed.FAILED}the cost became nan"}
    watch = distributed.Watch(store, 1, 2, heard.append)
    watch.start()
    time.sleep(0.2)
    watch.end(f"{distributed.FAILED}the cost became nan")
    assert heard == []


def test_the_others_learn_that_the_first_is_done(
    words: Callable[[Store], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    real = distributed.Watch.end
    monkeypatch.setattr(
        distributed.Watch, "end", lambda watch, sign: (seen.append(watch.first_done.is_set()), real(watch, sign))
    )
    for sign in ("7", distributed.DONE):
        store = Store()
        store.values |= {"alive/0": sign, "alive/2": distributed.DONE}
        words(store)
    assert seen == [False, True]


def test_a_store_that_is_gone_was_process_0_s(words: Callable[[Store], str]) -> None:
    store = Store()
    store.gone = True
    assert words(store) == "process 0 of 3 is gone: the others met at it, and it cannot be reached"


def test_a_herald_finds_out_who_is_gone() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert herald.last_words(2, 3, address).startswith("error: process 2 of 3 is gone; start all of them again")
    assert herald.last_words(2, 3, address).startswith("error: process 0 of 3 is gone")


@pytest.mark.parametrize(("farewell", "expected"), [(herald.FAREWELL, ""), ("", "error: process 0 of 3 is gone")])
def test_a_herald_speaks_where_there_was_no_farewell(farewell: str, expected: str) -> None:
    command = [sys.executable, "-m", "jax_impl.commands.herald", "1", "3", "127.0.0.1:1"]
    result = subprocess.run(command, input=farewell, capture_output=True, text=True, check=True)
    assert result.stderr[: len(expected) or None] == expected


def test_the_options_make_a_cluster() -> None:
    options = ["--distributed", "--coordinator", "[::1]:99", "--processes", "4", "--process-id", "3"]
    assert cli_cluster.cluster_of(command(*options)) == Cluster(coordinator="[::1]:99", processes=4, process_id=3)
    assert cli_cluster.cluster_of(command("--distributed")) == Cluster()
    assert cli_cluster.cluster_of(command()) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--processes", "2"), "--processes goes with --distributed"),
        (("--distributed", "--coordinator", "here"), "--coordinator must be HOST:PORT, got 'here'"),
        (("--distributed", "--coordinator", "here:0"), "--coordinator must be HOST:PORT, got 'here:0'"),
        (("--distributed", "--processes", "0"), "--processes must be an integer >= 1, got 0"),
        (
            ("--distributed", "--processes", "2", "--process-id", "2"),
            "--process-id must be from 0 to below --processes",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cli_cluster.cluster_of(command(*options))


def command(*options: str) -> Any:
    return cli.parse(["study", *options])


def test_without_a_cluster_to_find_the_remedy_is_told() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "jax_impl", "study", "--distributed"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: --distributed found no cluster to join (")
    assert "give --coordinator HOST:PORT, --processes and --process-id" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--distributed"), "train --distributed goes with --data-parallel"),
        (("study", "--preset", "all", "--distributed"), "--preset trains in one process: leave out --distributed"),
    ],
)
def test_what_processes_cannot_share_is_refused(arguments: tuple[str, ...], message: str) -> None:
    more = ["--coordinator", "127.0.0.1:29517", "--processes", "1", "--process-id", "0"]
    command = [sys.executable, "-m", "jax_impl", *arguments, *more]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]
