"""Settings that differ: epsilon, momentum, dropout rate, slope and bias, confirmed by what the modules return."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import ForwardCase, WholeCase, whole
from jax_impl.parity.causes.compute.layers.activations import leaky_relu
from jax_impl.parity.causes.families import norms
from jax_impl.parity.causes.families.glue import dropout
from jax_impl.parity.causes.families.glue.at_hand import reproduces
from jax_impl.parity.causes.families.sequences import attention, heads
from jax_impl.parity.causes.families.steps import state
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.comparing import compare, stored
from jax_impl.parity.measures.execution import key
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Reference
from jax_impl.parity.rungs.settings import shared
from jax_impl.parity.verdict import Evidence

CLOSE = 1e-6  # relative: a running mean may be kept in float32

Test = Callable[[ForwardCase, float, float], Measured | None]


def settings(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield each pair of numbers that differ, once for all modules where they do."""
    found: dict[tuple[str, float, float], list[str]] = {}
    for check in case.failures:
        module = case.pair.modules.get(check.module or "")
        own = case.pair.own_modules.get(case.pair.partners.get(check.module or "", ""))
        for one in shared(case.pair, module, own) if module and own else ():
            if one.what == check.what and not one.equal and module is not None:
                found.setdefault((one.what, one.theirs, one.ours), []).append(module.path)
    for (what, theirs, ours), paths in found.items():
        cause, fix, known = wording(what, theirs, ours)
        if cause:
            test = partial(confirmed, case, what, theirs, ours, paths)
            yield Hypothesis(cause=cause, fix=fix, known=known, test=test)


def wording(what: str, theirs: float, ours: float) -> tuple[str, str, str]:
    """Return the cause, the fix and known threads."""
    if what == "momentum":
        return (*state.momentum_told(ours, theirs), state.KNOWN)
    if what == "dropout rate":
        return dropout.rate_differs(ours, theirs), f"rate={theirs:g}", ""
    if what == "bias":
        return ("the bias is left out", "use_bias=True", "") if theirs else ("a bias is added", "use_bias=False", "")
    if what == "negative slope":
        return f"{leaky_relu(ours).name} instead of {leaky_relu(theirs).name}", leaky_relu(theirs).jax, ""
    if what == "epsilon":
        return f"epsilon {ours:g} instead of {theirs:g}", f"epsilon={theirs:g}", "flax 2195"
    return "", "", ""


def confirmed(case: WholeCase, what: str, theirs: float, ours: float, paths: list[str]) -> Measured | None:
    """Return the worst agreement of the modules that can be computed with the port's setting; None if none agrees."""
    if what == "momentum":
        found = [momentum(case.pair, path, theirs, ours) for path in paths]
    else:
        test = TESTS[what]
        found = [test(one, theirs, ours) for path in paths for one in calls(case, path)]
    known = [one for one in found if one is not None]
    return max(known, key=lambda one: one.measured / (one.allowed or 1.0), default=None)


def calls(case: WholeCase, path: str) -> Iterator[ForwardCase]:
    """Yield the outputs of a module's calls in training, where the port received the reference's inputs."""
    theirs, ours = case.pair.forward("train")
    made = {key(call): call for call in ours.forced} if ours else {}
    for call in theirs.free if theirs else ():
        mine = made.get(key(call))
        outputs = (*call.outputs[:1], *mine.outputs[:1]) if mine is not None else ()
        if call.module == path and len(outputs) == 2 and None not in outputs:
            evidence = Evidence(mode="train", call=key(call), role="output", forced=True)
            yield ForwardCase(case.pair, replace(case.check, module=path), evidence)


def epsilon(case: ForwardCase, theirs: float, ours: float) -> Measured | None:
    """Compare the port with the norm with the port's epsilon."""
    norm = norms.known_norm(case)
    if norm is None or not math.isclose(norm.eps, theirs, rel_tol=1e-6):
        return None
    return norms.confirm(case, replace(norm, eps=ours))


def rate(case: ForwardCase, theirs: float, ours: float) -> Measured | None:
    """Compare the port with dropout at the port's rate, by the reference's mask."""
    found = dropout.layer(case)
    mask = dropout.mask_of(case, found[0].shape) if found else None
    if found is None or mask is None or not reproduces(case, found[0] * mask / (1 - theirs)):
        return None
    kept = found[0] * mask / (1 - ours) if 0 < ours < 1 else found[0]
    measured = case.target.agrees(kept)
    other = dropout.drops(case, found[0], ours)  # a mask that fell to another place
    return measured if measured is None or measured.passed or other is None else other


def slope(case: ForwardCase, theirs: float, ours: float) -> Measured | None:
    """Compare the port with LeakyReLU of the port's slope."""
    x = case.input
    if x is None or not reproduces(case, leaky_relu(theirs).apply(x)):
        return None
    return case.target.agrees(leaky_relu(ours).apply(x))


def bias(case: ForwardCase, theirs: float, _: float) -> Measured | None:
    """Compare the port with the module without its bias."""
    vector, y = case.parameter("bias"), case.expected
    if not theirs or vector is None or y is None or not vector.any():
        return None
    by_channel = "Conv" in case.module.type or "BatchNorm" in case.module.type
    axis = 1 if by_channel else y.ndim - 1
    if vector.ndim != 1 or y.ndim <= axis or y.shape[axis] != vector.size:
        return None
    return case.target.agrees(y - vector.reshape(*(1,) * axis, -1, *(1,) * (y.ndim - axis - 1)))


TESTS: Mapping[str, Test] = {"epsilon": epsilon, "dropout rate": rate, "negative slope": slope, "bias": bias}


def momentum(pair: Pair, path: str, theirs: float, ours: float) -> Measured | None:
    """Compare the port's running mean after a step with the one that its momentum gives."""
    name = f"{path}.running_mean" if path else "running_mean"
    steps = [record.content.trajectory for record in (pair.theirs, pair.ours)]
    start = pair.theirs.start(name)
    if not steps[0] or not steps[1] or start is None or not theirs:
        return None
    after, mine = steps[0][0].buffers.get(name), steps[1][0].buffers.get(name)
    array = whole(pair.theirs, after)
    if after is None or mine is None or array is None:
        return None
    prediction = start + (array - start) * (ours / theirs)
    return agreement(pair, prediction, mine, after)


def agreement(pair: Pair, prediction: object, mine: Reference, theirs: Reference) -> Measured:
    """Compare a whole array with one of the port, which may be kept in float32."""
    expected = stored(replace(theirs, noise=None), np.asarray(prediction))
    scale = float(np.linalg.norm(np.asarray(prediction)))
    return compare(pair.tolerance, stored(mine, pair.ours.array(mine)), expected, slack=CLOSE * scale)


def draws(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield that the port draws no mask, or another number of them."""
    theirs, own = case.pair.theirs.content.forward.train, case.pair.ours.content.own_masks
    if not any(check.what == "dropout rate" for check in case.failures) or theirs is None or own is None:
        return
    recorded = Measured(measured=0.0, allowed=0.0, unit="masks")
    if theirs.masks and not own.forward:
        cause, fix = dropout.OFF
        yield Hypothesis(cause=cause, fix=fix, test=lambda: recorded)
        return
    for cause, fix in dropout.number_drawn(case.pair):
        yield Hypothesis(cause=cause, fix=fix, test=lambda: recorded)
    if len(theirs.masks) == len(own.forward):
        yield from functional(case)
        yield from repeated(case)


def functional(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield another rate of masks that modules draw themselves, without a layer that names it."""
    theirs, own = case.pair.theirs.content.forward.train, case.pair.ours.content.own_masks
    pairs = zip(theirs.masks if theirs else (), own.forward if own else (), strict=False)
    rates = {(round(a.rate, 6), round(b.rate, 6)) for a, b in pairs if a.rate is not None and b.rate is not None}
    recorded = Measured(measured=0.0, allowed=0.0, unit="masks")
    for one, other in sorted(rates):
        if not math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5):
            yield Hypothesis(cause=dropout.rate_differs(other, one), fix=f"rate={one:g}", test=lambda: recorded)


def repeated(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield that masks of the right size are the same along an axis: one key serves all examples, for instance."""
    theirs, own = case.pair.theirs.content.forward.train, case.pair.ours.content.own_masks
    failing = {check.module for check in case.failures if "one dropout mask for all" in check.finding}
    pairs = zip(theirs.masks if theirs else (), own.forward if own else (), strict=False)
    recorded = Measured(measured=0.0, allowed=0.0, unit="masks")
    listed = [tuple(mine.repeated) for mask, mine in pairs if mask.module in failing and mine.repeated]
    for axes in dict.fromkeys(listed):
        fix = "draw with a key for each: jax.random.split(key, n)"
        yield Hypothesis(cause=dropout.one_for_all(axes), fix=fix, test=lambda: recorded)


def sizes(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield why a mask has another size: it is shared, or attention has another number of heads."""
    for path in dict.fromkeys(check.module for check in case.failures if "size" in check.finding):
        for one in calls(case, path or ""):
            yield from dropout.dropout(one)
            yield from attention.dropped(one)
            yield from heads.heads(one)


FAMILIES = (Family("settings", settings), Family("dropout masks", draws), Family("sizes of masks", sizes))
