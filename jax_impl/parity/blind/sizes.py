"""Blind spots of image sizes: two ways to pad or pool that agree at the recorded size, and not at others."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jax_impl.parity.blind.blindspot import BlindSpot
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Call, Module
from jax_impl.parity.rungs.evaluation import evaluated

AXES = {"1d": 1, "2d": 2, "3d": 3}


def spots(pair: Pair) -> Iterator[BlindSpot]:
    """Yield the convolutions and pools whose recorded sizes hide how they treat borders.

    The first batch is also compared at another size. A difference there is reported. Where the two agree, the layers
    that this size tells apart are no blind spots.
    """
    probe, own = pair.theirs.content.probe, pair.ours.content.probe
    other: Mapping[str, Sequence[int]] = {}
    if probe is not None and own is not None:
        text = f"first batch, cut from {probe.length} to {probe.to}"
        checks, _ = ([], []) if own.error else evaluated(pair, probe, own, stage=text)
        failed = [check for check in checks if not check.passed]
        if own.error or failed:
            said = f"the port does not run: {own.error}" if own.error else f"the two differ: {failed[0]}"
            yield BlindSpot(hidden=f"at another size {said}", remedy=f"record batches of size {probe.to} to see where")
        else:
            other = probe.sizes
    found = pair.theirs.content.forward.eval or pair.theirs.content.forward.train
    for call in found.free if found else []:
        module = pair.modules.get(call.module)
        space = _space(module, call) if module else []
        if module is None or not space or call.call:
            continue
        hidden = _hidden(module, space)
        if hidden and (call.module not in other or _hidden(module, other[call.module])):
            yield from hidden


def _hidden(module: Module, space: Sequence[int]) -> list[BlindSpot]:
    """Return what a module hides if it slides over axes of these sizes."""
    if module.type.startswith("AdaptiveAvgPool"):
        return list(adaptive(module, space))
    slides = module.type.startswith(("Conv", "MaxPool", "AvgPool")) and "Transpose" not in module.type
    return list(windowed(module, space)) if slides else []


def _space(module: Module, call: Call) -> list[int]:
    """Return the sizes of the axes over which a module slides; none if it does not."""
    axes = AXES.get(module.type[-2:], 0)
    first = call.inputs[0] if call.inputs else None
    return list(first.shape[-axes:]) if axes and first is not None and len(first.shape) > axes else []


def windowed(module: Module, space: Sequence[int]) -> Iterator[BlindSpot]:
    """Yield what a convolution or a pool hides if it slides over axes of these sizes."""
    kernel, stride, padding, dilation = (
        _numbers(module.settings.get(name), len(space), default)
        for name, default in (("kernel_size", 0), ("stride", 0), ("padding", 0), ("dilation", 1))
    )
    stride = stride or kernel
    if not all((kernel, stride, padding, dilation)):
        return
    for length, size, step, pad, gap in zip(space, kernel, stride, padding, dilation, strict=True):
        reach = gap * (size - 1)
        same = [_same(one, reach, step) for one in (length, length + 1)]
        if same[0] == (pad, pad) != same[1]:
            yield BlindSpot(
                place=(module.path,),
                hidden=f'at size {length}, padding "SAME" is {same[0]}, too, and at size {length + 1} it is {same[1]}',
                remedy=f"record images of size {length + 1}",
            )
            return
        if "Pool" in module.type and step > 1 and (length + 2 * pad - reach - 1) % step == 0:
            yield BlindSpot(
                place=(module.path,),
                hidden=f"at size {length}, ceil_mode changes nothing",
                remedy=f"record images of size {length + 1}",
            )
            return


def adaptive(module: Module, space: Sequence[int]) -> Iterator[BlindSpot]:
    """Yield a pool whose windows are all of one size, as those of a plain pool are."""
    target = _numbers(module.settings.get("output_size"), len(space), 0)
    if any(size > 1 for size in target) and all(
        size and length % size == 0 for length, size in zip(space, target, strict=True)
    ):
        yield BlindSpot(
            place=(module.path,),
            hidden=f"{tuple(space)} is a multiple of {tuple(target)}, so a pool with windows of one size would pass",
            remedy="record images of another size",
        )


def _same(length: int, reach: int, step: int) -> tuple[int, int]:
    """Return XLA's padding SAME."""
    total = max((-(-length // step) - 1) * step + reach + 1 - length, 0)
    return total // 2, total - total // 2


def _numbers(value: Any, count: int, default: int) -> list[int]:
    """Return a setting for each axis: torch takes one number for all. Empty if it is none."""
    if value is None:
        return [default] * count if default else []
    values = [value] * count if isinstance(value, int) else value
    good = isinstance(values, list | tuple) and len(values) == count and all(type(one) is int for one in values)
    return list(values) if good else []
