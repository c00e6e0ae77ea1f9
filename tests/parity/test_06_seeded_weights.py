"""Rung 6: the same seed gives the same initial weights."""

from jax_impl import compare
from jax_impl.recipes import RECIPES
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "seeded weights"
QUESTION = "Does a seed give the initial weights that torch draws from it?"

# torch's vectorised log and cos round as they like: a million normal draws differ by up to 6e-7 of sigma, which is 1.
NORMAL_TOLERANCE = 1e-6


def measure(size: Size) -> Measured:  # noqa: ARG001
    comparisons = []
    for recipe, settings in RECIPES.items():
        ours, theirs = (side.initial(recipe) for side in (jax_side, torch_side))
        if settings.init == "normal":
            comparisons.append(compare.max_abs(ours, theirs, tolerance=NORMAL_TOLERANCE, name=f"{recipe}, normal"))
        else:
            comparisons.append(compare.exact(ours, theirs, name=f"{recipe}, {settings.init}"))
    ours, theirs = (side.initial("mnist_nn_xavier", init_passes=2, seed=1) for side in (jax_side, torch_side))
    comparisons.append(compare.exact(ours, theirs, name="mnist_nn_xavier, init cell run twice, another seed"))
    return Measured(comparisons=comparisons)


def test_rung() -> None:
    measure(QUICK).require()
