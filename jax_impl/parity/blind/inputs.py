"""Blind spots of the recorded inputs: arrays of one value, short sequences, modules that are not called, no dropout."""

from collections.abc import Iterator

import numpy as np

from jax_impl.parity.blind.blindspot import BlindSpot
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Reference, arrays_of


def spots(pair: Pair) -> Iterator[BlindSpot]:
    """Yield what the batches and the calls do not show."""
    yield from _constant(pair)
    yield from _windows(pair)
    modules = pair.theirs.content.modules
    used = used_modules(pair)
    idle = tuple(one.path for one in modules if one.path not in used and one.path.rpartition(".")[0] in used)
    if idle:
        yield BlindSpot(
            place=idle,
            hidden="never called, so anything in it would pass",
            remedy="record a batch or a loss that uses it",
        )
    off = tuple(pair.name(one.path) for one in modules if "Dropout" in one.type and one.settings.get("p") == 0)
    if off:
        yield BlindSpot(
            place=off,
            hidden="its rate is 0, so a port that drops nothing, or at another place, would pass",
            remedy="record with a rate above 0",
        )


def _constant(pair: Pair) -> Iterator[BlindSpot]:
    """Yield arrays of the batches whose elements are all the same in all batches."""
    values: dict[str, set[float]] = {}
    sizes: dict[str, int] = {}
    for batch in pair.theirs.content.batches:
        for where, one in arrays_of(batch):
            if isinstance(one, Reference) and one.size:
                array = pair.theirs.array(one)
                ends = {float(np.min(array)), float(np.max(array))} if array.dtype.kind in "biuf" else {0.0, 1.0}
                values.setdefault(where, set()).update(ends)
                sizes[where] = sizes.get(where, 0) + one.size
    for where, found in values.items():
        if len(found) == 1 and sizes[where] > 1:
            yield BlindSpot(
                place=(f"batch{where}",),
                hidden=f"it is {next(iter(found)):g} everywhere, so a port that ignores it would pass",
                remedy="record batches in which it varies",
            )


def _windows(pair: Pair) -> Iterator[BlindSpot]:
    """Yield attention windows that no recorded sequence leaves."""
    found = pair.theirs.content.forward.eval or pair.theirs.content.forward.train
    for module in pair.theirs.content.modules:
        for name, size in module.settings.items():
            if "window" not in name or type(size) is not int or size <= 1:
                continue
            calls = [call for call in (found.free if found else []) if call.module == module.path]
            arrays = [one for call in calls for one in call.inputs if one is not None]
            lengths = [max(one.shape[1:-1], default=0) for one in arrays]
            if lengths and max(lengths) <= size:
                yield BlindSpot(
                    place=(module.path,),
                    hidden=f"no sequence is longer than its {name}, {size} (longest: {max(lengths)}), so a port "
                    "without one would pass",
                    remedy="record longer sequences",
                )


def used_modules(pair: Pair) -> set[str]:
    """Return the modules that are called, or hold one that is, or whose weights learn without a call."""
    called = {module.path for module in pair.theirs.content.modules if module.calls}
    steps = pair.theirs.content.trajectory or []
    moved = {name for step in steps for name, one in step.updates.items() if one is not None and one.norm}
    used = called | {pair.module_of(name) for name in moved}
    return used | {path[:end] for path in used for end in range(len(path)) if path[end] == "."} | {""}
