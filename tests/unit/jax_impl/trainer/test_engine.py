from dataclasses import replace
from itertools import islice
from pathlib import Path

import jax
import numpy as np
import pytest

from jax_impl import draws, recipes, train
from jax_impl.data import Mnist
from jax_impl.starts.from_images import draw_seeds
from jax_impl.storage.checkpoints import Checkpoints
from jax_impl.trainer import engine, epochs
from jax_impl.trainer.progress import EpochOfRuns, Progress, pack, unpack
from tests.tiers import slow

SMALL = recipes.Recipe(name="small", layers=(784, 16, 16, 10), epochs=2)
SEGMENTS = {1: [2, 4, 6, 8], 3: [3, 6], 7: [7], 9: []}  # where an epoch of ten steps is cut, by the steps of a segment


# 20 steps; chaos comes later
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), slow("float32", 1e-3)])
@pytest.mark.parametrize("optimizer", recipes.NAMES["optimizer"])
def test_runs_together_compute_what_each_computes_alone(small: Mnist, optimizer: str, dtype: str, rtol: float) -> None:
    recipe = SMALL.with_changes(dtype=dtype, optimizer=optimizer, activation="tanh")
    with jax.enable_x64(dtype == "float64"):
        together = list(engine.fit_many(recipe, draw_seeds(recipe, (3, 8), small), small))
        for place, seed in enumerate((3, 8)):
            one = recipe.with_changes(seed=seed)
            alone = list(train.fit(one, small, draws.native(one, 1000)))
            for (ours, params), (theirs, expected) in zip(together, alone, strict=True):
                assert ours.costs[place] == pytest.approx(theirs.cost, rel=rtol)
                assert ours.epoch == theirs.epoch
                if dtype == "float64":
                    assert ours.test_accuracies[place] == theirs.test_accuracy
                    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(expected.params), strict=True):
                        np.testing.assert_allclose(a[place], b, rtol=1e-9, atol=1e-12)
        assert together[0][0].costs[0] != together[0][0].costs[1]


def test_a_run_that_diverges_does_not_affect_the_others(small: Mnist) -> None:
    runs = draw_seeds(SMALL, (1, 2), small)
    params = jax.tree.map(lambda leaf: leaf * 1e30, runs[0].params)
    broken = [runs[0]._replace(params=params), runs[1]]
    (first, _), _ = engine.fit_many(SMALL, broken, small)
    (right, _), _ = engine.fit_many(SMALL, draw_seeds(SMALL, (1, 2), small), small)
    assert first.finite.tolist() == [False, True]
    assert right.finite.tolist() == [True, True]
    assert first.costs[1] == right.costs[1]


def test_runs_may_differ_in_learning_rate_initial_parameters_and_orders(small: Mnist) -> None:
    """On a CPU each computes what it computes alone, to the last bit."""
    base = draws.native(SMALL, 1000).params
    rates, factors, seeds = (1e-3, 1e-2, 1e-3), (1.0, 1.0, 0.25), (1, 1, 2)

    def runs() -> list[draws.Draws]:
        orders = [draws.native(SMALL.with_changes(seed=seed), 1000).orders for seed in seeds]
        params = [jax.tree.map(lambda leaf: leaf * factor, base) for factor in factors]  # noqa: B023
        return [draws.Draws(one, order) for one, order in zip(params, orders, strict=True)]

    together = list(engine.fit_many(SMALL, runs(), small, learning_rates=rates))
    for place, (rate, run) in enumerate(zip(rates, runs(), strict=True)):
        alone = list(train.fit(SMALL.with_changes(learning_rate=rate), small, run))
        for (ours, params), (theirs, expected) in zip(together, alone, strict=True):
            assert ours.costs[place] == theirs.cost
            for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(expected.params), strict=True):
                np.testing.assert_array_equal(a[place], b)
    assert len(set(together[-1][0].costs)) == 3


def test_runs_vectorised_compute_what_each_computes_alone_for_a_hundred_steps(small: Mnist) -> None:
    """With `jax.vmap`, as on an accelerator, in float64."""
    recipe = SMALL.with_changes(dtype="float64", epochs=10)  # of ten steps
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "an accelerator")
        epochs._compiled.cache_clear()
        together = [epoch for epoch, _ in engine.fit_many(recipe, draw_seeds(recipe, (3, 8), small), small)]
        patch.undo()
        epochs._compiled.cache_clear()
        for place, seed in enumerate((3, 8)):
            one = recipe.with_changes(seed=seed)
            alone = [record.cost for record, _ in train.fit(one, small, draws.native(one, 1000))]
            np.testing.assert_allclose([epoch.costs[place] for epoch in together], alone, rtol=1e-12)


def test_orders_drawn_together_are_those_drawn_alone(small: Mnist) -> None:
    seeds = (1, 2, 3)
    together = [run.orders for run in draw_seeds(SMALL, seeds, small)]
    alone = [run.orders for run in draw_seeds(SMALL, seeds, small)]
    for _ in range(2):
        np.testing.assert_array_equal(engine.next_orders(together), np.stack([next(one) for one in alone]))
    next(together[0])  # no longer in the same epoch, so each is drawn alone
    next(alone[0])
    np.testing.assert_array_equal(engine.next_orders(together), np.stack([next(one) for one in alone]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "at_once", "segments"),
    [
        ("adam", 2, {3: [3, 6]}),
        *(slow(*runs, SEGMENTS) for runs in (("adam", 3), ("adam", 2), ("sgd", 2))),
    ],
)
def test_segments_do_not_change_the_bits(
    optimizer: str, at_once: int, segments: dict[int, list[int]], small: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch has ten steps. All runs train together, or two and then one. Test images are used once per epoch."""
    recipe = SMALL.with_changes(optimizer=optimizer)
    tests = []
    count = epochs.count_correct
    monkeypatch.setattr(epochs, "count_correct", lambda *given: tests.append(given) or count(*given))

    def course(every: int | None) -> list[Progress]:
        runs = draw_seeds(recipe, range(3), small)
        tests.clear()
        found = list(engine.advance(recipe, runs, small, engine.begin(recipe, runs), at_once=at_once, every=every))
        groups = -(-3 // at_once)
        assert len(tests) == recipe.epochs * groups
        return found

    *_, whole = course(None)
    for every, within in segments.items():
        divided = course(every)
        assert [progress.steps for progress in divided] == [*within, 0, *within, 0]
        assert [progress.losses.shape[1] for progress in divided] == [*within, 0, *within, 0]
        assert divided[-1].records[0].losses.flags.c_contiguous  # sums are taken in the order of the memory
        assert_same(divided[-1], whole)


@pytest.mark.slow
def test_runs_may_train_in_groups(small: Mnist) -> None:
    """On a CPU any number of runs at once gives the same bits."""
    together, in_pairs, alone = (
        list(engine.fit_many(SMALL, draw_seeds(SMALL, range(5), small), small, at_once=at_once))
        for at_once in (5, 2, 1)
    )
    for other in (in_pairs, alone):
        for (ours, params), (theirs, expected) in zip(together, other, strict=True):
            np.testing.assert_array_equal(ours.losses, theirs.losses)
            np.testing.assert_array_equal(ours.test_accuracies, theirs.test_accuracies)
            assert jax.tree.all(jax.tree.map(np.array_equal, params, expected))


@pytest.mark.slow
@pytest.mark.parametrize("groups", [(2, 3, 5), slow((5, 1, 2))])
def test_runs_continue_from_a_checkpoint_with_another_number_at_once(
    groups: tuple[int, int, int], small: Mnist, tmp_path: Path
) -> None:
    """Left in the first epoch, at its end, and in the second one; the seconds add up."""
    runs = draw_seeds(SMALL, range(5), small)
    *_, whole = engine.advance(SMALL, runs, small, engine.begin(SMALL, runs), at_once=2)
    since = engine.begin(SMALL, draw_seeds(SMALL, range(5), small))
    steps = []
    for number, (at_once, parts, every) in enumerate(zip(groups, (1, 2, None), (3, 4, None), strict=True)):
        runs = draw_seeds(SMALL, range(5), small)
        for progress in islice(engine.advance(SMALL, runs, small, since, at_once=at_once, every=every), parts):
            steps.append(10 * len(progress.records) + progress.steps)
        slower = replace(progress, seconds=progress.seconds + 1000) if progress.steps else progress
        Checkpoints(tmp_path / str(number), {}).save(steps[-1], *pack(slower, SMALL.epochs))
        saved = Checkpoints(tmp_path / str(number), {}).newest(print)
        assert saved
        since = unpack(*saved, like=engine.begin(SMALL, runs).state, record=EpochOfRuns)
    assert steps == [3, 7, 10, 20]
    assert [int(epoch.seconds) // 1000 for epoch in since.records] == [1, 0]
    assert_same(since, whole)


def assert_same(one: Progress, other: Progress) -> None:
    """All but the seconds are equal to the last bit."""
    for ours, theirs in zip(one.records, other.records, strict=True):
        assert ours.epoch == theirs.epoch
        for name in ("costs", "losses", "test_accuracies", "finite"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), strict=True)
    np.testing.assert_array_equal(one.losses, other.losses, strict=True)
    for a, b in zip(*(jax.tree.leaves(side.state) for side in (one, other)), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.slow
def test_segments_do_not_change_the_bits_if_a_batch_is_one_image(mnist: Mnist) -> None:
    """XLA would fuse and round a segment of one step differently, and here it shows."""
    recipe = recipes.Recipe(name="small", layers=(784, 100, 10), epochs=1, batch_size=1)
    few = Mnist(mnist.train_images[:50], mnist.train_labels[:50], mnist.test_images[:50], mnist.test_labels[:50])

    def last(every: int | None) -> Progress:
        runs = draw_seeds(recipe, (1, 2), few)
        *_, progress = engine.advance(recipe, runs, few, engine.begin(recipe, runs), at_once=2, every=every)
        return progress

    whole = last(None)
    for every in (1, 7, 49):
        assert_same(last(every), whole)


@pytest.mark.parametrize(
    ("runs", "n_devices", "parts"),
    [(5, 1, [5]), (4, 2, [4]), (5, 2, [4, 1]), (1, 2, [1]), (3, 4, [3]), (11, 4, [8, 3])],
)
def test_runs_that_do_not_fill_the_devices_train_after_the_others(runs: int, n_devices: int, parts: list[int]) -> None:
    found = [list(range(runs))[part] for part in engine.even_parts(runs, n_devices)]
    assert [len(part) for part in found] == parts
    assert [run for part in found for run in part] == list(range(runs))
