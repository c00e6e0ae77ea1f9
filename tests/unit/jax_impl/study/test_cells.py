"""The record of a cell: what each of its seeds measures."""

import json

import numpy as np
import pytest

from jax_impl import train
from jax_impl.data import Mnist
from jax_impl.draws import native
from jax_impl.starts import from_images
from jax_impl.study import cells
from jax_impl.study.grid import Grid

TINY = Grid(inits=("xavier_normal",), depths=(1,), width=8, seeds=2, epochs=2)
CLOCK = {"made", "seconds", "training_seconds"}


def test_a_record_holds_the_results_of_each_seed(small: Mnist) -> None:
    (cell,) = TINY.cells()
    (record,) = cells.run([cell], small)
    for place, seed in enumerate(cell.seeds):
        recipe = cell.recipe.with_changes(seed=seed)
        alone = [epoch for epoch, _ in train.fit(recipe, small, native(recipe, 1000))]
        np.testing.assert_allclose(record["cost"][place], [epoch.cost for epoch in alone], rtol=1e-5)
        np.testing.assert_allclose(record["test_accuracy"][place], [epoch.test_accuracy for epoch in alone], rtol=1e-5)
    assert record["key"] == cell.key
    assert record["recipe"]["init"] == "xavier_normal"
    assert record["seeds"] == [0, 1]
    assert record["diverged_in"] == record["not_started"] == [None, None]
    assert np.shape(record["propagation"]["measured"]["variance"]) == (2, 2)
    assert np.shape(record["propagation"]["measured"]["pre_histogram"]["counts"]) == (2, 60)
    assert np.shape(record["propagation"]["predicted"]["variance"]) == (2, 2)
    np.testing.assert_allclose(np.mean(record["loss"], axis=1), np.mean(record["cost"], axis=1), rtol=1e-5)
    json.dumps(record, allow_nan=False)


@pytest.mark.slow
def test_a_cell_that_diverges_has_a_record(small: Mnist) -> None:
    cell = Grid(inits=("normal",), depths=(2,), width=64, seeds=2, epochs=2, learning_rate=1e20).cells()[0]
    (record,) = cells.run([cell], small)
    assert record["diverged_in"] == [1, 1]
    assert record["cost"] == [[None, None], [None, None]]
    json.dumps(record, allow_nan=False)


@pytest.mark.slow
def test_a_seed_that_lsuv_cannot_start_is_part_of_the_record(small: Mnist) -> None:
    """In some of ten layers of two ReLU units, no unit is on for any image."""
    cell = Grid(inits=("lsuv",), depths=(10,), width=2, seeds=4, epochs=1).cells()[0]
    (record,) = cells.run([cell], small)
    failed = [reason is not None for reason in record["not_started"]]
    assert sum(failed) > 0
    assert [epoch == 1 for epoch in record["diverged_in"]] == failed
    assert all("lsuv cannot bring the variance of linear" in reason for reason in record["not_started"] if reason)
    json.dumps(record, allow_nan=False)


def test_without_epochs_only_propagation_is_measured(small: Mnist) -> None:
    (record,) = cells.run(Grid(**{**TINY.__dict__, "epochs": 0}).cells(), small)
    assert record["cost"] == record["loss"] == record["test_accuracy"] == [[], []]
    assert record["diverged_in"] == [None, None]
    assert np.shape(record["propagation"]["measured"]["variance"]) == (2, 2)


def test_cells_that_run_together_have_the_same_records_as_alone(small: Mnist) -> None:
    """They may differ in the learning rate, too."""
    zeros, xavier = Grid(inits=("zeros", "xavier_normal"), depths=(1,), width=8, seeds=2, epochs=1).cells()
    members = [zeros, cells.Cell(recipe=xavier.recipe.with_changes(learning_rate=0.1), seeds=(5, 6))]

    def timeless(records: list[dict]) -> list[dict]:
        return [{name: value for name, value in one.items() if name not in CLOCK} for one in records]

    together = timeless(cells.run(members, small))
    assert together == timeless([cells.run([cell], small)[0] for cell in members])
    assert together[0]["cost"] != together[1]["cost"]


def test_the_key_changes_with_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = TINY.cells()
    keys = {cell.key, cells.Cell(recipe=cell.recipe, seeds=(0,)).key}
    changes = {
        "name": "other", "layers": (784, 9, 10), "init": "ones", "bias_init": "linear_default", "init_passes": 2,
        "activation": "tanh", "optimizer": "adam", "learning_rate": 0.1, "batch_size": 10, "epochs": 3, "seed": 1,
        "dtype": "float64",
    }  # fmt: skip
    assert set(changes) == set(vars(cell.recipe))
    for name, value in changes.items():
        keys.add(cells.Cell(recipe=cell.recipe.with_changes(**{name: value}), seeds=cell.seeds).key)
    for module, constant in (
        (cells, "VERSION"), (cells, "PROBED"), (cells, "POINTS"), (from_images, "DEPENDS_ON")
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(module, constant, 123)
            keys.add(cell.key)
    assert len(keys) == 2 + len(changes) + 4
    assert TINY.cells()[0].key in keys


def test_the_loss_curve_is_the_mean_of_blocks_of_steps() -> None:
    losses = np.arange(14.0).reshape(2, 7)
    assert cells.means(losses, 3).tolist() == [[1.0, 3.5, 5.5], [8.0, 10.5, 12.5]]
    assert cells.means(losses, 20).tolist() == losses.tolist()
