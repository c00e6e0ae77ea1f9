"""Rung 2: the data, and the order of the batches."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jax_impl.parity.checks import check
from jax_impl.parity.measures.comparing import Stored, compare, stored
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Reference, arrays_of
from jax_impl.parity.records.reading import Record
from jax_impl.parity.verdict import Check, Rung

STAGE = "data"


def data(pair: Pair) -> Rung:
    """Compare the port's own batches with the reference's."""
    theirs, ours = pair.theirs.content.batches, pair.ours.content.own_batches
    checks: tuple[Check, ...] = ()
    reason = "ours used theirs's batches: pass batches= to jax_impl.parity.save to compare your own data"
    if ours is not None:
        checks = _checks(pair, theirs, ours)
    return Rung(
        number=2,
        title="Data and batch order",
        question="Does the port load the same numbers, in the same order?",
        checks=checks,
        reason="" if checks else reason,
    )


def _checks(pair: Pair, theirs: Sequence[Any], ours: Sequence[Any]) -> tuple[Check, ...]:
    count = Check(
        place="batches",
        stage=STAGE,
        what="number of batches",
        passed=len(ours) >= len(theirs) > 0,
        finding="" if len(ours) >= len(theirs) > 0 else "fewer batches",
        detail=f"theirs {len(theirs)}, ours {len(ours)}",
    )
    batches = zip(theirs, ours, strict=False)
    return count, *(one for number, two in enumerate(batches, start=1) for one in _batch(pair, number, *two))


def _batch(pair: Pair, number: int, theirs: Any, ours: Any) -> list[Check]:
    expected, found = list(arrays_of(theirs)), list(arrays_of(ours))
    place = f"batch {number}"
    if len(expected) != len(found):
        detail = f"theirs has {len(expected)} arrays or values, ours {len(found)}"
        return [_plain(place, passed=False, finding="another structure", detail=detail)]
    return [
        _entry(pair, f"{place}{where if len(expected) > 1 else ''}", value, own)
        for (where, value), (_, own) in zip(expected, found, strict=True)
    ]


def _entry(pair: Pair, place: str, theirs: Any, ours: Any) -> Check:
    if not isinstance(theirs, Reference) or not isinstance(ours, Reference):
        same = type(theirs) is type(ours) and theirs == ours
        detail = "" if same else f"theirs {str(theirs)[:40]}, ours {str(ours)[:40]}"
        return _plain(place, passed=same, finding="" if same else "another value", detail=detail)
    one, other = _whole(pair.ours, ours), _whole(pair.theirs, theirs)
    found = compare(pair.tolerance, one, other)
    if not found.passed and (turned := _channels_first(one, other)) is not None:
        found = compare(pair.tolerance, turned, other)
    finding = "another order of the samples" if not found.passed and _reordered(one, other) else "differs"
    return check(found, place=place, stage=STAGE, what="numbers", finding=finding, module=None)


def _whole(record: Record, reference: Reference) -> Stored:
    return stored(reference, record.array(reference))


def _channels_first(ours: Stored, theirs: Stored) -> Stored | None:
    """Return our array with its last axis second, if this gives it the shape of theirs."""
    shape = ours.reference.shape
    if len(shape) < 3 or [shape[0], shape[-1], *shape[1:-1]] != theirs.reference.shape or ours.positions is not None:
        return None
    array = np.moveaxis(ours.array.reshape(shape), -1, 1)
    return stored(theirs.reference, np.ascontiguousarray(array))


def _reordered(ours: Stored, theirs: Stored) -> bool:
    """Return whether both arrays have the same rows, in another order."""
    shape = ours.reference.shape
    if not shape or shape != theirs.reference.shape or ours.array.size != theirs.array.size or shape[0] < 2:
        return False
    first, second = (np.sort(one.array.reshape(shape[0], -1).sum(axis=1, dtype=np.float64)) for one in (ours, theirs))
    return bool(np.allclose(first, second, rtol=1e-6, atol=0))


def _plain(place: str, *, passed: bool, finding: str, detail: str) -> Check:
    return Check(place=place, stage=STAGE, what="numbers", passed=passed, finding=finding, detail=detail)
