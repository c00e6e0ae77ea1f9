"""Rung 6: the same seed gives the same initial weights."""

from jax_impl import compare
from jax_impl.recipes import RECIPES
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "seeded weights"
QUESTION = "Does a seed give the same initial weights as in torch?"

# torch's vectorised log and cos round differently: a million normal draws differ by up to 6e-7 of sigma, which is 1.
# Without AVX2, torch rounds the angle, which is below 2π, and the radius is up to 5.8: half a unit in the last place of
# the angle, 2.4e-7, moves the normal number by up to 1.4e-6. Two such roundings move it by 2.8e-6; measured 2.0e-6.
NORMAL_TOLERANCE = 1e-6 if torch_side.FUSED else 4e-6
# torch without fused multiply-adds (no AVX2) rounds a uniform draw twice. It then differs by up to one unit in the last
# place of its bounds, which are below 0.25.
UNFUSED_TOLERANCE = 1.5e-8


def measure(size: Size) -> Measured:  # noqa: ARG001
    comparisons = []
    for recipe, settings in RECIPES.items():
        ours, theirs = (side.initial(recipe) for side in (jax_side, torch_side))
        if settings.init == "normal":
            comparisons.append(compare.max_abs(ours, theirs, tolerance=NORMAL_TOLERANCE, name=f"{recipe}, normal"))
        else:
            comparisons.append(same(ours, theirs, f"{recipe}, {settings.init}"))
    ours, theirs = (side.initial("mnist_nn_xavier", init_passes=2, seed=1) for side in (jax_side, torch_side))
    comparisons.append(same(ours, theirs, "mnist_nn_xavier, init cell run twice, another seed"))
    note = "" if torch_side.FUSED else "this torch has no fused multiply-adds: uniform draws are compared to an ulp"
    return Measured(comparisons=comparisons, note=note)


def same(ours: jax_side.Tensors, theirs: jax_side.Tensors, name: str) -> compare.Comparison:
    """Compare bit for bit if torch rounds a uniform draw once, else to one unit in the last place."""
    if torch_side.FUSED:
        return compare.exact(ours, theirs, name=name)
    return compare.max_abs(ours, theirs, tolerance=UNFUSED_TOLERANCE, name=name)


def test_rung() -> None:
    measure(QUICK).require()
