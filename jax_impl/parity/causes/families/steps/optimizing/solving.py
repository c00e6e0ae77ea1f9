"""Settings of an optimizer that are no well-known number, solved for from the port's steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from jax_impl.parity.causes.compute.optimizers import updates
from jax_impl.parity.causes.compute.rules import Clip, Floats, Given, Rule
from jax_impl.parity.causes.families.steps.optimizing.changes import (
    ADAM,
    BETAS,
    DECAY,
    EPSILON,
    MOMENTUM,
    RULE,
    Change,
    another,
)
from jax_impl.parity.causes.families.steps.optimizing.others import clipped, clipping_told

NEAR = 1e-2  # relative error on the way to a solution, below which it is refined
SHARES = 1 - np.geomspace(1e-5, 1, 26)  # of betas, from 0.99999 down to 0
SIZES = np.geomspace(1e-14, 1.0, 29)
LIMITS = np.geomspace(1e-4, 1e5, 37)
ROUNDS = 12  # of refinement


@dataclass(frozen=True)
class Unknown:
    """A number that is solved for.

    Attributes:
        grid: Where the search begins.
        change: The change of the rule that a value means.
    """

    grid: Floats
    change: Callable[[float], Change]


def unknowns(rule: Rule) -> Iterator[Unknown]:
    """Yield the numbers of a rule that a port may have chosen freely."""

    def number(setting: str, grid: Floats, topic: str, start: Rule = rule) -> Unknown:
        return Unknown(grid, lambda value: another(start, setting, value, topic))

    if rule.kind in ADAM:
        yield number("momentum", SHARES, BETAS)
        yield number("smoothing", SHARES, BETAS)
    elif rule.kind == "rmsprop":
        yield number("smoothing", SHARES, BETAS)
    if rule.kind in ("sgd", "rmsprop"):
        yield number("momentum", SHARES, MOMENTUM)
    if rule.kind in ("adam", "nadam", "adamax", "rmsprop", "adagrad"):
        yield number("epsilon", SIZES, EPSILON)
    if rule.kind in ("rmsprop", "adagrad"):
        yield number("initial", np.geomspace(1e-6, 10, 15), RULE)
    if np.any(rule.momentum) and rule.kind == "sgd":
        yield number("dampening", SHARES, MOMENTUM)
    yield number("decay", SIZES, DECAY)
    if not np.any(rule.decay):
        yield number("decay", SIZES, DECAY, replace(rule, decay_place="decoupled"))
    for clip in (replace(rule.clip, norm=1.0), Clip(value=1.0)):
        yield Unknown(LIMITS, lambda value, clip=clip: _limited(rule, clip, value))  # type: ignore[misc]


def solved(given: Given, ours: Floats, unknown: Unknown) -> Iterator[Change]:
    """Yield the changes by which the rule comes closest to the port's steps, the rounder number first."""
    scale = np.linalg.norm(ours, axis=1, keepdims=True)
    scale[scale == 0] = 1.0

    def residual(value: float) -> Floats:
        return np.asarray(((updates(unknown.change(value).rule, given) - ours) / scale).ravel())

    errors = [float(np.linalg.norm(residual(value))) for value in unknown.grid]
    best = int(np.nanargmin(errors))
    before, after = max(best - 1, 0), min(best + 1, len(errors) - 1)
    value = _refined(residual, float(unknown.grid[best]), float(unknown.grid[before]), float(unknown.grid[after]))
    if not np.isfinite(value) or np.linalg.norm(residual(value)) > NEAR:
        return
    for digits in (2, 3, 4, 6):
        rounded = float(f"{value:.{digits}g}")
        complement = 1 - float(f"{1 - value:.{digits}g}") if value < 1 else rounded
        for one in (rounded, round(complement, 12)):
            if abs(one - value) <= 1e-5 * max(abs(value), abs(1 - value) if value < 1 else 0):
                yield unknown.change(one)
    yield unknown.change(value)


def _refined(residual: Callable[[float], Floats], value: float, low: float, high: float) -> float:
    """Return where a residual is smallest: golden sections until it is smooth, then Gauss and Newton's steps."""
    low, high = min(low, high), max(low, high)
    for _ in range(30):
        third = low + 0.382 * (high - low), low + 0.618 * (high - low)
        errors = [float(np.linalg.norm(residual(one))) for one in third]
        low, high = (low, third[1]) if errors[0] < errors[1] else (third[0], high)
    middle = (low + high) / 2
    value = middle if np.linalg.norm(residual(middle)) <= np.linalg.norm(residual(value)) else value
    step = 1e-7 * (abs(value) or 1.0)
    for _ in range(ROUNDS):
        here = residual(value)
        slope = (residual(value + step) - here) / step
        square = float(slope @ slope)
        move = float(slope @ here) / square if square > 0 else 0.0
        if not np.isfinite(move) or np.linalg.norm(residual(value - move)) >= np.linalg.norm(here):
            break
        value, step = value - move, max(abs(move), 1e-9 * abs(value)) or step
    return value


def _limited(rule: Rule, clip: Clip, value: float) -> Change:
    """Return the change to another threshold of clipping, of the norm if `clip` has one, or else of the values."""
    wanted = replace(clip, norm=value) if clip.norm is not None else replace(clip, value=value)
    return clipped(rule, f"clipping to {clipping_told(wanted)}", wanted)
