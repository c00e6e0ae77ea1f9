"""Optimizers in NumPy, element by element: torch's, and what Optax, TensorFlow and MLX do in their place."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.compute.rules import Clip, Floats, Given, Number, Rule


def updates(rule: Rule, given: Given) -> Floats:
    """Return weights after each step minus before, (steps, n)."""
    weights = given.weights
    found = np.empty_like(given.gradients)
    for step, change in enumerate(_Walk(rule, given)):
        after = weights + change(weights, given.rates[step])
        found[step], weights = after - weights, after
    return found


def fitted_rates(rule: Rule, given: Given, ours: Floats, parts: NDArray[np.int64]) -> Floats:
    """Return the learning rates at which the steps are most like others, (steps, n), one for each step and part.

    Args:
        rule: The optimizer.
        given: Its learning rates are not used, but their number.
        ours: The steps to fit, (steps, n).
        parts: The number of the part, such as a parameter group, to which each element belongs, (n,).
    """
    weights = given.weights
    rates = np.zeros_like(given.gradients)
    count = int(parts.max(initial=-1)) + 1
    for step, change in enumerate(_Walk(rule, given)):
        unit = change(weights, np.ones_like(weights))
        products = np.bincount(parts, unit * ours[step], count)
        squares = np.bincount(parts, unit * unit, count)
        rates[step] = np.divide(products, squares, out=np.zeros(count), where=squares > 0)[parts]
        weights = weights + rates[step] * unit
    return rates


def clipped(gradient: Floats, clip: Clip, norm: Floats, leaf_norm: Floats) -> Floats:
    """Return the gradients of a step after clipping, as `clip_grad_norm_` and then `clip_grad_value_` do."""
    if clip.norm is not None:
        gradient = gradient * np.minimum(1.0, clip.norm / ((leaf_norm if clip.each else norm) + clip.epsilon))
    return gradient if clip.value is None else np.clip(gradient, -clip.value, clip.value)


class _Walk:
    """The steps of an optimizer, as functions of the weights before and the learning rates."""

    def __init__(self, rule: Rule, given: Given) -> None:
        self.rule, self.given = rule, given
        size = given.weights.shape
        self.first, self.mean = np.zeros(size), np.zeros(size)
        self.second = np.full(size, rule.initial)
        self.largest = np.zeros(size)
        self.product: Number = 1.0  # of NAdam's momenta

    def __iter__(self) -> Iterator["_Change"]:
        for step in range(len(self.given.gradients)):
            yield _Change(self, step)

    def direction(self, gradient: Floats, step: int, rate: Floats) -> Floats:
        """Return a step without its learning rate, unless the rule has it inside the momentum."""
        rule = self.rule
        if rule.kind == "sgd":
            return self._momentum(gradient, step, rate)
        if rule.kind == "rmsprop":
            return self._momentum(gradient / self._spread(gradient), step, rate)
        if rule.kind == "adagrad":
            self.second = self.second + gradient**2
            return np.asarray(gradient / self._root(self.second, 1.0) / (1 + step * rule.rate_decay))
        if rule.kind == "lion":
            found = np.sign(rule.momentum * self.first + (1 - rule.momentum) * gradient)
            self.first = rule.smoothing * self.first + (1 - rule.smoothing) * gradient
            return np.asarray(found)
        return self._adam(gradient, step + 1)

    def _momentum(self, gradient: Floats, step: int, rate: Floats) -> Floats:
        rule = self.rule
        gradient = gradient * rate if rule.rate_inside else gradient
        if not np.any(rule.momentum):
            return gradient
        share = 1 - rule.dampening if step or rule.dampened_first else 1.0
        self.first = rule.momentum * self.first + share * gradient
        if rule.debiased:
            return np.asarray(self.first / (1 - rule.momentum ** (step + 1)))
        return np.asarray(gradient + rule.momentum * self.first if rule.nesterov else self.first)

    def _spread(self, gradient: Floats) -> Floats:
        """Return RMSprop's divisor."""
        rule = self.rule
        self.second = rule.smoothing * self.second + (1 - rule.smoothing) * gradient**2
        if not rule.centred:
            return self._root(self.second, 1.0)
        self.mean = rule.smoothing * self.mean + (1 - rule.smoothing) * gradient
        return self._root(np.maximum(self.second - self.mean**2, 0), 1.0)

    def _root(self, second: Floats, correction: Number) -> Floats:
        rule = self.rule
        if rule.uncorrected:
            return np.asarray((np.sqrt(second + rule.inner) + rule.epsilon) / np.sqrt(correction))
        return np.asarray(np.sqrt(second / correction + rule.inner) + rule.epsilon)

    def _adam(self, gradient: Floats, count: int) -> Floats:
        """Return Adam's step number `count`, from 1, or that of a variant."""
        rule = self.rule
        beta1, beta2 = rule.momentum, rule.smoothing
        self.first = beta1 * self.first + (1 - beta1) * gradient
        mean = self._mean(gradient, count)
        if rule.kind == "adamax":
            self.second = np.maximum(beta2 * self.second, np.abs(gradient) + rule.epsilon)
            return np.asarray(mean / self.second)
        self.second = beta2 * self.second + (1 - beta2) * gradient**2
        correction = 1 - beta2**count if rule.corrected[1] else 1.0
        second = self.second
        if rule.maximum:
            after = rule.maximum == "corrected"
            self.largest = np.maximum(self.largest, second / correction if after else second)
            second, correction = self.largest, 1.0 if after else correction
        return mean / self._root(second, correction)

    def _mean(self, gradient: Floats, count: int) -> Floats:
        """Return the first moment after its bias correction."""
        rule, beta = self.rule, self.rule.momentum
        if rule.kind == "nadam":  # torch.optim.NAdam
            now = beta * (1 - 0.5 * 0.96 ** (count * rule.rate_decay))
            after = beta * (1 - 0.5 * 0.96 ** ((count + 1) * rule.rate_decay))
            self.product = self.product * now
            return np.asarray(
                gradient * (1 - now) / (1 - self.product) + self.first * after / (1 - self.product * after)
            )
        correction, following = (1 - beta**count, 1 - beta ** (count + 1)) if rule.corrected[0] else (1.0, 1.0)
        if rule.nesterov:  # optax.nadam
            return np.asarray(beta * self.first / following + (1 - beta) * gradient / correction)
        return np.asarray(self.first / correction)


@dataclass(frozen=True)
class _Change:
    """One step, which is made once."""

    walk: _Walk
    step: int

    def __call__(self, weights: Floats, rate: Floats) -> Floats:
        """Return the change of the weights."""
        walk, rule, given = self.walk, self.walk.rule, self.walk.given
        gradient = given.gradients[self.step]
        gradient = clipped(gradient, rule.clip, given.norms[self.step], given.leaf_norms[self.step])
        decays = bool(np.any(rule.decay))
        if decays and rule.decay_place == "gradient":
            gradient = gradient - rule.sign * rule.decay * weights
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            direction = walk.direction(gradient, self.step, rate)
        direction = np.where(np.isfinite(direction), direction, 0.0)
        found = rule.sign * direction * (1.0 if rule.rate_inside else rate)
        if decays and rule.decay_place == "decoupled":
            found = found - rate * rule.decay * weights
        elif decays and rule.decay_place == "unscaled":
            found = found - rule.decay * weights
        return np.asarray(found)
