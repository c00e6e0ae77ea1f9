"""Rung 1: settings of modules, dropout rates, precision and steps.

Optimizer settings are judged by steps, text such as padding "SAME" by the forward rungs. Versions are only shown.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from jax_impl.parity.measures.masks import CLOSE, STAGE, mask_checks
from jax_impl.parity.pair import FLOAT32, MODES, Pair
from jax_impl.parity.records.content import Module
from jax_impl.parity.verdict import Check, Rung

# Names of the same setting in torch, and in Flax, Equinox and Transformers' Flax models
EPSILON = ("eps", "epsilon", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "variance_epsilon")
RATE = ("p", "rate", "dropout", "dropout_rate", "dropout_p", "attention_dropout", "attn_dropout")
GROUPS = ("groups", "feature_group_count", "num_groups")
SLOPE = ("negative_slope",)
NOTED = {"stride": ("stride", "strides"), "padding": ("padding",), "dilation": ("dilation", "kernel_dilation")}


def settings(pair: Pair) -> Rung:
    """Compare the settings of paired modules, the rates of dropout, and how the two records were made."""
    checks = [*_record_checks(pair), *_module_checks(pair), *mask_checks(pair)]
    return Rung(
        number=1,
        title="Settings",
        question="Do the modules have the same settings, in the convention of each library?",
        checks=tuple(checks),
        reason="" if checks else "no module has settings that can be compared",
        notes=tuple(_notes(pair)),
    )


def confirmed(pair: Pair, rung: Rung, forward: Iterable[Check], state: Iterable[Check]) -> Rung:
    """Return the rung without differences that the numbers refute: a module of one's own may name things otherwise.

    Args:
        pair: The records. Where they do not have float64's precision, nothing is refuted.
        rung: Of the settings.
        forward: The checks of the forward passes, which would show another epsilon.
        state: Those of the buffers, which would show another momentum.
    """
    narrow = {path for mode in MODES for path, _ in pair.in_float32(mode)}
    agree = {}
    for what, checks in (("epsilon", list(forward)), ("momentum", list(state))):
        failed = {check.module for check in checks if not check.passed}
        agree[what] = {check.module for check in checks} - failed - narrow
    refuted = [
        check for check in rung.failures if check.module in agree.get(check.what, ()) and pair.tolerance.unit < FLOAT32
    ]
    notes = (
        f"{check.place}: {check.what} is written differently, and the numbers agree ({check.detail})"
        for check in refuted
    )
    kept = tuple(check for check in rung.checks if check not in refuted)
    return replace(rung, checks=kept, notes=(*rung.notes, *notes))


@dataclass(frozen=True)
class Setting:
    """A number that both sides name, with the reference's meaning."""

    what: str
    theirs: float
    ours: float
    detail: str

    @property
    def equal(self) -> bool:
        """Whether both sides have the same number."""
        return math.isclose(self.theirs, self.ours, rel_tol=CLOSE, abs_tol=1e-12)


def _module_checks(pair: Pair) -> Iterator[Check]:
    for path, module in pair.modules.items():
        own = pair.own_modules.get(pair.partners.get(path, ""))
        if path not in pair.partners or own is None:
            continue
        for found in shared(pair, module, own):
            yield Check(
                place=pair.name(path),
                stage=STAGE,
                what=found.what,
                passed=found.equal,
                finding="" if found.equal else f"{found.what} differs",
                detail=found.detail,
                module=path,
            )


def shared(pair: Pair, module: Module, own: Module) -> Iterator[Setting]:
    """Yield the settings that both modules have as numbers."""
    norm = "norm" in module.type.casefold()
    named = [("epsilon", EPSILON), ("groups", GROUPS), ("negative slope", SLOPE)]
    named += [] if norm else [("dropout rate", RATE)]
    for what, names in named:
        theirs, ours = _number(module, names), _number(own, names)
        if theirs and ours:
            yield Setting(what, theirs[1], ours[1], f"theirs {_text(*theirs)}, ours {_text(*ours)}")
    momentum, other = _number(module, ("momentum",)), _number(own, ("momentum",))
    if norm and momentum and other:  # Flax and Equinox weigh the old average, torch the new value
        meant = 1 - other[1]
        detail = f"theirs {_text(*momentum)}, ours {_text(*other)}, which is {meant:.6g} in torch's meaning"
        yield Setting("momentum", momentum[1], meant, detail)
    if isinstance(used := own.settings.get("use_bias"), bool) and f"{_dot(module.path)}weight" in pair.leaves:
        has = f"{_dot(module.path)}bias" in pair.leaves
        yield Setting("bias", float(has), float(used), f"theirs has {'a' if has else 'no'} bias, ours use_bias={used}")


def _number(module: Module, names: Iterable[str]) -> tuple[str, float] | None:
    """Return the first of these settings that is a number."""
    for name in names:
        value = module.settings.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return name, float(value)
    return None


def _text(name: str, value: float) -> str:
    return f"{name}={value:.6g}"


def _dot(path: str) -> str:
    return f"{path}." if path else ""


def _record_checks(pair: Pair) -> Iterator[Check]:
    """Compare how the two records were made."""
    precisions = [record.content.precision.get("recorded") for record in (pair.theirs, pair.ours)]
    if None not in precisions:
        yield _record_check("precision", *(str(one) for one in precisions))
    steps = [len(record.content.trajectory or ()) for record in (pair.theirs, pair.ours)]
    if all(steps):
        yield _record_check("steps", *(str(one) for one in steps))


def _record_check(what: str, theirs: str, ours: str) -> Check:
    return Check(
        place="the records",
        stage=STAGE,
        what=what,
        passed=theirs == ours,
        finding="" if theirs == ours else f"{what} differ" if what == "steps" else f"{what} differs",
        detail=f"theirs {theirs}, ours {ours}",
    )


def _notes(pair: Pair) -> Iterator[str]:
    """Yield what is shown and not judged."""
    for side, record in (("theirs", pair.theirs), ("ours", pair.ours)):
        content = record.content
        versions = ", ".join(f"{name} {version}" for name, version in content.versions.items())
        machine = ", ".join(f"{name} {value}" for name, value in content.machine.items())
        yield f"{side}: {'; '.join(part for part in (versions, machine) if part)}"
        if note := content.precision.get("note"):
            yield f"{side}: {note}"
        yield from (f"{side}: {note}" for note in content.notes)
    for path, module in pair.modules.items():
        own = pair.own_modules.get(pair.partners.get(path, ""))
        if path in pair.partners and own is not None:
            yield from _noted(pair.name(path), module, own)


def _noted(name: str, module: Module, own: Module) -> Iterator[str]:
    """Yield settings that are written differently, and may mean the same."""
    for what, names in NOTED.items():
        values = [next((one.settings[key] for key in names if key in one.settings), None) for one in (module, own)]
        if None not in values and _flat(values[0]) != _flat(values[1]):
            yield f"{name}: {what} is {values[0]} in theirs and {values[1]} in ours: the forward rungs decide"


def _flat(value: Any) -> Any:
    """Return a setting for comparing: 1, [1, 1] and [[1, 1], [1, 1]] mean the same."""
    if isinstance(value, list):
        parts = [_flat(part) for part in value]
        return parts[0] if parts and all(part == parts[0] for part in parts) else parts
    return value
