"""The published distribution of every random initialiser, by its name, for (fan_in, fan_out)."""

import math
from collections.abc import Callable

from scipy import stats

TRUNCATED = math.sqrt(stats.truncnorm(-2, 2).var())  # the std of N(0, 1) cut at ±2, 0.8796


def uniform(bound: float) -> stats.rv_continuous:
    return stats.uniform(-bound, 2 * bound)


def truncated(std: float) -> stats.rv_continuous:
    """JAX's normal initialisers: cut at two standard deviations, and widened to the std that was asked for."""
    return stats.truncnorm(-2, 2, scale=std / TRUNCATED)


LAWS: dict[str, Callable[[int, int], stats.rv_continuous]] = {
    "uniform": lambda i, o: stats.uniform(0, 1),
    "normal": lambda i, o: stats.norm(0, 1),
    "small_normal": lambda i, o: stats.norm(0, 0.01),
    "trunc_normal": lambda i, o: stats.truncnorm(-2, 2),
    "xavier_uniform": lambda i, o: uniform(math.sqrt(6 / (i + o))),
    "xavier_normal": lambda i, o: stats.norm(0, math.sqrt(2 / (i + o))),
    "kaiming_uniform": lambda i, o: uniform(math.sqrt(6 / i)),
    "kaiming_normal": lambda i, o: stats.norm(0, math.sqrt(2 / i)),
    "linear_default": lambda i, o: uniform(1 / math.sqrt(i)),
    "lecun_uniform": lambda i, o: uniform(math.sqrt(3 / i)),
    "lecun_normal": lambda i, o: truncated(math.sqrt(1 / i)),
    "glorot_uniform": lambda i, o: uniform(math.sqrt(6 / (i + o))),
    "glorot_normal": lambda i, o: truncated(math.sqrt(2 / (i + o))),
    "he_uniform": lambda i, o: uniform(math.sqrt(6 / i)),
    "he_normal": lambda i, o: truncated(math.sqrt(2 / i)),
}
EXACT = {"constant": 0.1, "ones": 1.0, "zeros": 0.0}
OTHERS = {"eye", "orthogonal", "sparse"}
