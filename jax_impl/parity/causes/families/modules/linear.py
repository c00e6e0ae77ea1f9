"""Linear layers: the weight's axes, bias, the order of flattened features; and modules with another one's weights."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from jax_impl.parity.arrays import Array
from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.families.modules import again
from jax_impl.parity.causes.families.modules.making import ATOL, RTOL, Making, confirmed, makings
from jax_impl.parity.causes.hypotheses import Family, Hypothesis

LEAVES = ("weight", "bias", "running_mean", "running_var")
OTHERS = 24  # modules of the same shape whose weights are tried


def known(case: ForwardCase) -> Iterator[tuple[Making, Floats, Floats | None]]:
    """Yield linear layers with weight and bias that give the reference's numbers."""
    for making in makings(case):
        weight, bias = making.inner.parameter("weight"), making.inner.parameter("bias")
        if making.inner.module.type != "Linear" or weight is None:
            continue
        if making.reproduced_by(partial(_run, weight=weight, bias=bias)):
            yield making, weight, bias


def weight_axes(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield weights that were transposed, or not, or reshaped, or whose columns follow another flattening."""
    for making, weight, bias in known(case):
        outputs, inputs = weight.shape
        changes = [("the weight is transposed", "kernel = weight.T", "", weight.T)] if outputs == inputs > 1 else []
        if outputs != inputs and min(outputs, inputs) > 1:
            reshaped = weight.reshape(inputs, outputs).T
            changes.append(("the weight is reshaped instead of transposed", "kernel = weight.T", "", reshaped))
        for shape in flattened(making, inputs) if making.is_layout_known else ():
            last = np.moveaxis(np.arange(inputs).reshape(shape), 0, -1).reshape(-1)
            fix = "permute the kernel's rows, or transpose to channels first before flattening"
            for one, other, order in (("last", "first", np.argsort(last)), ("first", "last", last)):
                text = f"features of shape {shape} flattened with channels {one}, for a weight with channels {other}"
                changes.append((text, fix, "MMdnn 595", weight[:, order]))
        for cause, fix, thread, changed in changes:
            yield Hypothesis(
                cause=f"{making.prefix}{cause}",
                fix=fix,
                known=thread,
                test=partial(making.confirm, partial(_run, weight=changed, bias=bias)),
            )


def flattened(making: Making, features: int) -> list[tuple[int, ...]]:
    """Return the shapes (channels, …) of earlier outputs that have as many features as the layer's input.

    With one channel or one pixel, all orders of flattening are the same.
    """
    calls = [call for call in making.case.passes[0].free if call.order < making.inner.call.order]
    shapes = [tuple(one.shape[1:]) for call in calls for one in call.outputs if one is not None and len(one.shape) > 1]
    several = [shape for shape in dict.fromkeys(shapes) if 1 < shape[0] < features and np.prod(shape) == features]
    return several[-3:]


def biases(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield a bias that is left out or added twice."""
    for making, weight, bias in known(case):
        if bias is not None:
            for text, fix, times in (("left out", "use_bias=True", 0), ("added twice", "add the bias once", 2)):
                yield Hypothesis(
                    cause=f"{making.prefix}the bias is {text}",
                    fix=fix,
                    test=partial(making.confirm, partial(_run, weight=weight, bias=times * bias)),
                )


def weights_of_another(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield the weights of another module, or of a table that should not be tied, in place of the module's own."""
    for making in makings(case):
        inner = making.inner
        own = inner.parameter("weight")
        if own is None or not making.reproduced_by(partial(again.recomputed, inner)):
            continue
        others = [
            leaf.name
            for leaf in inner.pair.leaves.values()
            if leaf.shape == list(own.shape) and leaf.name.endswith("weight") and not tied(inner, leaf.module)
        ]
        for name in sorted(others, key=lambda one: -_shared(one, inner.module.path))[:OTHERS]:
            path = name.rpartition(".")[0]
            yield Hypothesis(
                cause=f"{making.prefix}the weights of {path} instead of its own",
                fix=f"{inner.module.path} has weights of its own",
                test=partial(making.confirm, partial(_with_weights_of, case=inner, path=path)),
            )


def tied(case: ForwardCase, path: str) -> bool:
    """Return whether all leaves of another module are those of the module itself: a table that is used twice."""
    leaves = case.pair.leaves
    prefixes = [f"{one}." if one else "" for one in (path, case.module.path)]
    names = [(f"{prefixes[0]}{last}", f"{prefixes[1]}{last}") for last in LEAVES]
    tensors = [[leaves[name].tied or name if name in leaves else None for name in both] for both in names]
    return all(other in (None, own) for other, own in tensors)


def _with_weights_of(x: Array, *, case: ForwardCase, path: str) -> Floats | None:
    def parameter(name: str) -> Floats | None:
        full = f"{path}.{name}"
        leaf = case.pair.leaves.get(full)
        found = case.pair.theirs.start(leaf.tied or full) if leaf else None
        return case.parameter(name) if found is None else found.astype(np.float64)

    return again.recomputed(case, x, parameter)


def _shared(one: str, other: str) -> int:
    """Return how many names two paths have in common at the beginning."""
    same = [a == b for a, b in zip(one.split("."), other.split("."), strict=False)]
    return same.index(False) if False in same else len(same)


def bilinear(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield a bilinear layer with its inputs exchanged, or without bias."""
    if case.role != "output" or case.module.type != "Bilinear" or len(case.inputs) != 2:
        return
    first, second = case.inputs
    weight, bias, expected = case.parameter("weight"), case.parameter("bias"), case.expected
    if first is None or second is None or weight is None or expected is None:
        return
    added = 0.0 if bias is None else bias
    product = np.einsum("...i,oij,...j->...o", first, weight, second)
    if not np.allclose(product + added, expected, rtol=RTOL, atol=ATOL):
        return
    if bias is not None:
        test = partial(confirmed, case, product)
        yield Hypothesis(cause="the bias is left out", fix="add the bias", test=test)
    if weight.shape[1] == weight.shape[2] > 1:
        test = partial(confirmed, case, np.einsum("...i,oji,...j->...o", first, weight, second) + added)
        yield Hypothesis(cause="the two inputs are exchanged", fix="exchange them back", test=test)


def _run(x: Array, *, weight: Floats, bias: Floats | None) -> Floats:
    return x @ weight.T + (0.0 if bias is None else bias)


FAMILIES = (
    Family("axes of a weight", weight_axes),
    Family("bias", biases),
    Family("weights of another module", weights_of_another),
    Family("bilinear layer", bilinear),
)
