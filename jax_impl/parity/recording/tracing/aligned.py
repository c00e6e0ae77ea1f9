"""The port's calls of modules, aligned with the reference's: free, and forced to the reference's arrays."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jax_impl.parity.arrays import FORWARD_LIMIT, Array, Store
from jax_impl.parity.recording.theirs import Theirs
from jax_impl.parity.recording.tracing.align import UNCLEAR, Match, match
from jax_impl.parity.recording.tracing.passes import Call, Given

Place = tuple[str, int]  # path of the reference's module, number of the call


@dataclass(frozen=True)
class Aligned:
    """A call of the port and the reference's call that it is compared with."""

    ours: Call
    theirs: Mapping[str, Any]
    inputs: list[Match | None]  # for each of theirs
    outputs: list[Match | None]

    @property
    def matches(self) -> list[Match]:
        """Those of the arrays that have a partner."""
        return [one for one in (*self.inputs, *self.outputs) if one is not None]

    @property
    def error(self) -> float:
        """The largest relative error of the outputs that have a counterpart; infinite if none has."""
        found = [one.error for one in self.outputs if one is not None]
        return max(found, default=float("inf") if self.outputs else 0.0)


def align(
    theirs: Theirs,
    mode: str,
    calls: Sequence[Call],
    modules: Mapping[str, Sequence[str]],
    features: Sequence[Array] = (),
) -> dict[Place, Aligned]:
    """Pair the port's calls with the reference's.

    `modules` gives for each path of ours those of theirs: a module that the reference wraps has several. `features` are
    orders of flattened features.
    """
    known = theirs.calls(mode)
    found = {}
    for call in calls:
        for path in modules.get(call.path, ()):
            if (reference := known.get((path, call.call))) is not None:
                found[path, call.call] = _aligned(theirs, call, reference, features)
    known_orders = {one.axes.order for pair in found.values() for one in pair.matches if one.error <= UNCLEAR}
    for place, pair in found.items():
        if any(one.error > UNCLEAR for one in pair.matches):
            found[place] = _aligned(theirs, pair.ours, pair.theirs, features, known_orders)
    return found


def _aligned(
    theirs: Theirs,
    call: Call,
    reference: Mapping[str, Any],
    features: Sequence[Array],
    usual: Collection[tuple[int, ...] | None] = (),
) -> Aligned:
    """Pair the arrays of a call with the reference's."""

    def matched(role: str) -> list[Match | None]:
        listed = [(tuple(one["shape"]), theirs.array(one)) for one in reference[role]]
        return match(listed, getattr(call, role), limit=FORWARD_LIMIT, features=features, usual=usual)

    return Aligned(call, reference, matched("inputs"), matched("outputs"))


def forcing(theirs: Theirs, aligned: Mapping[Place, Aligned]) -> Given:
    """Return the reference's arrays in the port's layout, for each place of the port where one is known whole.

    Keys: the port's module, the number of the call, "input" or "output", the number of the array.
    """
    found: dict[tuple[str, int, str, int], Array] = {}
    for one in aligned.values():
        for role, matches in (("input", one.inputs), ("output", one.outputs)):
            for reference, matched in zip(one.theirs[f"{role}s"], matches, strict=True):
                if matched is not None and not reference["sampled"]:
                    place = (one.ours.path, one.ours.call, role, matched.index)
                    found.setdefault(place, matched.axes.to_ours(theirs.array(reference)))
    return found


def recorded(store: Store, aligned: Mapping[Place, Aligned], limit: int) -> list[dict[str, Any]]:
    """Store the arrays of the calls in the reference's layout, up to a limit; return the calls as they are recorded."""

    def references(one: Aligned, role: str) -> list[Any]:
        arrays, matches = getattr(one.ours, role), getattr(one, role)
        found = [None if one is None else one.axes.to_theirs(arrays[one.index]) for one in matches]
        return [None if array is None else store.reference("forward", array, limit) for array in found]

    return [
        {
            "module": path,
            "own": one.ours.path,
            "call": number,
            "order": one.ours.order,
            "inputs": references(one, "inputs"),
            "outputs": references(one, "outputs"),
            "float32": one.ours.float32,
            **_without_partner(one),
        }
        for (path, number), one in aligned.items()
    ]


def _without_partner(one: Aligned) -> dict[str, list[list[int]]]:
    """Return the shapes of the port's inputs and outputs without a partner, where the reference has such, too."""
    found = {}
    for role, matches in (("inputs", one.inputs), ("outputs", one.outputs)):
        used = {matched.index for matched in matches if matched is not None}
        shapes = [list(array.shape) for index, array in enumerate(getattr(one.ours, role)) if index not in used]
        if None in matches and shapes:
            found[f"own_{role}"] = shapes
    return found
