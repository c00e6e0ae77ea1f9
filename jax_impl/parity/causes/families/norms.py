"""Normalisation layers: epsilon, statistics, variance, weight and bias."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from jax_impl.parity.arrays import Array
from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.norms import Norm, normalised
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.rungs.settings import EPSILON

EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12, 0.0)  # the defaults of libraries


def how(case: ForwardCase, x: Array) -> Norm | None:
    """Return what the reference's module does; None if it is no known norm."""
    kind, settings = case.module.type, case.settings
    eps = next((settings[name] for name in EPSILON if isinstance(settings.get(name), float)), None)
    if kind.startswith("BatchNorm") and eps is not None:
        return Norm(axes=(0, *range(2, x.ndim)), eps=eps, by_channel=True)
    if kind.startswith("InstanceNorm") and eps is not None:
        return Norm(axes=tuple(range(2, x.ndim)), eps=eps, by_channel=True)
    if kind == "GroupNorm" and eps is not None:
        shape = (x.shape[0], settings["num_groups"], -1)
        return Norm(axes=(2,), eps=eps, shape=shape, by_channel=True)
    if kind == "LayerNorm" and eps is not None:
        return Norm(axes=tuple(range(x.ndim - len(settings["normalized_shape"]), x.ndim)), eps=eps)
    if "RMSNorm" in kind:
        default = float(np.finfo(np.float64).eps)  # torch's own epsilon follows the dtype (pytorch PR 173039)
        return Norm(axes=(x.ndim - 1,), eps=default if eps is None else eps, centred=False)
    return None


def compute(case: ForwardCase, norm: Norm, *, running: bool | None = None, affine: bool = True) -> Floats | None:
    """Return what the module returns with these settings."""
    x = case.input
    if x is None:
        return None
    weight, bias = (case.parameter(name) if affine else None for name in ("weight", "bias"))
    mean, variance = case.parameter("running_mean"), case.parameter("running_var")
    frozen = mean is not None and not case.training if running is None else running
    given = (mean, variance) if frozen else (None, None)
    return normalised(x, norm, weight, bias, *given)


def known_norm(case: ForwardCase) -> Norm | None:
    """Return what the module does, if computing it again gives what it returned."""
    return None if case.role != "output" or case.expected is None else returning(case, case.expected)


def returning(case: ForwardCase, expected: Array) -> Norm | None:
    """Return what the module does, if computing it again gives an array."""
    norm = None if case.input is None else how(case, case.input)
    if norm is None:
        return None
    again = compute(case, norm)
    return norm if again is not None and np.allclose(again, expected, rtol=1e-6, atol=1e-9) else None


def confirm(case: ForwardCase, norm: Norm, **changes: bool) -> Measured | None:
    """Compare the module with other settings with the port."""
    return case.target.agrees(compute(case, norm, **changes))


def epsilon(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield another epsilon, or another place for it."""
    norm = known_norm(case)
    if norm is None:
        return
    own = case.own_module.settings if case.own_module else {}
    named = [float(own[name]) for name in EPSILON if isinstance(own.get(name), float)]
    for eps in dict.fromkeys((*named, *EPSILONS)):
        if eps != norm.eps:
            yield Hypothesis(
                cause=f"epsilon {eps:g} instead of {norm.eps:g}",
                fix=f"epsilon={norm.eps:g}",
                known="flax 2195",
                test=partial(confirm, case, replace(norm, eps=eps)),
            )
    if norm.eps:
        yield Hypothesis(
            cause=f"epsilon {norm.eps:g} added to the root instead of the variance",
            fix="divide by sqrt(variance + epsilon)",
            test=partial(confirm, case, replace(norm, inside=False)),
        )


def statistics(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield running statistics for those of the batch, or the reverse, and another variance or centre."""
    norm = known_norm(case)
    if norm is None:
        return
    if case.parameter("running_mean") is not None:
        words = ("the running statistics", "the batch's statistics")
        ours, theirs = words if case.training else reversed(words)
        mode = "training" if case.training else "evaluation"
        yield Hypothesis(
            cause=f"{ours} instead of {theirs}, in {mode} mode",
            fix=f"use_running_average={not case.training}, or {'model.train()' if case.training else 'model.eval()'}",
            known="equinox 659",
            test=partial(confirm, case, norm, running=case.training),
        )
    if case.training or case.parameter("running_var") is None:  # running statistics are no batch's
        yield Hypothesis(
            cause="the variance over n - 1 instead of n",
            fix="normalise by the biased variance, x.var()",
            test=partial(confirm, case, replace(norm, unbiased=True)),
        )
    centre = (
        ("the mean is not subtracted", "use LayerNorm") if norm.centred else ("the mean is subtracted", "use RMSNorm")
    )
    yield Hypothesis(
        cause=centre[0],
        fix=centre[1],
        test=partial(confirm, case, replace(norm, centred=not norm.centred)),
    )


def affine(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield a norm without its weight and bias."""
    norm = known_norm(case)
    if norm is not None and case.parameter("weight") is not None:
        yield Hypothesis(
            cause="weight and bias are not applied",
            fix="use_scale=True, use_bias=True",
            test=partial(confirm, case, norm, affine=False),
        )


FAMILIES = (
    Family("epsilon", epsilon),
    Family("mean and variance of a norm", statistics),
    Family("weight and bias of a norm", affine),
)
