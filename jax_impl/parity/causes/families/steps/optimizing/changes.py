"""A change of an optimizer's rule, in words and in numbers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jax_impl.parity.causes.compute.rules import Floats, Number, Rule

BETAS, EPSILON, DECAY, MOMENTUM, CORRECTION, CLIPPING, RULE = (
    "betas", "epsilon", "weight decay", "momentum", "bias correction", "clipping", "another rule"
)  # fmt: skip
ADAM = ("adam", "nadam", "adamax", "lion")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of the reference's optimizer.

    Attributes:
        topic: What is changed.
        cause: In words.
        fix: What to write in the port.
        rule: The changed rule.
        known: Public threads about it.
        usual: Whether it may come together with another one, as with the defaults of a library.
        whole: Whether it must hold for all leaves.
        factors: By which each step's learning rate is multiplied, (steps, 1).
    """

    topic: str
    cause: str
    fix: str
    rule: Rule
    known: str = ""
    usual: bool = False
    whole: bool = False
    factors: Floats | None = None


def same(one: Rule, other: Rule) -> bool:
    """Return whether two rules are the same. A rule without decay is the same wherever decay would act."""
    plain = [vars(replace(rule, decay_place="gradient") if not np.any(rule.decay) else rule) for rule in (one, other)]
    equal = all(np.array_equal(value, plain[1][name]) for name, value in plain[0].items() if name != "clip")
    return equal and one.clip == other.clip


def told(value: Number) -> str:
    """Return a setting as text."""
    values = sorted({float(number) for number in np.atleast_1d(value)})
    return " and ".join(f"{number:g}" for number in values)


def names(rule: Rule) -> dict[str, str]:
    """Return what the settings of a rule are called."""
    if rule.kind in ADAM:
        return {"momentum": "beta1", "smoothing": "beta2", "epsilon": "epsilon", "decay": "weight decay"}
    return {"momentum": "momentum", "smoothing": "decay of the squared gradient", "epsilon": "epsilon",
            "decay": "weight decay", "dampening": "dampening", "initial": "initial accumulator"}  # fmt: skip


def arguments(rule: Rule) -> dict[str, str]:
    """Return what the settings of a rule are called in Optax."""
    if rule.kind in ADAM:
        return {"momentum": "b1", "smoothing": "b2", "epsilon": "eps", "decay": "weight_decay"}
    return {"momentum": "momentum", "smoothing": "decay", "epsilon": "eps", "decay": "weight_decay",
            "dampening": "dampening, by scaling gradients,", "initial": "initial_scale"}  # fmt: skip


def another(rule: Rule, setting: str, value: float, topic: str, *, known: str = "", usual: bool = False) -> Change:
    """Return the change of one number."""
    before = getattr(rule, setting)
    changed: dict[str, Any] = {setting: value}
    return Change(
        topic=topic,
        cause=f"{names(rule)[setting]} {value:.6g} instead of {told(before)}",
        fix=f"{arguments(rule)[setting]}={told(before)}",
        rule=replace(rule, **changed),
        known=known,
        usual=usual,
    )
