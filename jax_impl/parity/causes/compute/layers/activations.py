"""Activations in NumPy, element by element, each as torch or JAX computes it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
SQRT_2, SQRT_2_OVER_PI = math.sqrt(2), math.sqrt(2 / math.pi)
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@dataclass(frozen=True)
class Activation:
    """A function that is applied to each element.

    Attributes:
        name: As people call it.
        jax: How a Flax user writes it, as a function of x.
        apply: Computes it.
    """

    name: str
    jax: str
    apply: Callable[[Floats], Floats]


def relu(x: Floats) -> Floats:
    """max(0, x): torch.nn.functional.relu."""
    return np.asarray(np.maximum(x, 0))


def gelu(x: Floats) -> Floats:
    """The exact form, x Φ(x): torch's default."""
    return np.asarray(x * 0.5 * special.erfc(-x / SQRT_2))


def gelu_tanh(x: Floats) -> Floats:
    """The form by tanh: torch's approximate="tanh", and the default of jax.nn.gelu."""
    return np.asarray(0.5 * x * (1 + np.tanh(SQRT_2_OVER_PI * (x + 0.044715 * x**3))))


def gelu_sigmoid(x: Floats) -> Floats:
    """The form by the sigmoid, of CLIP and OpenAI: x σ(1.702 x)."""
    return np.asarray(x * special.expit(1.702 * x))


def silu(x: Floats) -> Floats:
    """The product x σ(x), also called swish: torch.nn.functional.silu."""
    return np.asarray(x * special.expit(x))


def softplus(x: Floats) -> Floats:
    """log(1 + exp(x)): torch.nn.functional.softplus, which is the identity above 20; the difference is 2e-9."""
    return np.where(x > 20, x, np.logaddexp(0, np.minimum(x, 20)))


def hard_sigmoid(x: Floats) -> Floats:
    """relu6(x + 3) / 6: torch.nn.functional.hardsigmoid."""
    return np.clip(x + 3, 0, 6) / 6


def leaky_relu(slope: float) -> Activation:
    """Return LeakyReLU with a slope."""
    return Activation(
        f"LeakyReLU of slope {slope:g}",
        f"jax.nn.leaky_relu(x, {slope:g})",
        lambda x: np.where(x >= 0, x, slope * x),
    )


def elu(alpha: float) -> Activation:
    """Return ELU with a factor."""
    name = "ELU" if alpha == 1 else f"ELU of alpha {alpha:g}"
    return Activation(
        name, f"jax.nn.elu(x, {alpha:g})", lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))
    )


IDENTITY = Activation("no activation", "x", lambda x: x)
RELU = Activation("ReLU", "jax.nn.relu(x)", relu)
KNOWN = (
    RELU,
    Activation("the exact GELU", "jax.nn.gelu(x, approximate=False)", gelu),
    Activation("GELU by tanh", "jax.nn.gelu(x, approximate=True)", gelu_tanh),
    Activation("GELU by the sigmoid", "x * jax.nn.sigmoid(1.702 * x)", gelu_sigmoid),
    Activation("SiLU", "jax.nn.silu(x)", silu),
    Activation("tanh", "jnp.tanh(x)", np.tanh),
    Activation("the sigmoid", "jax.nn.sigmoid(x)", special.expit),
    Activation("softplus", "jax.nn.softplus(x)", softplus),
    Activation("ReLU6", "jax.nn.relu6(x)", lambda x: np.clip(x, 0, 6)),
    Activation("hardswish", "jax.nn.hard_swish(x)", lambda x: x * hard_sigmoid(x)),
    Activation("the hard sigmoid", "jax.nn.hard_sigmoid(x)", hard_sigmoid),
    Activation("hardtanh", "jax.nn.hard_tanh(x)", lambda x: np.clip(x, -1, 1)),
    Activation("mish", "jax.nn.mish(x)", lambda x: x * np.tanh(softplus(x))),
    Activation("softsign", "jax.nn.soft_sign(x)", lambda x: x / (1 + np.abs(x))),
    Activation("the log-sigmoid", "jax.nn.log_sigmoid(x)", lambda x: -np.logaddexp(0, -x)),
    Activation("squared ReLU", "jnp.square(jax.nn.relu(x))", lambda x: np.square(relu(x))),
    Activation("the absolute value", "jnp.abs(x)", np.abs),
    Activation(
        "SELU", "jax.nn.selu(x)",
        lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    ),
    elu(1.0),
    *(leaky_relu(slope) for slope in (0.01, 0.2, 0.1, 0.3, 0.05, 0.25, 0.02, 1 / 5.5)),
)  # fmt: skip


def described(kind: str, settings: Mapping[str, Any]) -> Activation | None:
    """Return the activation of a module of torch whose function depends on a setting; None if it is another one."""

    def number(name: str) -> float | None:
        value = settings.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    slope, alpha = number("negative_slope"), number("alpha")
    if kind == "LeakyReLU" and slope is not None:
        return leaky_relu(slope)
    if kind == "ELU" and alpha is not None:
        return elu(alpha)
    if kind == "CELU" and alpha:
        return Activation(
            "CELU", f"jax.nn.celu(x, {alpha:g})",
            lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)),
        )  # fmt: skip
    beta, low, high = number("beta"), number("min_val"), number("max_val")
    if kind == "Softplus" and beta:
        return Activation(
            "softplus" if beta == 1 else f"softplus of beta {beta:g}", f"jax.nn.softplus({beta:g} * x) / {beta:g}",
            lambda x: softplus(beta * x) / beta,
        )  # fmt: skip
    if kind == "Hardtanh" and low is not None and high is not None:
        return Activation(
            f"clipping to {low:g} … {high:g}", f"jnp.clip(x, {low:g}, {high:g})", lambda x: np.clip(x, low, high)
        )
    return None


def fitted_slope(x: Floats, y: Floats) -> Activation | None:
    """Return LeakyReLU with the slope that y shows, given x; None if it is none."""
    below = np.isfinite(x) & np.isfinite(y) & (x < 0)
    if not below.any() or not y[below].any():
        return None
    slope = float(np.median(y[below] / x[below]))
    slope = float(f"{slope:.6g}")
    return leaky_relu(slope) if 0 < abs(slope) < 1 else None
