"""Rung 2: pixels, labels, and the inputs that are computed from pixels."""

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "data"
QUESTION = "Do both sides see the same images, labels and scaled inputs?"


def measure(size: Size) -> Measured:
    ours, theirs = jax_side.load(), torch_side.load()
    comparisons = [compare.exact(ours._asdict(), theirs._asdict(), name="pixels and labels, all 70,000")]
    images = theirs.train_images[: size.images]
    for dtype, tolerance in (("float32", None), ("float64", 1e-15)):
        scaled = jax_side.scale(images, dtype), torch_side.scale(images, dtype)
        name = f"inputs in [0, 1], {dtype}"
        if tolerance is None:
            comparisons.append(compare.exact(*scaled, name=name))
        else:  # 1e-15 is 9 units in the last place of the smallest pixel; measured 0
            comparisons.append(compare.max_abs(*scaled, tolerance=tolerance, name=name))
    return Measured(comparisons=comparisons)


def test_rung() -> None:
    measure(QUICK).require()
