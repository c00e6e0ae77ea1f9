from pathlib import Path

import pytest

from jax_impl import recipes
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError
from jax_impl.storage import records
from jax_impl.study import grid
from jax_impl.study.grid import Grid

TINY = Grid(inits=("xavier_normal", "zeros"), depths=(1, 2), width=8, seeds=2, epochs=2)


def test_a_grid_has_every_combination_and_the_deep_ones_last() -> None:
    cells = Grid(
        inits=("zeros", "lsuv"), depths=(2, 4), activations=("relu", "tanh"), optimizers=("adam", "sgd"), first_seed=7
    ).cells()
    assert len(cells) == len({cell.key for cell in cells}) == 16
    assert [cell.depth for cell in cells] == [2] * 8 + [4] * 8
    assert cells[0].recipe.layers == (784, 128, 128, 10)
    assert cells[0].seeds == (7, 8, 9)
    assert {cell.recipe.learning_rate for cell in cells if cell.recipe.optimizer == "sgd"} == {0.01}
    assert str(cells[-1]) == "lsuv, 4 hidden layers, tanh, sgd"


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"depths": (0,)}, "depths must be an integer from 1 to 10000"),
        ({"epochs": -1}, "epochs must be an integer from 0"),
        ({"seeds": 0}, "seeds must be an integer from 1 to 10000"),
        ({"inits": ()}, "inits must name at least one"),
        ({"inits": ("xavier",)}, "unknown init 'xavier': did you mean 'xavier_normal'"),
        ({"activations": ("rleu",)}, "unknown activation 'rleu': did you mean 'relu'"),
        ({"optimizers": ("lion",)}, "unknown optimizer 'lion'"),
        ({"width": 0}, "width must be an integer from 1 to 2147483647"),
        ({"learning_rate": -1.0}, "learning rate must be"),
        ({"recipes": ("mnist",)}, "unknown recipe"),
    ],
)
def test_a_wrong_axis_is_refused(axes: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Grid(**axes).cells()  # type: ignore[arg-type]


def test_a_study_runs_only_the_cells_without_a_record(small: Mnist, tmp_path: Path) -> None:
    cells = TINY.cells()
    steps = grid.run_remaining(cells, small, tmp_path)
    first = [next(steps) for _ in range(2)]
    assert [existed for _, _, existed in first] == [False, False]
    lines = (tmp_path / grid.RECORDS).read_text().splitlines()
    assert len(lines) == 2
    again = list(grid.run_remaining(cells, small, tmp_path))
    assert [cell for cell, _, _ in again] == cells
    assert [existed for _, _, existed in again] == [True, True, False, False]
    assert [record for _, record, _ in again[:2]] == [record for _, record, _ in first]
    assert (tmp_path / grid.RECORDS).read_text().splitlines()[:2] == lines
    assert set(records.load(tmp_path / grid.RECORDS)) == {cell.key for cell in cells}


def test_repeated_names_give_one_cell() -> None:
    assert len(Grid(inits=("zeros", "zeros"), depths=(2, 2)).cells()) == 1


def test_named_recipes_keep_their_settings_unless_others_are_given() -> None:
    zeros, deep = Grid(recipes=("mnist_nn_zeros", "mnist_nn_deep")).cells()
    assert zeros.recipe == recipes.named("mnist_nn_zeros").with_changes(seed=0)
    assert deep.recipe == recipes.named("mnist_nn_deep").with_changes(seed=0)
    assert str(deep) == "mnist_nn_deep, xavier_uniform, 4 hidden layers, relu, adam"
    named = Grid(recipes=("mnist_nn_deep",), inits=("zeros", "ones"), width=32, epochs=1, optimizers=("sgd",))
    assert [cell.recipe.init for cell in named.cells()] == ["zeros", "ones"]
    recipe = named.cells()[0].recipe
    assert recipe.layers == (784, 32, 32, 32, 32, 10)
    assert (recipe.epochs, recipe.optimizer, recipe.learning_rate) == (1, "sgd", 0.01)
    (cell,) = Grid(recipes=("mnist_nn_deep",), depths=(2,)).cells()
    assert cell.recipe.layers == (784, 512, 512, 10)


def test_cells_of_one_shape_are_grouped_to_fill_the_devices() -> None:
    cells = Grid(inits=("zeros", "normal", "lsuv"), depths=(1, 2), width=8, seeds=2).cells()

    def depths(runs: int) -> list[list[int]]:
        return [[cell.depth for cell in group] for group in grid.grouped(cells, runs)]

    assert depths(1) == [[1], [1], [1], [2], [2], [2]]  # on one device each cell is alone, so that results appear soon
    assert depths(3) == [[1, 1], [1], [2, 2], [2]]
    assert depths(100) == [[1, 1, 1], [2, 2, 2]]
    assert [cell for group in grid.grouped(cells, 3) for cell in group] == cells


@pytest.mark.parametrize(
    ("runs", "seeds", "n_devices", "cells"),
    [
        (1, 3, 1, 1),
        (2, 3, 2, 2),
        (2, 2, 2, 1),
        (2, 11, 2, 1),
        (2, 5, 2, 2),
        (16, 3, 16, 10),
        (64, 5, 1, 13),
        (1, 1, 1, 1),
    ],
)
def test_a_group_leaves_few_devices_idle(runs: int, seeds: int, n_devices: int, cells: int) -> None:
    assert grid.cells_at_once(runs, seeds, n_devices) == cells
    idle = (-cells * seeds) % n_devices
    assert idle <= 0.1 * cells * seeds
