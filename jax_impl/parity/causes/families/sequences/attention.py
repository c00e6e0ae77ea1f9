"""Attention: scale, softmax, masks and dropout."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.causes.compute.layers.attention import Attention, as_added, solved_mask, weights
from jax_impl.parity.causes.families.glue import dropout
from jax_impl.parity.causes.families.glue.at_hand import masks, reproduces
from jax_impl.parity.causes.families.glue.blocks import has_own
from jax_impl.parity.causes.families.sequences.attended import Attending, attention_of
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured

Change = tuple[str, str, str, dict[str, Any]]  # cause, fix, known threads, and the settings that change


def attending(case: ForwardCase) -> Iterator[tuple[ForwardCase, Attending]]:
    """Yield how the module attends, and how it does in evaluation, where no mask that the port draws is in the way."""
    found = attention_of(case)
    if found is not None:
        yield case, found
    if found is not None and found.how.kept is not None and case.training:
        other = ForwardCase(case.pair, case.check, replace(case.evidence, mode="eval"))
        again = attention_of(other) if other.evidence.call in other.calls and has_own(other) else None
        if again is not None:
            yield other, again


def hypotheses(case: ForwardCase, changes: Iterator[Change], found: Attending) -> Iterator[Hypothesis]:
    """Yield the changes of an attention."""
    for cause, fix, known, changed in changes:
        yield Hypothesis(cause=cause, fix=fix, known=known, test=partial(confirm, case, found, changed))


def confirm(case: ForwardCase, found: Attending, changed: dict[str, Any]) -> Measured | None:
    """Compare attention with other settings with the port."""
    try:
        with np.errstate(all="ignore"):
            result = found.finish(replace(found.how, **changed))
    except ValueError:  # shapes that do not fit
        return None
    return None if reproduces(case, result) else case.target.agrees(result)


def scale(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield another factor of the scores, or another axis of the softmax."""
    for one, found in attending(case):
        if found.how.weights is None:
            yield from hypotheses(one, scales(found.how), found)


def scales(how: Attention) -> Iterator[Change]:
    """Yield the changes of `scale`."""
    width, size = how.query.shape[-1], how.query.shape[-1] // how.heads
    right = f"1 / sqrt({size})" if how.scale is None else f"{how.scale:g}"
    others = {
        "no factor": 1.0, f"1 / sqrt({width}), the width of all heads,": width**-0.5, f"1 / sqrt({size})": size**-0.5,
        f"1 / {size}": 1 / size, f"1 / {size}, the factor taken twice,": 1 / size, f"sqrt({size})": size**0.5,
        f"1 / sqrt({how.heads}), the number of heads,": how.heads**-0.5,
        f"1 / sqrt({how.query.shape[1]}), the length,": how.query.shape[1] ** -0.5,
    }  # fmt: skip
    seen = [size**-0.5 if how.scale is None else how.scale]
    for name, factor in others.items():
        if not any(math.isclose(factor, one) for one in seen):
            seen.append(factor)
            yield f"scores are multiplied by {name} instead of {right}", f"scores * {right}", "", {"scale": factor}
    for axis, over in ((-2, "the queries"), (1, "the heads")):
        yield f"softmax over {over} instead of the keys", "jax.nn.softmax(scores, axis=-1)", "", {"axis": axis}


def visible(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield other masks: forgotten, inverted, of the queries, shifted, or of another width."""
    for one, found in attending(case):
        if found.how.weights is None:
            yield from hypotheses(one, causal(found.how), found)
            yield from hypotheses(one, masked(found), found)


def causal(how: Attention) -> Iterator[Change]:
    """Yield other sets of positions that are seen."""
    if how.query.shape[1] != how.key.shape[1]:
        return
    fix = "jnp.tril(jnp.ones((length, length), bool))"
    if not how.causal:
        yield "it is causal: no position sees a later one", "leave the causal mask out", "", {"causal": True}
        return
    if how.window is None:
        yield "it is not causal: every position sees the later ones", fix, "", {"causal": False}
        yield "each position also sees the next one", fix, "", {"diagonal": 1}
        yield "a position does not see itself", fix, "", {"diagonal": -1}
        lengths = range(1, min(how.key.shape[1], 32))
        yield from ((f"a window of {n} positions instead of all before", fix, "", {"window": n}) for n in lengths)
        return
    fix = f"(distance >= 0) & (distance < {how.window})"
    yield "no window: every position sees all before", fix, "", {"window": None}
    yield "the window is not causal", fix, "", {"causal": False}
    for width in range(1, min(how.key.shape[1], 64)):
        if width != how.window:
            known = "transformers 29176" if abs(width - how.window) == 1 else ""
            cause = f"a window of {width} positions, the token itself included, instead of {how.window}"
            yield cause, fix, known, {"window": width}


def masked(found: Attending) -> Iterator[Change]:
    """Yield each mask forgotten, inverted, or taken for the queries."""
    for number, (mask, word) in enumerate(zip(found.how.masks, found.words, strict=True)):
        others = [*found.how.masks[:number], *found.how.masks[number + 1 :]]
        yield f"{word} is not applied", "mask=mask", "", {"masks": tuple(others)}
        hidden = mask < -1e3
        inverted = as_added(hidden, seen=True)
        yield f"{word} is inverted", "mask=~mask: True is what is seen", "", {"masks": (*others, inverted)}
        if mask.shape[-2] == 1:
            queries = np.swapaxes(mask, -1, -2)
            yield f"{word} hides queries instead of keys", "mask[:, None, None, :]", "", {"masks": (*others, queries)}
            both = np.minimum(mask, queries)
            yield f"{word} hides queries as well as keys", "mask[:, None, None, :]", "", {"masks": (*others, both)}
        if mask.shape[-2] == mask.shape[-1]:
            turned = np.swapaxes(mask, -1, -2)
            yield f"{word} is transposed", "mask[query, key]", "", {"masks": (*others, turned)}
        if ((mask == 0) | hidden).all() and hidden.any():
            ones = np.where(hidden, 0.0, 1.0)
            yield f"{word} is added as 0 and 1", "jnp.where(mask, scores, -jnp.inf)", "", {"masks": (*others, ones)}


def dropped(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield attention without its dropout, or with masks that the port draws in another shape."""
    found = attention_of(case)
    if found is None or found.how.weights is not None or found.finish is weights or not case.training:
        return
    how = found.how
    if how.kept is not None:
        fix = "dropout_rate as in the reference, and deterministic=False in training"
        rate = next((mask.rate for mask, _ in masks(case) if mask.rate), 0.0)
        other = dropout.own_rate(case, rate)
        drawn = {one for shape, one in own_masks(case, how) if shape == how.kept.shape}
        if other == rate and len(drawn) == 1:  # no setting shows it
            other = drawn.pop()
        missing = (
            (dropout.rate_differs(0.0, rate), f"rate={rate:g}")
            if not other
            else ("the dropout of attention's weights is missing", fix)
        )
        changes: list[Change] = [(*missing, "", {"kept": None})]
        if other not in (0, rate) and other < 1:
            scaled = how.kept * (1 - rate) / (1 - other)
            changes.append((dropout.rate_differs(other, rate), f"rate={rate:g}", "", {"kept": scaled}))
        yield from hypotheses(case, iter(changes), found)
    instead = "instead of one for each" if how.kept is not None else "where the reference drops nothing"
    for shape, rate in own_masks(case, how):
        sizes = (("sequences", shape[0], len(how.query)), ("heads", shape[1], how.heads))
        shared = " and ".join(name for name, here, whole in sizes if here < whole)
        cause = (
            f"attention's weights are dropped out by one mask for all {shared}"
            if shared
            else "attention's weights are dropped out"
        )
        fix = "broadcast_dropout=False" if how.kept is not None else "dropout_rate=0"
        yield Hypothesis(cause=f"{cause}, {instead}", fix=fix, test=partial(confirm_mask, case, found, shape, rate))


def own_masks(case: ForwardCase, how: Attention) -> list[tuple[tuple[int, ...], float]]:
    """Return the shapes and rates of masks of the port that may be of attention's weights, but shared."""
    own, full = case.pair.ours.content.own_masks, (len(how.query), how.heads, how.query.shape[1], how.key.shape[1])
    shapes = {(tuple(mask.shape), mask.rate or 0.0) for mask in (own.forward if own else ()) if len(mask.shape) == 4}
    fits = [
        (shape, rate)
        for shape, rate in shapes
        if all(have in (1, want) for have, want in zip(shape, full, strict=True))
    ]
    return sorted((shape, rate) for shape, rate in fits if shape[2:] == full[2:] and 0 < rate < 1)


def confirm_mask(case: ForwardCase, found: Attending, shape: tuple[int, ...], rate: float) -> Measured | None:
    """Find the port's mask by its output, and compare all of the output with what this mask of 0 and 1 gives."""
    ours = case.target.array
    if ours is None or found.undo is None:
        return None
    kept = solved_mask(found.how, found.undo(ours.astype(np.float64)), shape, rate)
    if kept is None or not (kept == 0).any() or np.ptp(kept) == 0:
        return None
    return confirm(case, found, {"kept": kept})


FAMILIES = (
    Family("scale and softmax of attention", scale),
    Family("masks of attention", visible),
    Family("dropout in attention", dropped),
)
