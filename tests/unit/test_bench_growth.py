"""How the cost grows: points are scaled to an epoch, and growth is taken between neighbours."""

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from tests.bench import floor, growth, growth_point, growth_report, tables

LAYERS = (784, 16, 16, 10)
PAGE = Path(__file__).parents[2] / "docs" / "performance" / "growth.md"


def test_shapes_of_the_axes() -> None:
    assert growth.shape("width", 64) == ((784, 64, 64, 10), 100)
    assert growth.shape("depth", 4) == ((784, 256, 256, 256, 256, 10), 100)
    assert growth.shape("batch", 10_000) == ((784, 256, 256, 10), 10_000)


def test_a_point_is_scaled_to_the_epoch() -> None:
    point = growth_point.measure(LAYERS, 1000, seconds=0.05)
    assert growth_point.LEAST <= point["steps"] <= 60
    training, least = zip(*point["rounds"], strict=True)
    assert point["seconds"] == pytest.approx(statistics.median(training) * 60 / point["steps"])
    assert point["floor_seconds"] == pytest.approx(statistics.median(least) * 60 / point["steps"])
    assert point["flop"] == 60 * floor.flop(LAYERS, 1000)
    assert point["gflop_per_second"] == pytest.approx(point["flop"] / point["seconds"] / 1e9)
    parameters = 784 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10
    assert point["state_bytes"] == 4 * (3 * parameters + 2)  # Adam's moments; its count and the learning rate
    assert point["planned"]["argument"] > 60_000 * 784  # the images
    assert point["planned_bytes"] < point["planned"]["argument"] + 2**27
    assert 2**27 < point["start_bytes"] <= point["peak_bytes"] < 2**36


def test_the_probe_fills_the_time_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    training = growth_point.Training(LAYERS, 100)
    monkeypatch.setattr(growth_point, "seconds_of", lambda run: 0.03)  # a hundredth of a second a step
    assert growth_point.steps_of(training, 6.0) == 200
    assert growth_point.steps_of(training, 0.0) == growth_point.LEAST
    assert growth_point.steps_of(training, 1e6) == 600  # an epoch


def test_growth_is_of_time_over_arithmetic_between_neighbours() -> None:
    points = [{"seconds": 1.0, "flop": 1}, {"seconds": 3.0, "flop": 4}, {"seconds": 12.0, "flop": 8}]
    assert growth.steepest(points) == 2.0
    assert growth.steepest(points[:2]) == 0.75


def test_the_process_of_a_point_understands_what_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(growth_point, "measure", lambda *arguments: asked.append(arguments))

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess:
        tyro.cli(growth_point.main, args=command[3:])
        return subprocess.CompletedProcess(command, 0, stdout='{"seconds": 1}')

    monkeypatch.setattr(subprocess, "run", run)
    assert growth.measure("depth", 3, 0.5) == {"seconds": 1}
    assert asked == [((784, 256, 256, 256, 10), 100, 0.5)]


def test_the_command_writes_what_it_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(axis: str, value: int, _: float) -> growth.Point:
        layers, batch = growth.shape(axis, value)
        bytes_ = dict.fromkeys(("start_bytes", "peak_bytes", "planned_bytes", "state_bytes"), 2**20 * value)
        flop, rates = floor.flop(layers, batch), {"gflop_per_second": 1.0, "floor_gflop_per_second": 2.0}
        return {"seconds": flop * value / 1e9, "floor_seconds": flop / 1e9, "flop": flop, **bytes_, **rates}

    monkeypatch.setattr(growth, "measure", measure)
    growth.main(("depth", "batch"), 0.1, tmp_path)
    found = json.loads((tmp_path / "growth.json").read_text())["axes"]
    assert found["depth"]["steepest"] == pytest.approx(2.0)
    assert found["depth"]["floor_steepest"] == pytest.approx(1.0)
    assert list(found["depth"]["points"]) == ["2", "4", "8", "16", "32", "64"]
    assert "grow at most 2.00 times as much as the arithmetic" in (tmp_path / "growth.md").read_text()
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert "depth: from one point to the next" in capsys.readouterr().out


def test_who_starts_the_points_is_small() -> None:
    program = "import sys, tests.bench.growth; sys.exit(bool({'jax', 'matplotlib', 'torch'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", program], check=True)  # a child's peak starts at this process's


def test_the_growth_page_has_the_generator_s_words() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for axis in ("width", "depth", "batch"):
        assert tables.markdown((axis, *growth_report.HEADINGS[1:]), []).strip() in text
    found = re.findall(r"^(From one point .*)\.$", text, re.MULTILINE)
    assert len(found) == 3
    for line in found:
        ours, floor = re.findall(r"([\d.]+) times", line)
        sentence = growth_report.sentence("axis", {"steepest": float(ours), "floor_steepest": float(floor)})
        assert sentence.partition(": ")[2].capitalize() == line
