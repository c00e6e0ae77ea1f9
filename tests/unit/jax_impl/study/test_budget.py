import pytest

from jax_impl.errors import ArgumentError
from jax_impl.study import budget, grid
from jax_impl.study.cells import Cell
from jax_impl.trainer import devices, estimate

SPEED = budget.Speed(flop=1e-11, layer=2e-5)
CELLS = grid.Grid(inits=("zeros", "lsuv"), depths=(2, 4)).cells()


def test_seconds_grow_with_each_setting() -> None:
    base = grid.Grid(inits=("zeros",), depths=(4,))
    seconds = {
        name: budget.cost(grid.Grid(**{**base.__dict__, **change}).cells()[0], SPEED, 60_000, False).seconds
        for name, change in {
            "base": {},
            "epochs": {"epochs": 6},
            "seeds": {"seeds": 6},
            "depth": {"depths": (8,)},
            "width": {"width": 256},
        }.items()
    }
    for name in ("epochs", "seeds"):
        assert seconds[name] / seconds["base"] == pytest.approx(2, rel=0.05)
    assert seconds["depth"] > 1.4 * seconds["base"]
    assert seconds["width"] > 1.4 * seconds["base"]


def test_cells_of_one_shape_are_compiled_once() -> None:
    costs = budget.plan(CELLS, 60_000, speed=SPEED, max_hours=1)
    assert [round(cost.seconds - costs[1].seconds, 2) for cost in costs[:2]] == [round(3 * budget.COMPILING, 2), 0.0]
    assert costs[2].seconds - costs[3].seconds == pytest.approx(5 * budget.COMPILING)


def test_a_study_of_too_many_hours_is_refused() -> None:
    hours = sum(cost.seconds for cost in budget.plan(CELLS, 60_000, speed=SPEED, max_hours=1)) / 3600
    with pytest.raises(ArgumentError, match=f"4 cells would take about {hours:.3g} hours here, more than --max-hours"):
        budget.plan(CELLS, 60_000, speed=SPEED, max_hours=0.9 * hours)


def test_a_study_that_needs_too_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = grid.Grid(inits=("zeros",), depths=(2,), width=100_000).cells()
    message = (
        r"the cell zeros, 2 hidden .* need about \d+ GiB of memory, more than the 8 GiB of --max-gib: use at most --w"
    )
    with pytest.raises(ArgumentError, match=message):
        budget.plan(wide, 60_000, speed=SPEED, max_hours=1e9, max_gib=8)
    monkeypatch.setattr(devices, "memory", lambda: 2**31)
    with pytest.raises(
        ArgumentError, match=r"more than the 1.6 GiB available on this machine: use at most --width \d+$"
    ):
        budget.plan(wide, 60_000, speed=SPEED, max_hours=1e9, max_gib=None)


def test_the_width_that_a_refusal_names_fits_and_the_next_one_does_not() -> None:
    def cells(width: int) -> list[Cell]:
        return grid.Grid(inits=("zeros",), depths=(2,), width=width).cells()

    with pytest.raises(ArgumentError) as error:
        budget.plan(cells(2**31 - 1), 60_000, speed=SPEED, max_hours=1e9, max_gib=2)
    width = int(str(error.value).rpartition(" ")[2])
    budget.plan(cells(width), 60_000, speed=SPEED, max_hours=1e9, max_gib=2)
    with pytest.raises(ArgumentError, match=f"use at most --width {width}"):
        budget.plan(cells(width + 1), 60_000, speed=SPEED, max_hours=1e9, max_gib=2)


def test_many_seeds_are_refused_where_their_states_do_not_fit() -> None:
    cells = grid.Grid(inits=("zeros",), depths=(2,), seeds=10_000, width=1000).cells()
    with pytest.raises(ArgumentError, match=r"use at most --width \d+ or --seeds \d+"):
        budget.plan(cells, 60_000, speed=SPEED, max_hours=1e9)


def test_the_memory_covers_parameters_and_optimizer_state() -> None:
    cell = grid.Grid(inits=("zeros",), depths=(3,), width=1000, optimizers=("adam",)).cells()[0]
    held = 4 * (784 * 1000 + 2 * 1000 * 1000 + 1000 * 10)  # of one run, float32
    tested = 4 * 10_000 * (784 + 2 * 1000)
    memory = budget.memory(cell.recipe, 3)
    assert 5 * held < memory.device < 12 * held + 70_000 * 788 + tested
    assert 3 * 3 * held < memory.host < 3 * 20 * held + 2 * 70_000 * 788


@pytest.mark.parametrize("limit", ["max_hours", "max_gib"])
def test_nan_as_a_limit_allows_nothing(limit: str) -> None:
    with pytest.raises(ArgumentError, match=limit.replace("_", "-")):
        budget.plan(CELLS, 60_000, speed=SPEED, **{limit: float("nan")})


def test_without_training_no_speed_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "measure", lambda: pytest.fail("timed"))
    cells = grid.Grid(inits=("zeros",), depths=(2,), epochs=0).cells()
    assert [cost.seconds for cost in budget.plan(cells, 60_000)] == [3 * budget.COMPILING]
