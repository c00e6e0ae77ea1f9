"""The command `explore`: measured by a fake, continued and interrupted, and one network from end to end."""

from pathlib import Path
from typing import Any

import pytest

from jax_impl import data
from jax_impl.data import Mnist
from jax_impl.explore import grid, page
from jax_impl.explore.settings import Network, starts
from tests.unit.jax_impl.commands.conftest import Call
from tests.unit.jax_impl.explore.made_up import measured

SMALL = ("explore", "--depths", "2,5", "--widths", "32", "--activations", "relu")
NETWORKS = [Network(2, 32, "relu"), Network(5, 32, "relu")]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Network]:
    """The networks that were measured, by a fake."""
    made: list[Network] = []

    def measure(network: Network, *_: Any) -> grid.Measured:
        made.append(network)
        return measured(network)

    monkeypatch.setattr(grid, "measure", measure)
    return made


def test_it_prints_a_line_per_network_and_continues_where_it_stopped(call: Call, calls: list[Network]) -> None:
    code, lines, err = call(*SMALL)
    words = ["2 hidden layers of 32, relu", "5 hidden layers of 32, relu"]
    assert (code, err) == (0, "")
    assert lines == [*(f"{name}: measured" for name in words), "written to reports/explore/index.html"]
    written = Path("reports/explore/index.html").read_bytes()
    code, lines, err = call(*SMALL)
    assert (code, err) == (0, "")
    assert lines == [*(f"{name}: kept" for name in words), "written to reports/explore/index.html"]
    assert calls == NETWORKS
    assert Path("reports/explore/index.html").read_bytes() == written


def test_an_interrupt_keeps_the_finished_networks(
    call: Call, calls: list[Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = grid.measure

    def interrupted(network: Network, *rest: Any) -> grid.Measured:
        if network == NETWORKS[1]:
            raise KeyboardInterrupt
        return real(network, *rest)

    monkeypatch.setattr(grid, "measure", interrupted)
    code, lines, err = call(*SMALL)
    kept = "finished work is kept in reports/explore: repeat the command to continue"
    assert (code, lines, err) == (130, ["2 hidden layers of 32, relu: measured"], f"interrupted: {kept}\n")
    assert not Path("reports/explore/index.html").exists()
    assert calls == NETWORKS[:1]


def test_the_time_limit_stops_it(call: Call, calls: list[Network]) -> None:
    code, _, err = call(*SMALL, "--max-seconds", "1e-9")
    assert code == 124
    assert err.startswith("interrupted: the limit of --max-seconds 1e-09 is reached; finished work is kept")
    assert calls == NETWORKS[:1]


def test_a_missing_chart_library_is_reported_before_any_work(
    call: Call, calls: list[Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "LIBRARY", "no_such_package")
    code, _, err = call(*SMALL)
    assert code == 1
    assert err.startswith("error: the page's chart library is missing: ")
    assert calls == []
    assert not Path("reports").exists()


@pytest.mark.usefixtures("calls")
def test_missing_published_results_are_named(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page, "NUMBERS", tmp_path / "numbers.json")
    code, lines, _ = call(*SMALL)
    assert code == 0
    assert lines[-2] == f"{tmp_path / 'numbers.json'} is missing: the page has no published results"


def test_another_report_is_not_overwritten(call: Call, calls: list[Network], tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "index.html").write_text("a study")
    code, _, err = call(*SMALL, "--out", "study")
    assert (code, calls) == (2, [])
    assert err.startswith("error: --out must be a folder without another report, got 'study'")
    assert (tmp_path / "study" / "index.html").read_text() == "a study"


def test_a_wrong_option_exits_with_2(call: Call, calls: list[Network]) -> None:
    code, _, err = call("explore", "--depths", "3")
    assert (code, calls) == (2, [])
    assert err == "error: depths must be of 2, 5, 10, 30, got 3; see python -m jax_impl explore --help\n"


@pytest.mark.usefixtures("calls")
def test_a_damaged_file_is_named(call: Call) -> None:
    call(*SMALL)
    path = grid.path_of(Path("reports/explore"), NETWORKS[0])
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    code, _, err = call(*SMALL)
    assert code == 1
    assert str(path) in err
    assert "damaged" in err


@pytest.mark.slow
def test_a_network_is_measured_from_end_to_end(call: Call, mnist: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "load", lambda *_: mnist)
    code, lines, err = call("explore", "--depths", "2", "--widths", "32", "--activations", "relu")
    assert (code, err) == (0, "")
    assert lines[-1] == "written to reports/explore/index.html"
    found = grid.load(grid.path_of(Path("reports/explore"), NETWORKS[0]), NETWORKS[0])
    last = found.courses["adam"].accuracy[:, 1, :, -1].mean(axis=1)  # at a learning rate of 0.001, by start
    accuracy = {(start.init, start.gain): float(of_start) for start, of_start in zip(starts(), last, strict=True)}
    assert accuracy["zeros", 1.0] < 0.2
    assert accuracy["kaiming_normal", 1.0] > 0.8
