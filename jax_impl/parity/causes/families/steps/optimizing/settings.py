"""The reference's optimizer, as a rule, from the settings in its record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.compute.rules import Clip, Number, Rule
from jax_impl.parity.pair import Pair

Group = dict[str, Any]


def reference_rule(pair: Pair, groups: Sequence[Group], group_of: NDArray[np.int64]) -> Rule | None:
    """Return the reference's rule; None if it is not known.

    Args:
        pair: The records.
        groups: The settings of its parameter groups.
        group_of: The number of the group of each element.
    """
    described = pair.theirs.content.optimizer or {}
    make = RULES.get(str(described.get("type")))
    settings = _Settings(groups, group_of)
    try:
        common: dict[str, Any] = {
            "decay": settings.number("weight_decay"),
            "clip": Clip(norm=described.get("clip_norm"), value=described.get("clip_value")),
            "sign": 1.0 if settings.flag("maximize") else -1.0,
        }
        return None if make is None else make(settings, common)
    except (TypeError, ValueError, IndexError):  # an optimizer of one's own with a known name and other settings
        return None


@dataclass(frozen=True)
class _Settings:
    """The settings of all parameter groups."""

    groups: Sequence[Group]
    group_of: NDArray[np.int64]

    def number(self, name: str, default: float = 0.0, index: int | None = None) -> Number:
        """Return a number, or one for each element if the groups differ."""
        values = [group.get(name, default) for group in self.groups]
        values = [value[index] if index is not None and isinstance(value, list) else value for value in values]
        numbers = np.array([float(value) for value in values])
        return float(numbers[0]) if (numbers == numbers[0]).all() else numbers[self.group_of]

    def flag(self, name: str) -> bool:
        """Return a switch."""
        return bool(self.groups[0].get(name, False))

    def first(self, name: str, default: float) -> float:
        """Return a number of the first group."""
        return float(self.groups[0].get(name, default))

    @property
    def betas(self) -> dict[str, Any]:
        """The settings of Adam and its kin."""
        return {
            "momentum": self.number("betas", 0.9, 0),
            "smoothing": self.number("betas", 0.999, 1),
            "epsilon": self.number("eps"),
        }


def _sgd(of: _Settings, common: dict[str, Any]) -> Rule:
    dampening, nesterov = of.number("dampening"), of.flag("nesterov")
    return Rule(kind="sgd", momentum=of.number("momentum"), dampening=dampening, nesterov=nesterov, **common)


def _adam(of: _Settings, common: dict[str, Any]) -> Rule:
    place = "decoupled" if of.flag("decoupled_weight_decay") else "gradient"
    return Rule(kind="adam", decay_place=place, maximum="torch" if of.flag("amsgrad") else "", **of.betas, **common)


def _adamw(of: _Settings, common: dict[str, Any]) -> Rule:
    maximum = "torch" if of.flag("amsgrad") else ""
    return Rule(kind="adam", decay_place="decoupled", maximum=maximum, **of.betas, **common)


def _nadam(of: _Settings, common: dict[str, Any]) -> Rule:
    place = "decoupled" if of.flag("decoupled_weight_decay") else "gradient"
    slower = of.first("momentum_decay", 4e-3)
    return Rule(kind="nadam", decay_place=place, rate_decay=slower, **of.betas, **common)


def _rmsprop(of: _Settings, common: dict[str, Any]) -> Rule:
    numbers: dict[str, Any] = {"smoothing": of.number("alpha"), "epsilon": of.number("eps")}
    return Rule(kind="rmsprop", momentum=of.number("momentum"), centred=of.flag("centered"), **numbers, **common)


def _adagrad(of: _Settings, common: dict[str, Any]) -> Rule:
    start, slower = of.first("initial_accumulator_value", 0.0), of.first("lr_decay", 0.0)
    return Rule(kind="adagrad", epsilon=of.number("eps"), initial=start, rate_decay=slower, **common)


RULES: dict[str, Callable[[_Settings, dict[str, Any]], Rule]] = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adamw,
    "Adamax": lambda of, common: Rule(kind="adamax", **of.betas, **common),
    "NAdam": _nadam,
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "Lion": lambda of, common: Rule(kind="lion", decay_place="decoupled", **of.betas, **common),
}
