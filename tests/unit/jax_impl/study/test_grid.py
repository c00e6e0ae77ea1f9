import json
from pathlib import Path

import numpy as np
import pytest

from jax_impl import recipes, train
from jax_impl.data import Mnist
from jax_impl.draws import native
from jax_impl.errors import ArgumentError
from jax_impl.storage import records
from jax_impl.study import cells as study_cells
from jax_impl.study import grid as study

TINY = study.Grid(inits=("xavier_normal", "zeros"), depths=(1, 2), width=8, seeds=2, epochs=2)


def test_the_grid_is_every_combination_the_deep_ones_last() -> None:
    cells = study.Grid(
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
        ({"depths": (0,)}, "depths must be an integer >= 1"),
        ({"epochs": -1}, "epochs must be an integer >= 0"),
        ({"seeds": 0}, "seeds must be an integer >= 1"),
        ({"inits": ()}, "inits must name at least one"),
        ({"inits": ("xavier",)}, "unknown init 'xavier': did you mean 'xavier_normal'"),
        ({"activations": ("rleu",)}, "unknown activation 'rleu': did you mean 'relu'"),
        ({"optimizers": ("lion",)}, "unknown optimizer 'lion'"),
        ({"learning_rate": -1.0}, "learning rate must be"),
        ({"recipes": ("mnist",)}, "unknown recipe"),
    ],
)
def test_a_bad_axis_is_refused_before_anything_starts(axes: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        study.Grid(**axes).cells()  # type: ignore[arg-type]


def test_a_cell_holds_what_its_seeds_give(small: Mnist) -> None:
    cell = TINY.cells()[0]
    record = study_cells.run([cell], small)[0]
    for place, seed in enumerate(cell.seeds):
        recipe = cell.recipe.but(seed=seed)
        alone = [epoch for epoch, _ in train.fit(recipe, small, native(recipe, 1000))]
        np.testing.assert_allclose(record["cost"][place], [epoch.cost for epoch in alone], rtol=1e-5)
        np.testing.assert_allclose(record["test_accuracy"][place], [epoch.test_accuracy for epoch in alone], atol=0.005)
    assert record["diverged_in"] == [None, None]
    assert np.shape(record["propagation"]["measured"]["variance"]) == (2, 2)
    assert np.shape(record["propagation"]["measured"]["pre_histogram"]["counts"]) == (2, 60)
    np.testing.assert_allclose(np.mean(record["loss"], axis=1), np.mean(record["cost"], axis=1), rtol=1e-5)
    assert np.shape(record["propagation"]["predicted"]["variance"]) == (2, 2)
    json.dumps(record, allow_nan=False)


def test_a_cell_that_diverges_is_a_record(small: Mnist) -> None:
    cell = study.Grid(inits=("normal",), depths=(2,), width=64, seeds=2, epochs=2, learning_rate=1e20).cells()[0]
    record = study_cells.run([cell], small)[0]
    assert record["diverged_in"] == [1, 1]
    assert record["cost"] == [[None, None], [None, None]]
    json.dumps(record, allow_nan=False)


def test_a_study_goes_on_where_it_stopped(small: Mnist, tmp_path: Path) -> None:
    cells = TINY.cells()
    steps = study.go_on(cells, small, tmp_path)
    first = [next(steps) for _ in range(2)]
    assert [known for _, _, known in first] == [False, False]
    kept = (tmp_path / study.RECORDS).read_text().splitlines()
    assert len(kept) == 2
    again = list(study.go_on(cells, small, tmp_path))
    assert [known for _, _, known in again] == [True, True, False, False]
    assert [record for _, record, _ in again[:2]] == [record for _, record, _ in first]
    assert (tmp_path / study.RECORDS).read_text().splitlines()[:2] == kept
    assert set(records.load(tmp_path / study.RECORDS)) == {cell.key for cell in cells}


@pytest.mark.parametrize("constant", ["VERSION", "PROBED", "POINTS", "START"])
def test_another_setting_is_another_cell(constant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {grid.cells()[0].key for grid in (TINY, study.Grid(**{**TINY.__dict__, "epochs": 3}))}
    monkeypatch.setattr(study_cells, constant, 123)
    assert len(keys | {TINY.cells()[0].key}) == 3


def test_a_name_that_is_given_twice_is_one_cell() -> None:
    assert len(study.Grid(inits=("zeros", "zeros"), depths=(2, 2)).cells()) == 1


def test_named_recipes_keep_what_is_not_given() -> None:
    zeros, deep = study.Grid(recipes=("mnist_nn_zeros", "mnist_nn_deep")).cells()
    assert zeros.recipe == recipes.named("mnist_nn_zeros").but(seed=0)
    assert deep.recipe == recipes.named("mnist_nn_deep").but(seed=0)
    assert str(deep) == "mnist_nn_deep, xavier_uniform, 4 hidden layers, relu, adam"
    grid = study.Grid(recipes=("mnist_nn_deep",), inits=("zeros", "ones"), width=32, epochs=1, optimizers=("sgd",))
    assert [cell.recipe.init for cell in grid.cells()] == ["zeros", "ones"]
    recipe = grid.cells()[0].recipe
    assert recipe.layers == (784, 32, 32, 32, 32, 10)
    assert (recipe.epochs, recipe.optimizer, recipe.learning_rate) == (1, "sgd", 0.01)
    (cell,) = study.Grid(recipes=("mnist_nn_deep",), depths=(2,)).cells()
    assert cell.recipe.layers == (784, 512, 512, 10)


def test_a_seed_that_lsuv_cannot_start_is_a_record_and_no_end(small: Mnist) -> None:
    """Of ten layers of two ReLU units some have none that is on for any image."""
    cell = study.Grid(inits=("lsuv",), depths=(10,), width=2, seeds=4, epochs=1).cells()[0]
    record = study_cells.run([cell], small)[0]
    failed = [reason is not None for reason in record["not_started"]]
    assert sum(failed) > 0
    assert [epoch == 1 for epoch in record["diverged_in"]] == failed
    assert all("lsuv cannot bring the variance of linear" in reason for reason in record["not_started"] if reason)
    json.dumps(record, allow_nan=False)


def test_without_epochs_only_signal_and_gradient_are_measured(small: Mnist) -> None:
    record = study_cells.run(study.Grid(**{**TINY.__dict__, "epochs": 0}).cells()[:1], small)[0]
    assert record["cost"] == record["loss"] == record["test_accuracy"] == [[], []]
    assert record["diverged_in"] == [None, None]
    assert np.shape(record["propagation"]["measured"]["variance"]) == (2, 2)


def test_the_loss_curve_is_the_mean_of_blocks() -> None:
    losses = np.arange(14.0).reshape(2, 7)
    assert study_cells.means(losses, 3).tolist() == [[1.0, 3.5, 5.5], [8.0, 10.5, 12.5]]
    assert study_cells.means(losses, 20).tolist() == losses.tolist()


def test_cells_of_one_shape_are_grouped_until_the_devices_are_busy() -> None:
    cells = study.Grid(inits=("zeros", "normal", "lsuv"), depths=(1, 2), width=8, seeds=2).cells()

    def sizes(room: int) -> list[list[int]]:
        return [[cell.depth for cell in group] for group in study.grouped(cells, room)]

    assert sizes(1) == [[1], [1], [1], [2], [2], [2]]  # one device: a cell at a time, so that results come soon
    assert sizes(3) == [[1, 1], [1], [2, 2], [2]]
    assert sizes(100) == [[1, 1, 1], [2, 2, 2]]
    assert [cell for group in study.grouped(cells, 3) for cell in group] == cells


def test_a_cell_s_record_does_not_tell_in_what_company_it_was_made(small: Mnist) -> None:
    cells = study.Grid(inits=("zeros", "xavier_normal"), depths=(1,), width=8, seeds=2, epochs=1).cells()
    clock = {"made", "seconds", "training_seconds"}

    def found(records: list[dict]) -> list[dict]:
        return [{name: value for name, value in one.items() if name not in clock} for one in records]

    together = study_cells.run(cells, small)
    assert found(together) == found([study_cells.run([cell], small)[0] for cell in cells])
