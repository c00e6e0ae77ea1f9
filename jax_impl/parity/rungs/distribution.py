"""Rung 5: the distributions of fresh initial weights, and whether leaves are drawn independently."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from jax_impl.compare import holm, ks_two_sample
from jax_impl.parity.measures.equal_leaves import by_module, equal_groups
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Fresh
from jax_impl.parity.records.reading import Record
from jax_impl.parity.verdict import Check, Evidence, Rung

STAGE = "initial distribution"
ALPHA = 1e-3  # probability that two equal programs fail a family of tests
ERRORS = 4.0  # standard errors that a moment may differ, or more if the family of leaves is large
Floats = NDArray[np.float64]
Samples = dict[str, Floats]


def distribution(pair: Pair) -> Rung:
    """Compare samples of fresh weights: each leaf's distribution, constants, and dependence between leaves."""
    theirs, ours = pair.theirs.content.fresh, pair.ours.content.fresh
    checks: list[Check] = []
    absent = "torch_ref.record.save" if theirs is None else "jax_impl.parity.save"
    if theirs is not None and ours is not None:
        shared = [name for name in theirs.leaves if name in ours.leaves]
        a = {name: _sample(pair.ours, ours, name) for name in shared}
        b = {name: _sample(pair.theirs, theirs, name) for name in shared}
        checks = [*_missing(pair, theirs, ours), *_leaves(pair, a, b)]
        checks += [*_equal(pair, theirs, ours), *_correlated(pair, a, b)]
    return Rung(
        number=5,
        title="Initial distribution",
        question="Does the port draw its initial weights as the reference does, each leaf on its own?",
        checks=tuple(checks),
        reason="" if checks else f"no fresh weights were recorded: pass fresh= to {absent}",
    )


def _sample(record: Record, fresh: Fresh, name: str) -> Floats:
    """Return a leaf's samples, shape (seeds, sample)."""
    array = record.array(fresh.leaves[name]).astype(np.float64)
    return array.reshape(array.shape[0] if array.ndim else 1, -1)


def _missing(pair: Pair, theirs: Fresh, ours: Fresh) -> Iterator[Check]:
    for name in theirs.leaves:
        if name not in ours.leaves and name in pair.paired:
            yield _check(pair, name, "samples", "the port's fresh models lack this leaf", "")


def _leaves(pair: Pair, ours: Samples, theirs: Samples) -> Iterator[Check]:
    """Compare each leaf's distribution. The tests of all leaves are judged together."""
    random: list[str] = []
    for name, expected in theirs.items():
        sample = ours[name]
        if not (np.isfinite(sample).all() and np.isfinite(expected).all()):
            yield _check(pair, name, "values", "NaN or infinite initial weights", "")
        elif not expected.size or not sample.size:
            yield _check(pair, name, "values", "no initial weights", "")
        elif np.ptp(expected) == 0 or np.ptp(sample) == 0:
            yield _constant(pair, name, sample, expected)
        elif _repeats(sample) or _repeats(expected):
            yield _repeated(pair, name, sample, expected)
        else:
            random.append(name)
            yield from _fixed(pair, name, sample, expected)
    if not random:
        return
    tests = {name: ks_two_sample(ours[name], theirs[name], alpha=ALPHA) for name in random}
    judged = holm(tests, ALPHA)
    allowed = max(ERRORS, float(special.ndtri(1 - ALPHA / (4 * len(random)))))
    for name in random:
        errors, detail = _moments(ours[name], theirs[name])
        yield _test(pair, name, "moments", errors, allowed, "standard errors", detail)
        test = judged[name]
        yield _test(pair, name, "distribution", test.measured, test.tolerance, "-log10 p", tests[name].detail)


def _constant(pair: Pair, name: str, ours: Floats, theirs: Floats) -> Check:
    """Compare a leaf that is constant on at least one side."""
    same = np.ptp(ours) == np.ptp(theirs) == 0 and math.isclose(ours.flat[0], theirs.flat[0], rel_tol=1e-6)
    texts = [f"{one.flat[0]:.6g}" if np.ptp(one) == 0 else f"random, std {one.std():.3g}" for one in (theirs, ours)]
    finding = "" if same else "initialised differently"
    return _check(pair, name, "constant", finding, f"theirs {texts[0]}, ours {texts[1]}")


def _repeated(pair: Pair, name: str, ours: Floats, theirs: Floats) -> Check:
    """Compare a leaf that has the same numbers in all fresh models of at least one side, such as a table of sines."""
    finding = ""
    if not _repeats(theirs):
        finding = "every fresh model of the port has the same weights"
    elif not _repeats(ours):
        finding = "every fresh model of the reference has the same weights"
    elif ours.shape != theirs.shape or not np.allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-6 * np.abs(theirs).max()):
        finding = "the same in every fresh model, and not the same on both sides"
    return _check(pair, name, "seeds", finding, "")


def _repeats(sample: Floats) -> bool:
    """Return whether all models have the same numbers."""
    return len(sample) > 1 and bool((sample == sample[0]).all())


def _fixed(pair: Pair, name: str, ours: Floats, theirs: Floats) -> Iterator[Check]:
    """Compare the elements that are the same in every fresh model, such as an embedding's row of zeros for padding."""
    fixed = [(sample == sample[0]).all(axis=0) for sample in (ours, theirs)]
    if ours.shape != theirs.shape or len(ours) < 3 or not np.any(fixed) or any(map(_discrete, (ours, theirs), fixed)):
        return
    unequal = (fixed[0] != fixed[1]) | fixed[1] & ~np.isclose(ours[0], theirs[0], rtol=1e-5)
    detail = f"{unequal.sum():,} of {unequal.size:,} elements"
    if unequal.any():
        place = int(np.flatnonzero(unequal)[0])
        mine, reference = (
            f"always {sample[0, place]:.4g}" if same[place] else "random"
            for sample, same in zip((ours, theirs), fixed, strict=True)
        )
        detail += f": theirs {reference}, ours {mine}"
    finding = "elements that do not change from model to model differ" if unequal.any() else ""
    yield _check(pair, name, "fixed elements", finding, detail)


def _discrete(sample: Floats, fixed: NDArray[np.bool_]) -> bool:
    """Return whether elements take few values, such as many random zeros, and may be equal by chance."""
    return bool((sample[0] == sample[1])[~fixed].mean() > 1e-3)


def _moments(ours: Floats, theirs: Floats) -> tuple[float, str]:
    """Return by how many standard errors the mean or the standard deviation differs at most."""
    means, spreads, mean_errors, spread_errors = [], [], [], []
    for sample in (ours.ravel(), theirs.ravel()):
        mean, std = float(sample.mean()), float(sample.std())
        fourth = float((((sample - mean) / std) ** 4).mean())
        means.append(mean)
        spreads.append(std)
        mean_errors.append(std / math.sqrt(sample.size))
        spread_errors.append(std * math.sqrt(max(fourth - 1, 1e-6) / (4 * sample.size)))
    errors = (
        abs(means[0] - means[1]) / math.hypot(*mean_errors),
        abs(spreads[0] - spreads[1]) / math.hypot(*spread_errors),
    )
    detail = f"mean {means[0]:.3g} and {means[1]:.3g}, std {spreads[0]:.4g} and {spreads[1]:.4g} (ours, theirs)"
    return max(errors), detail


def _equal(pair: Pair, theirs: Fresh, ours: Fresh) -> Iterator[Check]:
    """Compare which leaves start equal in every model, such as layers that were copied."""
    shared = theirs.leaves.keys() & ours.leaves.keys()
    first, second = (equal_groups(fresh.equal, shared) for fresh in (theirs, ours))
    for groups, finding in (
        (first - second, "start equal in theirs, different in ours"),
        (second - first, "start equal in ours, different in theirs"),
        (first & second, ""),
    ):
        for names, count in by_module(groups).items():
            detail = " = ".join(names) + (f" ({count} leaves)" if count > 1 else "")
            found = _check(pair, names[-1], "equal leaves", finding, detail)
            yield replace(found, module=names[-1]) if names[-1] in pair.modules else found


def _correlated(pair: Pair, ours: Samples, theirs: Samples) -> Iterator[Check]:
    """Compare the correlations between leaves with samples of one shape."""
    shapes: dict[tuple[int, ...], list[str]] = {}
    for name, sample in ours.items():
        if (
            sample.shape == theirs[name].shape
            and sample.size >= 100
            and np.ptp(sample) > 0
            and np.ptp(theirs[name]) > 0
        ):
            shapes.setdefault(sample.shape, []).append(name)
    for shape, names in shapes.items():
        if len(names) > 1:
            yield _correlation(pair, names, math.prod(shape), *(_matrix(side, names) for side in (ours, theirs)))


def _matrix(samples: Samples, names: Sequence[str]) -> Floats:
    """Return the correlations between leaves; pairs of equal leaves, which another check has, count as 0."""
    found = np.nan_to_num(np.corrcoef([samples[name].ravel() for name in names]))
    for a, b in np.argwhere(found > 1 - 1e-9):
        if np.array_equal(samples[names[a]], samples[names[b]]):  # others are multiples: drawn with one key
            found[a, b] = 0.0
    return np.asarray(found)


def _correlation(pair: Pair, names: Sequence[str], size: int, ours: Floats, theirs: Floats) -> Check:
    """Check that no two leaves are more correlated in ours than in theirs, beyond chance."""
    count = len(names) * (len(names) - 1) / 2
    allowed = max(ERRORS, float(special.ndtri(1 - ALPHA / (2 * count))))
    scores = np.abs(ours - theirs) * math.sqrt(size / 2)
    a, b = (int(index) for index in np.unravel_index(int(np.argmax(scores)), scores.shape))
    detail = f"{names[a]} and {names[b]}: correlation {ours[a, b]:+.3f} in ours, {theirs[a, b]:+.3f} in theirs"
    return _test(
        pair, names[max(a, b)], f"independence of {len(names)} leaves", float(scores[a, b]), allowed,
        "standard errors", detail,
    )  # fmt: skip


def _test(pair: Pair, name: str, what: str, measured: float, allowed: float, unit: str, detail: str) -> Check:
    passed = measured <= allowed
    return Check(
        place=name,
        stage=STAGE,
        what=what,
        passed=passed,
        finding="" if passed else f"{what} differs",
        measured=measured,
        allowed=allowed,
        unit=unit,
        reason=f"equal programs fail with probability {ALPHA:g} at most",
        detail=detail,
        module=pair.module_of(name),
        evidence=Evidence(leaf=name),
    )


def _check(pair: Pair, name: str, what: str, finding: str, detail: str) -> Check:
    return Check(
        place=name,
        stage=STAGE,
        what=what,
        passed=not finding,
        finding=finding,
        detail=detail,
        module=pair.module_of(name),
        evidence=Evidence(leaf=name),
    )
