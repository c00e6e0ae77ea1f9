"""What ports do in place of the reference's optimizer: the changes of its rule."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from jax_impl.parity.causes.compute.rules import Rule
from jax_impl.parity.causes.families.steps.optimizing.changes import (
    ADAM,
    BETAS,
    CORRECTION,
    EPSILON,
    MOMENTUM,
    RULE,
    Change,
    another,
    same,
    told,
)
from jax_impl.parity.causes.families.steps.optimizing.others import clippings, decays, rules

EPSILONS = (0.0, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12, 1e-15)
BETAS1, BETAS2 = (0.9, 0.95, 0.5, 0.99, 0.8, 0.0), (0.999, 0.99, 0.95, 0.98, 0.9, 0.9999)


def changes(rule: Rule, steps: int) -> Iterator[Change]:
    """Yield the changes of a rule that differ from it."""
    for change in _all(rule, steps):
        if change.factors is not None or not same(change.rule, rule):
            yield change


def _all(rule: Rule, steps: int) -> Iterator[Change]:
    if rule.kind in ADAM:
        yield from _betas(rule)
    if rule.kind in ("adam", "nadam"):
        yield from _corrections(rule, steps)
    if rule.kind in ("adam", "nadam", "adamax", "rmsprop", "adagrad"):
        yield from _epsilons(rule)
    if rule.kind in ("rmsprop", "adagrad"):
        yield from _accumulators(rule)
    if rule.kind in ("sgd", "rmsprop"):
        yield from _momenta(rule)
    yield from decays(rule)
    yield from clippings(rule)
    yield from rules(rule)


def _betas(rule: Rule) -> Iterator[Change]:
    for setting, values in (("momentum", BETAS1), ("smoothing", BETAS2)):
        for number, value in enumerate(values):
            yield another(rule, setting, value, BETAS, usual=number == 0)
    yield Change(
        topic=BETAS,
        cause=f"betas exchanged: {told(rule.smoothing)} and {told(rule.momentum)}",
        fix=f"b1={told(rule.momentum)}, b2={told(rule.smoothing)}",
        rule=replace(rule, momentum=rule.smoothing, smoothing=rule.momentum),
    )


def _corrections(rule: Rule, steps: int) -> Iterator[Change]:
    for which, text in (((False, False), "of the moments"), ((False, True), "of the first moment"),
                        ((True, False), "of the second moment")):  # fmt: skip
        yield Change(
            topic=CORRECTION,
            cause=f"the bias {text} is not corrected",
            fix="optax.adam, which divides the moments by 1 - beta ** step",
            rule=replace(rule, corrected=which),
            known="mlx PR 1640",
        )
    count = np.arange(1, steps + 1)[:, None]
    if isinstance(rule.momentum, float) and isinstance(rule.smoothing, float):
        yield Change(
            topic=CORRECTION,
            cause="the bias of the moments is not corrected (with epsilon as if it were)",
            fix="optax.adam with the learning rate alone",
            rule=rule,
            known="mlx PR 1640",
            factors=(1 - rule.momentum**count) / np.sqrt(1 - rule.smoothing**count),
        )
    words = {"": "no AMSGrad", "torch": "AMSGrad", "corrected": "AMSGrad by second moments after their bias correction"}
    for maximum, text in words.items():
        yield Change(
            topic=RULE,
            cause=f"{text} instead of {words[rule.maximum]}",
            fix="keep the largest second moment before its bias correction" if rule.maximum else "optax.scale_by_adam",
            rule=replace(rule, maximum=maximum),
        )
    looking = "instead of Adam" if rule.kind == "adam" else "of Optax instead of torch's, which has a schedule"
    yield Change(
        topic=RULE,
        cause=f"Nesterov momentum (NAdam) {looking}",
        fix="nesterov=False" if rule.kind == "adam" else "write torch's NAdam with its momentum_decay",
        rule=replace(rule, kind="adam", nesterov=True),
    )


def _epsilons(rule: Rule) -> Iterator[Change]:
    for eps in EPSILONS:
        yield another(rule, "epsilon", eps, EPSILON, usual=eps in (1e-8, 1e-7))
    known = {"rmsprop": "optax 532"}.get(rule.kind, "optax 571")
    if rule.kind == "adamax":
        return
    own = np.unique(rule.epsilon).tolist()
    fix = f"eps={told(rule.epsilon)}, {'eps_in_sqrt=False' if rule.kind == 'rmsprop' else 'eps_root=0'}"
    inside = "inside the root instead of outside"
    for eps in dict.fromkeys((*own, *EPSILONS)):
        value = f"{eps:g} {inside}" if [eps] == own else f"{eps:g} {inside}, where it is {told(rule.epsilon)}"
        options = [(f"epsilon {value}", replace(rule, epsilon=0.0, inner=eps))]
        if eps:
            options.append((f"another epsilon, {eps:g}, inside the root", replace(rule, inner=eps)))
        if rule.kind == "adam":
            text = f"epsilon {eps:g} added before the bias correction, as in TensorFlow,"
            options.append(
                (f"{text} instead of {told(rule.epsilon)} after it", replace(rule, epsilon=eps, uncorrected=True))
            )
        for cause, changed in options:
            usual = changed.inner in (1e-8, 1e-7) and not changed.epsilon
            yield Change(topic=EPSILON, cause=cause, fix=fix, rule=changed, known=known, usual=usual)


def _accumulators(rule: Rule) -> Iterator[Change]:
    for value in (0.0, 0.1, 1.0):
        yield another(rule, "initial", value, RULE, usual=True)
    if rule.kind == "rmsprop":
        for number, value in enumerate((0.9, 0.99, 0.95, 0.999)):
            yield another(rule, "smoothing", value, BETAS, usual=number == 0)
        text = ("not centred", "centred")
        yield Change(topic=RULE, cause=f"{text[not rule.centred]} instead of {text[rule.centred]}",
                     fix=f"centered={rule.centred}", rule=replace(rule, centred=not rule.centred))  # fmt: skip


def _momenta(rule: Rule) -> Iterator[Change]:
    for value in (0.0, 0.9, 0.99, 0.95, 0.5):
        yield another(rule, "momentum", value, MOMENTUM, usual=value == 0)
    if not np.any(rule.momentum):
        return
    here = told(rule.momentum)
    words = ("plain momentum", "Nesterov's momentum")
    text = f"{words[not rule.nesterov]} instead of {words[rule.nesterov]}"
    yield Change(topic=MOMENTUM, cause=text, fix=f"nesterov={rule.nesterov}", usual=True,
                 rule=replace(rule, nesterov=not rule.nesterov))  # fmt: skip
    for first, debiased in ((True, False), (True, True), (False, False)):
        share = f"the gradient enters the momentum by 1 - {here}"
        more = "" if not debiased else ", and its bias is corrected"
        more = more if first else ", but the first one in full"
        yield Change(topic=MOMENTUM, cause=f"dampening: {share}{more}", fix=f"optax.trace({here}) instead of optax.ema",
                     rule=replace(rule, dampening=rule.momentum, dampened_first=first, debiased=debiased))  # fmt: skip
    if np.any(rule.dampening):
        yield another(rule, "dampening", 0.0, MOMENTUM, usual=True)
        yield Change(
            topic=MOMENTUM,
            cause="the first gradient is dampened, too",
            fix="begin the momentum with the whole first gradient",
            rule=replace(rule, dampened_first=True),
        )
    yield Change(
        topic=MOMENTUM,
        cause="the momentum adds up steps that have their learning rate, instead of gradients",
        fix="optax.trace before the learning rate",
        rule=replace(rule, rate_inside=True),
        usual=True,
    )
