"""not_worse_than: by hand, and on networks whose correct programs differ in the order of their sums."""

import math

import numpy as np
import pytest

from jax_impl import compare
from tests.unit.jax_impl.compare.networks import SIZES, Product, outputs, weights


def _reference_and_truth():
    truth = np.random.default_rng(0).normal(size=400)
    return truth.astype(np.float32), truth


def _network(kind, seed):
    """Return a network as a function of its product, and its outputs in float64; its inputs are scaled and shifted."""
    rng = np.random.default_rng(seed)
    tensors, shape = weights(kind, rng)
    inputs = (rng.normal(size=shape) * rng.choice([0.1, 1, 30]) + rng.choice([0, 3, 30])).astype(np.float32)
    return lambda product: outputs(kind, tensors, inputs, product), outputs(
        kind, tensors, inputs.astype(np.float64), Product()
    )


def _harmless_changes(kind, seeds):
    """Return the largest ratios of networks whose port and original add up in different orders."""
    for seed in seeds:
        network, truth = _network(kind, seed)
        rng = np.random.default_rng(1000 + seed)
        port, original = network(Product(rng)), network(Product(rng))
        yield compare.not_worse_than(port, original, truth)
        yield compare.not_worse_than(original, port, truth)


@pytest.mark.parametrize("kind", SIZES)
def test_another_order_of_summation_is_no_fault(kind):
    assert [str(result) for result in _harmless_changes(kind, range(4)) if not result.passed] == []


@pytest.mark.slow
def test_none_of_300_harmless_changes_fails():
    measured = []
    for kind in SIZES:
        results = list(_harmless_changes(kind, range(100, 150)))
        assert [str(result) for result in results if not result.passed] == []
        measured += [result.measured for result in results]
    assert len(measured) == 300
    assert max(measured) > 2  # the factor of 2 that was the default once would raise false alarms


@pytest.mark.parametrize("bits", [10, 7], ids=["TF32", "bfloat16"])
@pytest.mark.parametrize("kind", SIZES)
def test_rounded_products_are_a_fault_in_one_layer_too(kind, bits):
    for seed in range(2):
        network, truth = _network(kind, seed)
        original = network(Product(np.random.default_rng(seed)))
        everywhere = compare.not_worse_than(network(Product(bits=bits)), original, truth)
        assert everywhere.measured > 1000, everywhere
        for number in (0, len(weights(kind, np.random.default_rng(0))[0]) - 1):
            result = compare.not_worse_than(network(Product(bits=bits, only=number)), original, truth)
            assert not result.passed
            assert result.failing[0].startswith(("linear", "conv"))


@pytest.mark.parametrize("digits", [1e-7, 1e-6])
def test_a_single_number_that_is_exact_by_luck_does_not_demand_luck(digits):
    # Losses of correct programs, each off by some 10 unit roundoffs; the original's is right to all digits.
    truth = np.float64(2.3)
    port = np.float32(truth * (1 + digits))
    assert compare.not_worse_than(port, np.float32(truth), truth).passed
    wrong = np.float32(truth * (1 + 2e-5))  # a few hundred unit roundoffs
    assert not compare.not_worse_than(wrong, np.float32(truth), truth).passed
    assert compare.not_worse_than(wrong, np.float32(truth), truth, noise=5e-6).passed


def test_not_worse_than_by_hand():
    exact = np.array([3.0, 4.0])
    reference, actual = np.float32([3, 4.5]), np.float32([3.75, 4])  # off by 0.5 and 0.75
    result = compare.not_worse_than({"w": actual}, {"w": reference}, {"w": exact})
    assert (result.passed, result.measured, result.tolerance, result.where) == (True, 1.5, 10, "w[0]")
    assert result.detail == "actual 3.75, reference 3.0, exact 3.0"
    assert not compare.not_worse_than(actual, reference, exact, factor=1.4).passed
    assert compare.not_worse_than(np.float32([3, 4]), reference, exact, factor=0).measured == 0


def test_not_worse_than_an_exact_reference_leaves_room_for_one_rounding():
    exact = np.full(100, 1 + 2.0**-24 + 2.0**-40)  # just above the middle of 1 and the next float32
    half_ulp = np.ones(100, np.float32)
    # 1 is off by one unit roundoff, 2**-24, to four digits; 2**-40 is a reference error far below one.
    assert compare.not_worse_than(half_ulp, half_ulp, np.ones(100)).measured == 0
    nearly = exact.astype(np.float32)
    assert compare.not_worse_than(half_ulp, nearly, exact).measured == pytest.approx(1, rel=1e-4)
    ones = np.ones(100, np.float32)
    off = ones + np.float32(6 * 2**-23)  # 6 ulp are 12 unit roundoffs
    result = compare.not_worse_than(off, ones, np.ones(100))
    assert (result.passed, result.measured) == (False, pytest.approx(12))
    # Of 25 elements chance makes twice as much of an error disappear.
    assert compare.not_worse_than(off[:25], ones[:25], np.ones(25)).measured == pytest.approx(6)


def test_not_worse_than_catches_a_layer_in_half_precision():
    rounded, truth = _reference_and_truth()
    # Rounding to nearest: in the mean square 0.4 of a unit roundoff, which is below the floor of one.
    assert compare.not_worse_than(rounded, rounded, truth).measured == pytest.approx(0.4, abs=0.1)
    through_half = rounded.astype(np.float16).astype(np.float32)
    assert not compare.not_worse_than(through_half, rounded, truth).passed


def test_not_worse_than_wants_one_dtype_and_a_wider_truth():
    rounded, truth = _reference_and_truth()
    narrow = compare.not_worse_than({"w": rounded}, {"w": rounded}, {"w": rounded})
    assert (narrow.passed, narrow.where) == (False, "w")
    assert narrow.detail == "exact must be wider than float32, got float32"
    half = compare.not_worse_than(rounded.astype(np.float16), rounded, truth)
    assert half.detail == "dtype differs: actual float16, reference float32"
    assert not half.passed
    with pytest.raises(TypeError, match="float32"):
        compare.not_worse_than(np.ones(2, int), np.ones(2, int), np.ones(2))


def test_not_worse_than_with_nan_shapes_missing_leaves_and_zeros():
    one, truth = np.ones(2, np.float32), np.ones(2)
    bad32, bad64 = np.float32([1, np.nan]), np.array([1, np.nan])
    for trees in ((bad32, one, truth), (one, bad32, truth), (one, one, bad64), (bad32, bad32, bad64)):
        result = compare.not_worse_than(*trees)
        assert (result.passed, result.measured, result.where) == (False, math.inf, "array[1]")
    assert "shape differs" in compare.not_worse_than(one[:1], one, truth).detail
    missing = compare.not_worse_than({"w": one}, {}, {"w": truth})
    assert (missing.passed, missing.where, missing.detail) == (False, "w", "missing from reference")
    with pytest.raises(ValueError, match="nothing to compare"):
        compare.not_worse_than({}, {}, {})
    zeros = np.zeros(2)
    assert compare.not_worse_than(0 * one, 0 * one, zeros).passed
    assert not compare.not_worse_than(one, 0 * one, zeros).passed
    assert compare.not_worse_than(one, one, zeros).measured == 1
