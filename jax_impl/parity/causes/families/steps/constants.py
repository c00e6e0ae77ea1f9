"""Gradients behind a norm whose mean or variance the port takes for constants: no gradient flows through them.

The gradient of what a norm receives is r (h - mean(h) - y mean(h y)). Here h is the gradient of its output times the
weight, y what it returns without weight and bias, and r one over the standard deviation. With a constant mean, the
second term is missing, with a constant variance the third.

The records hold gradients of parameters only. But a BatchNorm's mean(h) and mean(h y) follow from the gradients of its
bias and weight, and h from the loss if a norm is in front of the last linear layer. What is missing shows in the
gradient of the linear layer or convolution that makes what the norm receives. So a cause is confirmed at the norms
whose own gradients agree. In front of these, the gradients of other norms differ already.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase, WholeCase
from jax_impl.parity.causes.compute.layers.convolutions import kernel_gradient
from jax_impl.parity.causes.compute.layers.norms import Norm, channels, statistics
from jax_impl.parity.causes.families import norms
from jax_impl.parity.causes.families.modules import again
from jax_impl.parity.causes.families.steps.gradients import Gradients, of
from jax_impl.parity.causes.families.steps.last_layer import LastLayer
from jax_impl.parity.causes.families.steps.training_pass import ATOL, RTOL, TrainingPass
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.execution import key
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.records.content import Call
from jax_impl.parity.verdict import Evidence

LARGEST = 2e8  # multiplications for the gradient of a kernel
BOTH, MEAN, VARIANCE = "mean and variance", "the mean", "the variance"
Predictions = Mapping[str, Floats]  # gradients by leaf, as stored


def constants(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield that mean, variance or both are constants, for all norms where it can be computed."""
    backward = Backward(case)
    found = {call.module: backward.predicted(call) for call in backward.norms}
    for words in (BOTH, MEAN, VARIANCE):
        tried = {path: changed[words] for path, changed in found.items() if words in changed}
        right = {path: one for path, one in tried.items() if _passed(backward.gradients.agrees(dict(one)))}
        if not tried or (right and not backward.explains(list(right))):
            continue
        listed = list(right or tried)
        where = ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
        are = "are constants" if words == BOTH else "is a constant"
        predictions = {name: array for path in listed for name, array in tried[path].items()}
        yield Hypothesis(
            cause=f"statistics without gradients: {words} of {where} {are} in backpropagation",
            fix="no stop_gradient on the statistics of the batch",
            test=partial(backward.gradients.agrees, predictions),
        )


@dataclass(frozen=True)
class Backward:
    """Backpropagation through norms, as far as the records show it."""

    case: WholeCase

    @cached_property
    def gradients(self) -> Gradients:
        """Of the parameters."""
        return of(self.case)

    @cached_property
    def forward(self) -> TrainingPass:
        """The calls."""
        return TrainingPass(self.case.pair)

    @property
    def norms(self) -> list[Call]:
        """The calls of norms whose own gradients agree."""
        return [call for call in self.forward.calls if "Norm" in self.forward.kind(call)
                and not self._differs(call) and self.forward.is_called_once(call)]  # fmt: skip

    def explains(self, paths: list[str]) -> bool:
        """Return whether all gradients that differ are of modules that are called before one of these norms."""
        orders = {call.module: call.order for call in reversed(self.forward.calls)}
        last = max(orders[path] for path in paths)
        return all(orders.get(self.case.pair.module_of(name), -1) < last for name in self.gradients.failed)

    def predicted(self, call: Call) -> dict[str, Predictions]:
        """Return the gradients of the layers that make what a norm receives; none if they are not known."""
        makers = [one for one in self.forward.makers(call) if self._differs(one[0])]
        norm = self._about(call)
        x, y = (norm.input, self.forward.output(call)) if makers else (None, None)
        how = None if y is None else norms.returning(norm, y)
        means = None if how is None or x is None or y is None else self._means(norm, how, x, y)
        if how is None or x is None or means is None:
            return {}
        found: dict[str, Predictions] = {}
        for words, missing in terms(how, x, *means).items():
            parts = [one for maker, factor in makers for one in self._shares(maker, missing * factor)]
            if parts and missing.any():
                found[words] = {name: self.gradients.theirs[name] + part for name, part in parts}
        return found

    def _means(self, norm: ForwardCase, how: Norm, x: Floats, y: Floats) -> tuple[Floats, Floats] | None:
        """Return mean(h) and mean(h y) of a norm from x to y; None if they are not known."""
        weight = norm.parameter("weight")
        own = [self.gradients.theirs.get(f"{norm.module.path}.{name}") for name in ("bias", "weight")]
        sums = [weight * one * x.shape[1] / x.size for one in own
                if one is not None and weight is not None and one.size == weight.size]  # fmt: skip
        if norm.module.type.startswith("BatchNorm") and len(sums) == 2:
            return channels(sums[0], x.ndim), channels(sums[1], x.ndim)
        h = self._arriving(y)
        if h is None:
            return None
        if weight is not None:
            h = h * (channels(weight, x.ndim) if how.by_channel else weight)
        shape = how.shape or x.shape
        mean, variance = statistics(x.reshape(shape), how)
        y, h = (x.reshape(shape) - mean) / np.sqrt(variance + how.eps), h.reshape(shape)
        return h.mean(axis=how.axes, keepdims=True), (h * y).mean(axis=how.axes, keepdims=True)

    def _arriving(self, y: Floats) -> Floats | None:
        """Return the gradient of an array that goes into the last linear layer: as it is, its mean or one place."""
        layers = (LastLayer.of(self.case.pair, path) for path, one in self.case.pair.modules.items()
                  if one.type == "Linear")  # fmt: skip
        last = next((one for one in layers if one is not None), None)
        return None if last is None else spread(last.input_gradient, last.x, y)

    def _shares(self, call: Call, slope: Floats) -> Iterator[tuple[str, Floats]]:
        """Yield what a gradient of a layer's output adds to those of its weight and bias, as stored."""
        x, layer = self.forward.input(call), self._about(call)
        weight = layer.parameter("weight")
        if x is None or weight is None or slope.size * weight[0].size > LARGEST:
            return
        how = again.convolution(layer, x)
        axes = (0, *range(2, slope.ndim)) if how is not None else tuple(range(slope.ndim - 1))
        if how is None:
            found = slope.reshape(-1, slope.shape[-1]).T @ x.reshape(-1, x.shape[-1])
        else:
            found = kernel_gradient(x, slope, weight.shape[2:], how)
        for name, one in (("weight", found), ("bias", slope.sum(axis=axes))):
            leaf = f"{call.module}.{name}"
            if leaf in self.gradients.names:
                places = self.gradients.positions(leaf)
                yield leaf, one.reshape(-1) if places is None else one.reshape(-1)[places]

    def _about(self, call: Call) -> ForwardCase:
        evidence = Evidence(mode="train", call=key(call), role="output")
        return ForwardCase(self.case.pair, replace(self.case.check, module=call.module), evidence)

    def _differs(self, call: Call) -> bool:
        return any(self.case.pair.module_of(name) == call.module for name in self.gradients.failed)


def terms(how: Norm, x: Floats, first: Floats, second: Floats) -> dict[str, Floats]:
    """Return what constants add to the gradient of a norm's input, by mean(h) and mean(h y)."""
    shaped = x.reshape(how.shape) if how.shape else x
    mean, variance = statistics(shaped, how)
    r = 1 / np.sqrt(variance + how.eps)
    by_mean, by_variance = r * first + np.zeros_like(shaped), r * r * (shaped - mean) * second
    found = {BOTH: by_mean + by_variance, MEAN: by_mean, VARIANCE: by_variance}
    return {words: one.reshape(x.shape) for words, one in found.items() if how.centred or words == VARIANCE}


def spread(slope: Floats, x: Floats, y: Floats) -> Floats | None:
    """Return the gradient of y, (n, length, features), by that of x, which is y, its mean, or its first or last one."""

    def near(other: Floats) -> bool:
        return x.shape == other.shape and bool(np.allclose(x, other, rtol=RTOL, atol=ATOL))

    if near(y):
        return slope
    if y.ndim != 3:
        return None
    if near(y.mean(1)):
        return np.repeat(slope[:, None] / y.shape[1], y.shape[1], axis=1)
    result = np.zeros_like(y)
    for place in (0, -1):
        if near(y[:, place]):
            result[:, place] = slope
            return result
    return None


def _passed(measured: Measured | None) -> bool:
    return measured is not None and measured.passed


FAMILIES = (Family("statistics of a norm without gradients", constants),)
