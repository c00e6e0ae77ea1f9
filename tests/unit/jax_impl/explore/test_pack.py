"""The codes of the page's numbers: exact where they promise it, and close elsewhere."""

import base64
import gzip

import numpy as np
import pytest

from jax_impl.explore.fields import COUNT
from jax_impl.explore.pack import ACCURACY, LOSS, SHARE, SIZE, Scale, decode, encode, pack


@pytest.mark.parametrize("scale", [ACCURACY, LOSS, SHARE, SIZE, COUNT])
def test_special_values_come_back(scale: Scale) -> None:
    values = np.array([np.nan, 0.0, scale.low, scale.high, scale.high * 1.01, np.inf])
    expected = np.array([np.nan, 0.0, scale.low, scale.high, np.inf, np.inf])
    np.testing.assert_allclose(decode(encode(values, scale), scale), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("scale", "closest"),
    [
        (SIZE, 83.477 / 65532 / 2),  # half a step of the 83.5 decades
        (LOSS, 12 / 65532 / 2),
    ],
)
def test_a_logarithmic_code_is_close(scale: Scale, closest: float) -> None:
    values = np.geomspace(scale.low, scale.high, 100_003)
    decades = np.log10(decode(encode(values, scale), scale) / values)
    assert 0.9 * closest < np.abs(decades).max() < 1.001 * closest


@pytest.mark.parametrize(("scale", "step"), [(ACCURACY, 1 / 65532), (SHARE, 1 / 252)])
def test_a_linear_code_is_close(scale: Scale, step: float) -> None:
    values = np.linspace(0, 1, 100_003)[1:]
    errors = np.abs(decode(encode(values, scale), scale) - values)
    assert 0.45 * step < errors.max() < 0.501 * step


def test_a_count_is_exact() -> None:
    numbers = np.arange(253.0)
    np.testing.assert_array_equal(decode(encode(numbers, COUNT), COUNT).round(9), numbers)


def test_every_float32_is_in_the_range_of_sizes() -> None:
    limits = np.array([np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max], np.float64)
    found = decode(encode(limits, SIZE), SIZE)
    assert found[0] == pytest.approx(limits[0], rel=0.5)
    assert np.isinf(found[1]) or found[1] == pytest.approx(limits[1], rel=0.2)


def test_a_positive_number_below_the_range_is_not_0() -> None:
    assert decode(encode(np.array([1e-9]), LOSS), LOSS) == pytest.approx([1e-6])


def test_packed_fields_can_be_read_by_their_description() -> None:
    wanted = {"shares": (np.array([0.25, 0.5, 1.0]), SHARE), "sizes": (np.array([[1e-3, 4.0]]), SIZE)}
    described, text = pack(wanted)
    content = gzip.decompress(base64.b64decode(text))
    assert [(one["name"], one["shape"], one["offset"]) for one in described] == [
        ("shares", [3], 0),
        ("sizes", [1, 2], 4),
    ]
    for one in described:
        scale = Scale(one["kind"], one["low"], one["high"], one["bits"])
        codes = np.frombuffer(content, f"<u{one['bits'] // 8}", int(np.prod(one["shape"])), one["offset"])
        np.testing.assert_allclose(decode(codes, scale).reshape(one["shape"]), wanted[one["name"]][0], rtol=4e-3)
    assert pack(wanted) == (described, text)  # the same bytes in each build
