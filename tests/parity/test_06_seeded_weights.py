"""Rung 6: the same seed gives the same initial weights."""

from jax_impl import compare
from jax_impl.recipes import RECIPES
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "seeded weights"
QUESTION = "Does a seed give the same initial weights as in torch?"

# Without fused multiply-adds (no AVX2) torch rounds differently, which the recipes do not replay. The angle of a normal
# number is below 2π, and its radius is up to 5.8: half a unit in the last place of the angle, 2.4e-7, moves the number
# by up to 1.4e-6 of sigma, which is 1. Two such roundings move it by 2.8e-6; measured 2.0e-6. A uniform draw differs by
# up to one unit in the last place of its bounds, which are below 0.25.
UNFUSED_TOLERANCE = {"normal": 4e-6, "uniform": 1.5e-8}


def measure(size: Size) -> Measured:  # noqa: ARG001
    comparisons = []
    for recipe, settings in RECIPES.items():
        ours, theirs = (side.initial(recipe) for side in (jax_side, torch_side))
        kind = "normal" if settings.init == "normal" else "uniform"
        comparisons.append(same(ours, theirs, f"{recipe}, {settings.init}", kind))
    ours, theirs = (side.initial("mnist_nn_xavier", init_passes=2, seed=1) for side in (jax_side, torch_side))
    comparisons.append(same(ours, theirs, "mnist_nn_xavier, init cell run twice, another seed"))
    note = "" if torch_side.FUSED else "this torch has no fused multiply-adds: draws are compared to a few ulp"
    return Measured(comparisons=comparisons, note=note)


def same(ours: jax_side.Tensors, theirs: jax_side.Tensors, name: str, kind: str = "uniform") -> compare.Comparison:
    """Compare bit for bit if torch has fused multiply-adds, else to a few units in the last place."""
    if torch_side.FUSED:
        return compare.exact(ours, theirs, name=name)
    return compare.max_abs(ours, theirs, tolerance=UNFUSED_TOLERANCE[kind], name=name)


def test_rung() -> None:
    measure(QUICK).require()
