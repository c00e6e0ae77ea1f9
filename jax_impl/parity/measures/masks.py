"""How the two sides draw dropout masks: how many, at which rates, of which sizes, and for how much one mask is used."""

import itertools
import math
from collections.abc import Collection, Iterator, Sequence

from jax_impl.parity.arrays import repeated_axes
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Mask
from jax_impl.parity.verdict import Check

STAGE = "settings"
CLOSE = 1e-6  # relative: a rate of 0.1 may be 1 - float32(0.9)


def mask_checks(pair: Pair) -> Iterator[Check]:
    """Compare the rates at which the two sides draw dropout masks, in the order of drawing."""
    train, _ = pair.forward("train")
    own = pair.ours.content.own_masks
    if train is None or own is None:
        return
    theirs, ours = train.masks, own.forward
    if theirs and not ours:
        yield _rate_check(pair, theirs[0].module, "the port draws no dropout mask", f"theirs draws {len(theirs)}")
    elif len(theirs) == len(ours):
        for mask, mine in zip(theirs, ours, strict=True):
            yield from _one_mask(pair, mask, mine)
    else:
        rates = [_listed(_rates(masks)) for masks in (theirs, ours)]
        finding = "dropout rates differ" if rates[0] != rates[1] else "another number of dropout masks"
        counts = f"theirs draws {len(theirs)} at rate {rates[0]}, ours {len(ours)} at rate {rates[1]}"
        yield _rate_check(pair, _first_unpaired(pair, theirs, ours), finding, counts)


def _one_mask(pair: Pair, mask: Mask, mine: Mask) -> Iterator[Check]:
    """Compare the rate and the size of two masks, and whether one is shared by all sequences, heads or positions."""
    if mask.rate is not None and mine.rate is not None:
        equal = math.isclose(mask.rate, mine.rate, rel_tol=CLOSE, abs_tol=1e-6)
        detail = f"theirs drops {mask.rate:.6g}, ours {mine.rate:.6g}"
        yield _rate_check(pair, mask.module, "" if equal else "dropout rate differs", detail)
    equal = math.prod(mask.shape) == math.prod(mine.shape)
    detail = f"theirs {tuple(mask.shape)}, ours {tuple(mine.shape)}"
    yield _rate_check(pair, mask.module, "" if equal else "the dropout mask has another size", detail)
    if equal and mask.array is not None:
        expected = len(repeated_axes(pair.theirs.array(mask.array)))
        shared = [f"axis {axis} of {tuple(mine.shape)}" for axis in mine.repeated]
        finding = "" if len(shared) <= expected else f"the port uses one dropout mask for all of {' and '.join(shared)}"
        yield _rate_check(pair, mask.module, finding, "theirs differs from entry to entry" if finding else "")


def _rate_check(pair: Pair, module: str, finding: str, detail: str) -> Check:
    return Check(
        place=pair.name(module),
        stage=STAGE,
        what="dropout rate",
        passed=not finding,
        finding=finding,
        detail=detail,
        module=module,
    )


def _rates(masks: Sequence[Mask]) -> list[float]:
    return sorted({round(mask.rate, 5) for mask in masks if mask.rate is not None})


def _first_unpaired(pair: Pair, theirs: Sequence[Mask], ours: Sequence[Mask]) -> str:
    """Return the reference's module at the first mask that only one side draws."""
    owners = {own: path for path, own in pair.partners.items()}
    named = any(mask.module for mask in ours)  # what draws is unknown if the model itself does, as plain functions

    def key(mask: Mask, module: str) -> tuple[str, int, str]:
        return f"{mask.rate or 0:.6g}", math.prod(mask.shape), module if named else ""

    expected = [key(mask, _within(mask.module, owners.values())) for mask in theirs]
    drawn = [key(mask, owners.get(_within(mask.module, owners), "")) for mask in ours]
    number = len(list(itertools.takewhile(lambda two: two[0] == two[1], zip(expected, drawn, strict=False))))
    if number < len(drawn) and len(ours) > len(theirs) and named:
        return drawn[number][2]
    return theirs[min(number, len(theirs) - 1)].module if theirs else ""


def _within(path: str, known: Collection[str]) -> str:
    """Return a module, or the innermost one around it that has a partner."""
    while path and path not in known:
        path = path.rpartition(".")[0]
    return path


def _listed(rates: Sequence[float]) -> str:
    return " and ".join(f"{rate:g}" for rate in rates) or "nothing"
