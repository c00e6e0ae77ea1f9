"""The benchmark of an epoch: all contenders train the same, and the tables say what was measured."""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import jax
import pytest
import torch

from jax_impl import recipes
from jax_impl.data import Mnist
from tests.bench import __main__ as command
from tests.bench import cold, contenders, epochs, results, turns
from tests.bench.contenders import CONTENDERS, ENTRIES, FLOORS

RECIPE = recipes.named("mnist_nn_xavier")
IMAGES = 2000
TRAINING = [name for name in ENTRIES if name not in FLOORS]
# Costs of three epochs of 20 steps. Seven contenders from six seeds each lay in 1.23 to 1.36, 0.40 to 0.47 and 0.26 to
# 0.31; 10 or 40 steps an epoch, or a learning rate of half or twice as much, lie outside.
COSTS = ((1.15, 1.45), (0.36, 0.51), (0.23, 0.34))
AT_START = (2.25, 2.45)  # about ln 10 = 2.30, and of the same runs 2.29 to 2.38


@pytest.fixture
def part(mnist: Mnist, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mnist]:
    """The first training images, also for whoever reads the folder; one thread, for other cores may be taken."""
    monkeypatch.setenv("MNIST_DATA_DIR", str(mnist_dir))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield mnist._replace(train_images=mnist.train_images[:IMAGES], train_labels=mnist.train_labels[:IMAGES])
    torch.set_num_threads(threads)


def costs(name: str, part: Mnist, epochs: int, batch_size: int) -> list[float]:
    """The costs of a contender's first epochs."""
    if not ENTRIES[name].installed:
        pytest.skip(f"{name} is not installed")
    with jax.numpy_rank_promotion("allow"):  # Keras adds its biases so
        found = list(islice(ENTRIES[name].load()(RECIPE.with_changes(batch_size=batch_size), part), epochs))
    assert all(epoch.seconds > 0 for epoch in found)
    return [epoch.cost for epoch in found]


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINING)
def test_every_contender_learns_the_same(name: str, part: Mnist) -> None:
    found = costs(name, part, len(COSTS), batch_size=100)
    for cost, (low, high) in zip(found, COSTS, strict=True):
        assert low < cost < high, found


# torch-compile starts from the weights of torch-memory.
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TRAINING if name != "torch-compile"])
def test_every_contender_starts_at_chance(name: str, part: Mnist) -> None:
    (cost,) = costs(name, part, 1, batch_size=IMAGES)  # one step, its loss before the update
    assert AT_START[0] < cost < AT_START[1]


def test_ratios_are_taken_round_by_round() -> None:
    # The middle round was slow for both: the ratio of the medians, 4 / 2, is no round's.
    assert turns.ratio([3.0, 40.0, 4.0], [2.0, 10.0, 1.0]) == (4.0, 1.5, 4.0)
    assert turns.spread([3.0, 40.0, 4.0]) == (4.0, 3.0, 40.0)


SECONDS = {"jax": [2.0, 4.0, 2.0], "sklearn": [6.0, 6.0, 8.0], "floor-torch": [1.0, 1.6, 0.5], "floor-jax": [0.9] * 3}


def test_the_floor_is_the_smaller_median() -> None:
    floor = epochs.floor_of(SECONDS, gflop=9.0)
    assert floor == {
        "name": "floor-jax",
        "median": 0.9,
        "gflop_per_second": 10.0,
        "jax_over_floor": {"median": 2 / 0.9, "min": 2 / 0.9, "max": 4 / 0.9},
    }
    assert epochs.floor_of(SECONDS | {"floor-jax": [1.1] * 3}, gflop=9.0)["name"] == "floor-torch"
    assert epochs.floor_of({"jax": [2.0]}, gflop=9.0) is None


def test_who_is_not_installed_has_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda name: None if name == "keras" else True)
    epoch = epochs.summary(RECIPE, 60_000, SECONDS)
    assert epoch["contenders"]["keras"] == {"title": CONTENDERS["keras"], "missing": "not installed"}
    results.write(tmp_path, results.where() | {"epochs": {RECIPE.name: epoch}})
    lines = (tmp_path / "bench.md").read_text().splitlines()
    assert f"| {CONTENDERS['keras']} | not installed |  |  |  |" in lines
    assert f"| {CONTENDERS['sklearn']} | 6.00 | 6.00 | 8.00 | 3.00 (1.50 to 4.00) |" in lines


@pytest.mark.slow
@pytest.mark.usefixtures("part")
def test_the_command_writes_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        cold, "clock_starts", lambda rounds: dict.fromkeys(cold.TITLES, [cold.Start(3.0, 4.0)] * rounds)
    )
    skip = ("seeds", "rbm", "commands", "phases")
    code = command.main(("mnist_nn_xavier",), ("floor-jax",), rounds=2, images=500, skip=skip, out=tmp_path)
    assert code == 0
    found = json.loads((tmp_path / "bench.json").read_text())
    epoch = found["epochs"]["mnist_nn_xavier"]
    assert {name for name, one in epoch["contenders"].items() if "seconds" in one} == {"jax", "floor-jax"}
    assert all(len(epoch["contenders"][name]["seconds"]) == 2 for name in ("jax", "floor-jax"))
    assert epoch["contenders"]["jax"]["times_jax"]["median"] == 1
    # Five steps of 3 * (784 * 256 + 256 * 256 + 256 * 10) - 784 * 256 products of numbers an image
    assert epoch["gflop"] == pytest.approx(5 * 100 * 2 * 605_696 / 1e9)
    assert found["threads"] == turns.THREADS
    assert found["machine"]["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert found["cold"]["empty"]["first_epoch"]["median"] == 3
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert "## Cold start" in (tmp_path / "bench.md").read_text()
    assert CONTENDERS["floor-jax"] in capsys.readouterr().out


def test_a_contender_that_dies_ends_the_benchmark() -> None:
    with pytest.raises(RuntimeError, match="ended before its epoch"):
        turns.measure({"nobody": turns.Contender("tests.bench.nobody")}, rounds=1)


def test_a_start_is_timed_to_its_first_epoch_and_to_its_end() -> None:
    program = "import time; time.sleep(0.2); print('Epoch: 0001', flush=True); print('Epoch: 0001'); time.sleep(0.3)"
    start = cold.clock([sys.executable, "-c", program], {})
    assert 0.2 < start.first_epoch < start.end - 0.25  # of the 0.3 s between them


@pytest.mark.parametrize("program", ["pass", "print('Epoch: 0001'); raise SystemExit(3)"])
def test_a_start_that_fails_is_no_measurement(program: str) -> None:
    with pytest.raises(RuntimeError, match=r"ended with [03] "):
        cold.clock([sys.executable, "-c", program], {})


@pytest.mark.slow
@pytest.mark.usefixtures("part")
def test_a_cold_start_keeps_what_it_compiled_in_the_folder_it_is_given(tmp_path: Path) -> None:
    start = cold.train(tmp_path)
    assert 0 < start.first_epoch < start.end
    assert list(tmp_path.iterdir())


def test_empty_and_filled_caches_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def train(cache: Path) -> cold.Start:
        seen.append(bool(list(cache.iterdir())))
        (cache / "compiled").touch()
        return cold.Start(float(len(seen)), 0.0)

    monkeypatch.setattr(cold, "train", train)
    starts = cold.clock_starts(rounds=2)
    assert seen == [False, False, True, False, True]
    assert [start.first_epoch for start in starts["filled"]] == [3.0, 5.0]
