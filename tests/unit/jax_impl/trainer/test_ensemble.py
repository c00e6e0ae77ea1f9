import re

import jax
import numpy as np
import pytest

from jax_impl import draws, recipes, train
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, UserError
from jax_impl.trainer import devices, ensemble, trajectories

SMALL = recipes.Recipe(name="small", layers=(784, 16, 16, 10), epochs=2)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 1e-3)])  # 20 steps; chaos comes later
@pytest.mark.parametrize("optimizer", recipes.NAMES["optimizer"])
def test_runs_together_are_runs_alone(small: Mnist, optimizer: str, dtype: str, rtol: float) -> None:
    recipe = SMALL.but(dtype=dtype, optimizer=optimizer, activation="tanh")
    with jax.enable_x64(dtype == "float64"):
        together = list(ensemble.fit_many(recipe, ensemble.drawn(recipe, (3, 8), small), small))
        for place, seed in enumerate((3, 8)):
            one = recipe.but(seed=seed)
            alone = list(train.fit(one, small, draws.native(one, 1000)))
            for (ours, params), (theirs, expected) in zip(together, alone, strict=True):
                assert ours.costs[place] == pytest.approx(theirs.cost, rel=rtol)
                assert ours.epoch == theirs.epoch
                if dtype == "float64":
                    assert ours.test_accuracies[place] == theirs.test_accuracy
                    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
                        np.testing.assert_allclose(a[place], b, rtol=1e-9, atol=1e-12)
        assert together[0][0].costs[0] != together[0][0].costs[1]


def test_a_run_that_diverges_leaves_the_others_alone(small: Mnist) -> None:
    runs = ensemble.drawn(SMALL, (1, 2), small)
    params = jax.tree.map(lambda leaf: leaf * 1e30, runs[0].params)
    broken = [runs[0]._replace(params=params), runs[1]]
    (first, _), _ = ensemble.fit_many(SMALL, broken, small)
    (right, _), _ = ensemble.fit_many(SMALL, ensemble.drawn(SMALL, (1, 2), small), small)
    assert first.finite.tolist() == [False, True]
    assert right.finite.tolist() == [True, True]
    assert first.costs[1] == right.costs[1]


def test_lsuv_looks_at_the_images(small: Mnist) -> None:
    recipe = SMALL.but(init="lsuv")
    ours, theirs = (ensemble.drawn(one, (5,), small)[0].params for one in (recipe, SMALL.but(init="orthogonal")))
    assert not np.array_equal(ours["linear1"]["kernel"], theirs["linear1"]["kernel"])


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_must_differ(small: Mnist, seeds: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match="seeds must be one or more, all different"):
        ensemble.drawn(SMALL, seeds, small)


def test_runs_differ_in_learning_rate_size_of_the_start_and_order(small: Mnist) -> None:
    """Each is what it is alone, to the last bit, as `devices.over_runs` has it on a CPU."""
    base = draws.native(SMALL, 1000).params
    rates, factors, seeds = (1e-3, 1e-2, 1e-3), (1.0, 1.0, 0.25), (1, 1, 2)

    def runs() -> list[draws.Draws]:
        orders = [draws.native(SMALL.but(seed=seed), 1000).orders for seed in seeds]
        together = [draws.Draws(base, order) for order in orders]
        return [ensemble.scaled(run, factor) for run, factor in zip(together, factors, strict=True)]

    for name, layer in runs()[2].params.items():
        np.testing.assert_array_equal(layer["kernel"], base[name]["kernel"] / 4)
        np.testing.assert_array_equal(layer["bias"], base[name]["bias"])
    together = list(ensemble.fit_many(SMALL, runs(), small, learning_rates=rates))
    for place, (rate, run) in enumerate(zip(rates, runs(), strict=True)):
        alone = list(train.fit(SMALL.but(learning_rate=rate), small, run))
        for (ours, params), (theirs, expected) in zip(together, alone, strict=True):
            assert ours.costs[place] == theirs.cost
            for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
                np.testing.assert_array_equal(a[place], b)
    assert len(set(together[-1][0].costs)) == 3


def test_runs_together_are_runs_alone_for_a_hundred_steps(small: Mnist) -> None:
    """By `jax.vmap`, as an accelerator has it, in float64; the loss of every step."""
    recipe = SMALL.but(dtype="float64", epochs=10)  # of ten steps
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "an accelerator")
        train.compiled_epoch.cache_clear()
        together = [epoch for epoch, _ in ensemble.fit_many(recipe, ensemble.drawn(recipe, (3, 8), small), small)]
        patch.undo()
        train.compiled_epoch.cache_clear()
        for place, seed in enumerate((3, 8)):
            one = recipe.but(seed=seed)
            alone = [record.cost for record, _ in train.fit(one, small, draws.native(one, 1000))]
            np.testing.assert_allclose([epoch.costs[place] for epoch in together], alone, rtol=1e-12)


def test_runs_that_do_not_fit_together_train_in_parts(small: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ensemble.split(SMALL, 5, small).at_once == 1  # on one CPU nothing is gained by more
    monkeypatch.setattr(devices, "side_by_side", lambda mesh: True)
    whole = ensemble.split(SMALL, 5, small)
    assert (whole.runs, whole.at_once) == (5, 5)
    parts = ensemble.split(SMALL, 5, small, max_bytes=whole.bytes * 0.7)
    assert 1 < parts.at_once < 5
    assert re.fullmatch(r"5 runs train \d at a time, in \S+ GiB of each device's memory", str(parts))
    together, in_parts, alone = (
        list(ensemble.fit_many(SMALL, ensemble.drawn(SMALL, range(5), small), small, at_once=at_once))
        for at_once in (None, parts.at_once, 1)
    )
    for other in (in_parts, alone):
        for (ours, params), (theirs, expected) in zip(together, other, strict=True):
            np.testing.assert_array_equal(ours.losses, theirs.losses)
            np.testing.assert_array_equal(ours.test_accuracies, theirs.test_accuracies)
            assert jax.tree.all(jax.tree.map(np.array_equal, params, expected))


def test_what_does_not_fit_alone_is_refused(small: Mnist) -> None:
    with pytest.raises(
        UserError, match=r"one run of small would take .* GiB of a device's memory, more than the 0 GiB"
    ):
        ensemble.split(SMALL, 2, small, max_bytes=0.0)


def test_orders_of_all_runs_are_those_of_each(small: Mnist) -> None:
    seeds = (1, 2, 3)
    together = [run.orders for run in ensemble.drawn(SMALL, seeds, small)]
    alone = [run.orders for run in ensemble.drawn(SMALL, seeds, small)]
    for _ in range(2):
        np.testing.assert_array_equal(draws.next_of_all(together), np.stack([next(one) for one in alone]))
    next(together[0])  # out of step: each by itself
    next(alone[0])
    np.testing.assert_array_equal(draws.next_of_all(together), np.stack([next(one) for one in alone]))


@pytest.mark.parametrize("optimizer", recipes.NAMES["optimizer"])
@pytest.mark.parametrize("at_once", [3, 2])
def test_the_steps_between_two_checkpoints_change_nothing(
    optimizer: str, at_once: int, small: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten steps an epoch, for runs that train together and in parts; what is tested is tested once an epoch."""
    recipe = SMALL.but(optimizer=optimizer)
    tests = []
    counted = ensemble._count_all
    monkeypatch.setattr(ensemble, "_count_all", lambda *given: tests.append(given) or counted(*given))

    def course(every: int | None) -> list[trajectories.Reached]:
        runs = ensemble.drawn(recipe, range(3), small)
        tests.clear()
        found = list(ensemble.advance(recipe, runs, small, ensemble.begin(recipe, runs, at_once=at_once), every=every))
        assert len(tests) == 2 * len(found[0].states)
        return found

    *_, whole = course(None)
    for every, within in {1: [2, 4, 6, 8], 3: [3, 6], 5: [5], 7: [7], 9: [], 11: []}.items():
        cut = course(every)
        assert [reached.losses.shape[1] for reached in cut] == [*within, 0, *within, 0]
        assert cut[-1].epochs[0].losses.flags.c_contiguous  # their sums are taken in the order of the memory
        assert_same(cut[-1], whole)


def assert_same(one: trajectories.Reached, other: trajectories.Reached) -> None:
    """To the last bit, the seconds aside."""
    for ours, theirs in zip(one.epochs, other.epochs, strict=True):
        assert ours.epoch == theirs.epoch
        for name in ("costs", "losses", "test_accuracies", "finite"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), strict=True)
    np.testing.assert_array_equal(one.losses, other.losses, strict=True)
    for a, b in zip(*(jax.tree.leaves((side.states, side.streams)) for side in (one, other)), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_no_step_is_alone(mnist: Mnist) -> None:
    """By itself XLA would fuse and round otherwise, as it does where a batch is one image."""
    recipe = recipes.Recipe(name="small", layers=(784, 100, 10), epochs=1, batch_size=1)
    few = Mnist(mnist.train_images[:50], mnist.train_labels[:50], mnist.test_images[:50], mnist.test_labels[:50])

    def last(every: int | None) -> trajectories.Reached:
        runs = ensemble.drawn(recipe, (1, 2), few)
        *_, reached = ensemble.advance(recipe, runs, few, ensemble.begin(recipe, runs, at_once=2), every=every)
        return reached

    whole = last(None)
    for every in (1, 7, 49):
        assert_same(last(every), whole)
