"""Lines in place of progress bars: without a terminal, no wait is silent."""

import time

import pytest

from jax_impl.commands.shared import terminal


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_STATUS_SECONDS", "0.1")


def test_long_work_says_what_it_is_and_how_far_it_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.waiting("counting", total=4) as show:
        show(1)
        time.sleep(1)
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "counting, 25 %: 0 s so far"
    assert 1 <= len(others) <= 3  # at 0.2, 0.4 and 0.8 s
    with terminal.waiting("looking"):
        time.sleep(0.15)
    assert capsys.readouterr().err == "looking: 0 s so far\n"


def test_short_work_is_silent(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal.waiting("counting"):
        pass
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("MNIST_STATUS_SECONDS", "0")
    with terminal.waiting("counting"):
        time.sleep(0.2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("text", [None, "two", "nan"])
def test_without_a_number_the_default_counts(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MNIST_STATUS_SECONDS")
    if text:
        monkeypatch.setenv("MNIST_STATUS_SECONDS", text)
    assert str(terminal._status_seconds(2.0)) == ("nan" if text == "nan" else "2.0")  # which prints nothing


def test_every_bar_has_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.epochs_bar() as bar:
        bar.add_task("RBM", total=10, completed=3)
        time.sleep(0.15)
    with terminal.cost_bar("cells", 2) as bar:
        bar.add_task("study", total=2.0, done=0)
        time.sleep(0.15)
    with terminal.download_bar() as bar:
        bar.add_task("downloading MNIST", total=None)
        time.sleep(0.15)
    told = ["RBM, 30 %: 0 s so far", "study, 0 %: 0 s so far", "downloading MNIST: 0 s so far"]
    assert capsys.readouterr().err.splitlines() == told
