"""What ports do in place of the reference's optimizer: weight decay, clipping, and another optimizer."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from jax_impl.parity.causes.compute.rules import Clip, Rule
from jax_impl.parity.causes.families.steps.optimizing.changes import CLIPPING, DECAY, RULE, Change, another, names, told

DECAYS = (1e-4, 1e-2, 1e-3, 5e-4, 1e-1, 5e-2, 1e-5)  # Optax's default, torch's, and those of well-known recipes
LIMITS = (1.0, 0.5, 0.1, 0.25, 2.0, 5.0, 10.0, 0.01)  # thresholds of clipping
BACK = "weight_decay={}"
WORDS = {"sgd": "SGD", "adam": "Adam", "rmsprop": "RMSprop", "adagrad": "Adagrad", "lion": "Lion", "nadam": "NAdam",
         "adamax": "Adamax"}  # fmt: skip


def decays(rule: Rule) -> Iterator[Change]:
    """Yield other weight decays, and other places where it acts."""
    listed = np.unique(rule.decay).tolist()
    where = {
        "gradient": "added to the gradient (L2)",
        "decoupled": "decoupled from the gradient" if rule.kind != "sgd" else "after the momentum",
        "unscaled": "not multiplied by the learning rate",
    }
    for place, text in where.items():
        if place != rule.decay_place and any(listed):
            fix = {"gradient": "optax.add_decayed_weights before the optimizer", "decoupled": "optax.adamw"}
            yield Change(
                topic=DECAY,
                cause=f"weight decay {text} instead of {where[rule.decay_place]}",
                fix=f"{fix[rule.decay_place]}, {BACK.format(told(rule.decay))}" if rule.decay_place in fix else "",
                rule=replace(rule, decay_place=place),
                known="optax 417",
                usual=True,
            )
    for value in dict.fromkeys((0.0, *listed, *DECAYS)):
        known = "optax 417" if value == DECAYS[0] else ""
        places = (rule.decay_place,) if any(listed) else ("gradient", "decoupled")
        for place in places:
            one = another(
                replace(rule, decay_place=place), "decay", value, DECAY, known=known, usual=value in (0.0, 1e-4)
            )
            yield one if any(listed) else replace(one, cause=f"{one.cause}, {where[place]}")
    if isinstance(rule.decay, np.ndarray) and len(listed) == 2:
        yield Change(topic=DECAY, cause=f"weight decays {told(rule.decay)} of two groups exchanged",
                     fix="exchange the groups of the mask", whole=True,
                     rule=replace(rule, decay=sum(listed) - rule.decay))  # fmt: skip
    if any(listed):
        yield Change(topic=DECAY, cause="weight decay with the wrong sign: the weights grow",
                     fix=BACK.format(told(rule.decay)), rule=replace(rule, decay=-1 * rule.decay))  # fmt: skip


def clippings(rule: Rule, thresholds: tuple[float, ...] = LIMITS) -> Iterator[Change]:
    """Yield other ways to clip."""
    clip = rule.clip
    options: list[tuple[str, Clip]] = [("no clipping before the optimizer", Clip())]
    limits = dict.fromkeys(limit for limit in (clip.norm, clip.value, *thresholds) if limit is not None)
    for limit in limits:
        options += [(f"clipping to {clipping_told(one)}", one)
                    for one in (replace(clip, norm=limit, value=clip.value if clip.norm else None), Clip(value=limit),
                                Clip(norm=limit, each=True))]  # fmt: skip
    if clip.norm is not None:
        options.append(("clipping by the norm without torch's 1e-6", replace(clip, epsilon=0.0)))
    if clip.norm is not None and clip.value is not None:
        options += [
            ("no clipping by norm", replace(clip, norm=None)),
            ("no clipping by value", replace(clip, value=None)),
        ]
    for text, one in options:
        yield clipped(rule, text, one)


def clipped(rule: Rule, text: str, clip: Clip) -> Change:
    """Return the change to another way to clip, in these words."""
    theirs = clipping_told(rule.clip)
    back = f"clip to {theirs} before the optimizer" if theirs != "no clipping" else "no clipping before the optimizer"
    return Change(topic=CLIPPING, cause=f"{text} instead of {theirs}", fix=back, rule=replace(rule, clip=clip),
                  usual=clip == Clip())  # fmt: skip


def clipping_told(clip: Clip) -> str:
    """Return a way to clip in words."""
    parts = []
    if clip.norm is not None:
        parts.append(f"norm {clip.norm:g}{' of each leaf' if clip.each else ''}")
    if clip.value is not None:
        parts.append(f"value {clip.value:g}")
    return " and ".join(parts) or "no clipping"


def rules(rule: Rule) -> Iterator[Change]:
    """Yield another optimizer, and steps in the other direction."""
    kept: dict[str, Any] = {"decay": rule.decay, "decay_place": rule.decay_place, "clip": rule.clip}
    adam: dict[str, Any] = {"momentum": 0.9, "smoothing": 0.999, "epsilon": 1e-8}
    defaults = {
        "sgd": Rule(kind="sgd", **kept),
        "adam": Rule(kind="adam", **adam, **kept),
        "rmsprop": Rule(kind="rmsprop", smoothing=0.9, inner=1e-8, **kept),
        "adagrad": Rule(kind="adagrad", inner=1e-7, initial=0.1, **kept),
        "lion": Rule(kind="lion", momentum=0.9, smoothing=0.99, **kept),
        "adamax": Rule(kind="adamax", **adam, **kept),
    }
    for kind, one in defaults.items():
        if kind == rule.kind:
            yield _defaults(rule, one)
            continue
        cause = f"{WORDS[kind]} with Optax's defaults instead of {WORDS[rule.kind]}"
        yield Change(topic=RULE, cause=cause, fix=f"optax.{rule.kind} with the reference's settings", rule=one)
    text = "maximised instead of minimised" if rule.sign < 0 else "minimised instead of maximised"
    yield Change(topic=RULE, cause=f"the steps have the other sign: the loss is {text}",
                 fix="change the sign of the learning rate", rule=replace(rule, sign=-rule.sign))  # fmt: skip


def _defaults(rule: Rule, one: Rule) -> Change:
    """Return the change to the defaults of the same optimizer in Optax."""
    words = names(rule) | {"inner": "epsilon inside the root", "nesterov": "Nesterov", "centred": "centred"}
    kept = ("decay", "decay_place", "clip", "sign")
    differ = [
        name for name, value in vars(rule).items() if name not in kept and not np.array_equal(value, vars(one)[name])
    ]
    parts = [
        f"{words.get(name, name)} {told_any(vars(one)[name])} instead of {told_any(vars(rule)[name])}"
        for name in differ
    ]
    cause = f"{WORDS[rule.kind]} with Optax's defaults: {', '.join(parts)}"
    return Change(topic=RULE, cause=cause, fix=f"optax.{rule.kind} with the reference's settings", rule=one)


def told_any(value: Any) -> str:
    """Return a setting, a number or a switch, as text."""
    return str(value) if isinstance(value, bool | str | tuple) else told(value)
