"""What the ladder's figures add to `jax_impl.figures.canvas`: the two arms, the two dtypes, and powers of ten."""

import math

from jax_impl.figures.canvas import short

JAX, TORCH = "#2166ac", "#c8540a"
DTYPES = {"float32": "#8a4fa3", "float64": "#0f766e"}


def power(value: float) -> str:
    """Return a power of ten as one: 1e-3, not 0.001."""
    exponent = math.log10(value)
    return f"1e{round(exponent)}" if abs(exponent - round(exponent)) < 1e-9 and value != 1 else short(value)


def arm_style(arm: str) -> tuple[str, str, str]:
    """Return an arm's colour, name and line style."""
    return (JAX, "JAX", "-") if arm == "jax" else (TORCH, "PyTorch", "--")
