import jax
import numpy as np
import pytest

from jax_impl import draws, ensemble, recipes, train
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError

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
