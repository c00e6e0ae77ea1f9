"""Convolutions as matrix products: XLA's own are the measure, forwards and backwards."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jax_impl.parity.recording.tracing import convolutions
from jax_impl.parity.recording.tracing.tags import evaluate

CASES: dict[str, dict[str, Any]] = {
    "strides and borders": {
        "shapes": ((2, 9, 8, 3), (3, 2, 3, 5)), "axes": ("NHWC", "HWIO", "NHWC"),
        "window_strides": (2, 1), "padding": ((1, 0), (2, 1)),
    },
    "groups": {
        "shapes": ((2, 9, 8, 6), (3, 2, 2, 9)), "axes": ("NHWC", "HWIO", "NHWC"),
        "window_strides": (2, 1), "padding": "SAME", "feature_group_count": 3,
    },
    "dilated, a negative border, torch's axes": {
        "shapes": ((2, 4, 9, 8), (5, 4, 3, 3)), "axes": ("NCHW", "OIHW", "NCHW"), "window_strides": (1, 2),
        "padding": ((2, 1), (-1, 2)), "lhs_dilation": (1, 3), "rhs_dilation": (2, 1),
    },
    "one dimension": {
        "shapes": ((2, 9, 4), (3, 4, 5)), "axes": ("NWC", "WIO", "NWC"), "window_strides": (2,), "padding": "VALID",
    },
    "three dimensions in another order": {
        "shapes": ((3, 5, 6, 7, 2), (4, 3, 2, 2, 3)), "axes": ("CDHWN", "OIDHW", "NDHWC"),
        "window_strides": (2, 1, 1), "padding": "VALID",
    },
}  # fmt: skip


def traced(case: str, dtype: Any = jnp.float64) -> tuple[Any, tuple[jax.Array, jax.Array]]:
    """The program of a convolution, inside jit as libraries call it, and its arguments."""
    settings = dict(CASES[case])
    draw = np.random.default_rng(0)
    image, kernel = (jnp.asarray(draw.standard_normal(shape), dtype) for shape in settings.pop("shapes"))
    axes = settings.pop("axes")
    convolve = jax.jit(lambda *both: lax.conv_general_dilated(*both, dimension_numbers=axes, **settings))
    return jax.make_jaxpr(convolve)(image, kernel), (image, kernel)


def results(program: Any, arguments: Any, *, native: bool) -> list[Any]:
    """The output and both gradients of its sum of squares."""

    def output(*both: Any) -> Any:
        if native:
            return jax.extend.core.jaxpr_as_fun(program)(*both)[0]
        return evaluate(program, both, lambda _, array: array, roles=("mask",))[0]

    gradients = jax.grad(lambda *both: jnp.square(output(*both)).sum(), (0, 1))
    return [output(*arguments), *gradients(*arguments)]


@pytest.mark.parametrize("case", CASES)
def test_a_product_is_the_convolution(case: str) -> None:
    with jax.enable_x64(True):
        program, arguments = traced(case)
        pairs = zip(*(results(program, arguments, native=native) for native in (False, True)), strict=True)
        for ours, xla in pairs:
            # A sum of at most 36 products is rounded 36 times at most, and a gradient's once more for each output.
            np.testing.assert_allclose(ours, xla, rtol=0, atol=1e-14 * float(jnp.abs(xla).max()))


def test_the_program_holds_no_convolution_any_more() -> None:
    with jax.enable_x64(True):
        program, arguments = traced("groups")
        rewritten = jax.make_jaxpr(lambda *both: evaluate(program, both, lambda _, x: x, roles=("mask",)))(*arguments)
    assert "conv_general_dilated" in str(program)
    assert "conv_general_dilated" not in str(rewritten)


def test_fast_and_huge_convolutions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(dtype: Any) -> bool:
        program, _ = traced("one dimension", dtype)
        (called,) = program.eqns
        return any(map(convolutions.slow, called.params["jaxpr"].eqns))

    assert not slow(jnp.float32)
    with jax.enable_x64(True):
        assert slow(jnp.float64)
        patches = 2 * 4 * 3 * 4  # images, places, kernel, channels
        monkeypatch.setattr(convolutions, "LARGEST", patches)
        assert slow(jnp.float64)
        monkeypatch.setattr(convolutions, "LARGEST", patches - 1)
        assert not slow(jnp.float64)
