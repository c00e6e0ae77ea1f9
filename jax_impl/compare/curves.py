"""Comparisons of curves, step by step. Use `jax_impl.compare`."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from jax_impl.compare.arithmetic import distance
from jax_impl.compare.results import Comparison, Real, check_tolerance, compared, real_array


@dataclass(frozen=True, kw_only=True)
class Trajectory(Comparison):
    """A comparison of two curves.

    Attributes:
        divergence_step: The first step, counted from 0, whose difference exceeds the tolerance; None if there is none.
            All steps that both curves have are examined, so it can be later than the steps that were compared.
        steps: How many steps were compared.
    """

    divergence_step: int | None
    steps: int


def trajectory(
    actual_losses: Any, expected_losses: Any, *, tolerance: Real, steps: int | None = None, name: str = "trajectory"
) -> Trajectory:
    """Compare two curves with one number per step; `measured` is the largest absolute difference.

    A curve is a one-dimensional array of real numbers. `steps` is how many steps to compare, from the first one;
    shorter curves fail. None compares all steps, and curves of different lengths fail.

    Raises:
        ValueError: A curve does not have one dimension.
    """
    check_tolerance("tolerance", tolerance)
    a, b = real_array("actual_losses", actual_losses), real_array("expected_losses", expected_losses)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"losses must have one dimension, got shapes {a.shape} and {b.shape}: ravel them first")
    steps = max(a.size, b.size) if steps is None else steps
    if steps < 1:
        raise ValueError(f"{name}: nothing to compare: {steps} steps")
    both = min(a.size, b.size)
    finite = np.isfinite(a[:both]) & np.isfinite(b[:both])
    errors = np.where(finite, distance(a[:both], b[:both]), math.inf)
    exceeding = np.flatnonzero(errors > tolerance)
    first = int(exceeding[0]) if exceeding.size else None
    if both < steps:
        measured, where = math.inf, f"step {both}"
        detail = f"{steps} steps to compare, actual has {a.size} and expected {b.size}"
    else:
        worst = int(np.argmax(errors[:steps]))
        measured, where = float(errors[worst]), f"step {worst}"
        detail = f"actual {a[worst]!s}, expected {b[worst]!s}"
    detail += "; tolerance never exceeded" if first is None else f"; tolerance first exceeded at step {first}"
    return compared(
        Trajectory, name, measured, tolerance, where=where, detail=detail, divergence_step=first, steps=steps
    )
