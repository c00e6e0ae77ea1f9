"""What ports do in place of the reference's loss: another reduction, other labels, another function."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from jax_impl.parity.causes.compute.losses import CLASSES, NUMBERS, Loss

SMOOTHINGS = (0.1, 0.05, 0.2, 0.15, 0.01, 0.3)
IGNORED = (-100, -1, 0, 1, 2, 3)  # labels that do not count, in well-known programs
ADDED = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
Told = tuple[str, str, Loss]  # a cause, a fix and the changed loss


def changed(loss: Loss, shape: tuple[int, ...]) -> Iterator[Told]:
    """Yield the changes of a loss whose elements have this shape."""
    for text, fix, other in (*_reductions(loss, shape), *_kinds(loss), *_labels(loss)):
        if other != loss:
            yield text, fix, other


def sums(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the axes over which a loss may add up: none, all, or any of them. One of length 1 makes no difference."""
    axes = [axis for axis, length in enumerate(shape) if length != 1]
    return [chosen for count in range(len(axes) + 1) for chosen in combinations(axes, count)]


def _reductions(loss: Loss, shape: tuple[int, ...]) -> Iterator[Told]:
    theirs = reduction(loss.summed, shape)
    for summed in sums(shape):
        sizes = [shape[axis] for axis in set(summed) ^ set(loss.summed)]
        if math.prod(sizes) != 1:
            yield (
                f"the {reduction(summed, shape)} instead of the {theirs}",
                f"take the {theirs}",
                replace(loss, summed=summed),
            )
    if not loss.summed:
        yield (
            "the mean of each row's mean instead of the mean of all",
            "take the mean of all",
            replace(loss, of_means=True),
        )


def _kinds(loss: Loss) -> Iterator[Told]:
    if loss.kind in NUMBERS:
        words = {"squared": "the squared error", "half squared": "half the squared error (optax.l2_loss)",
                 "absolute": "the absolute error", "Huber": "Huber's loss", "root": "the root of the squared error",
                 "binary": "the binary cross entropy of logits",
                 "binary of probabilities": "the binary cross entropy of probabilities"}  # fmt: skip
        for kind, text in words.items():
            yield f"{text} instead of {words[loss.kind]}", words[loss.kind], replace(loss, kind=kind)
        yield ("the target's numbers are read as channels last without being transposed", "transpose the target",
               replace(loss, layout="reshaped"))  # fmt: skip
        yield "height and width of the target exchanged", "transpose the target", replace(loss, layout="exchanged")
        yield ("output (n, 1) and target (n,) are broadcast to (n, n)", "output[:, 0]",
               replace(loss, crossed=True, summed=loss.summed if len(loss.summed) < 2 else (0, 1)))  # fmt: skip
        return
    if loss.kind == "sigmoid":
        yield (
            "softmax instead of a sigmoid of each class",
            "optax.sigmoid_binary_cross_entropy",
            replace(loss, kind="cross entropy"),
        )
        return
    yield ("a sigmoid of each class instead of the softmax", "optax.softmax_cross_entropy_with_integer_labels",
           replace(loss, kind="sigmoid"))  # fmt: skip
    through = {"softmax": "the softmax is taken twice", "raw": "logits are taken for the logarithms of probabilities"}
    for how, text in through.items():
        yield text, "pass the logits to optax.softmax_cross_entropy_with_integer_labels", replace(loss, through=how)
    if loss.kind == "log likelihood":
        return
    for added in ADDED:
        yield (f"{added:g} is added to the probabilities before the logarithm", "jax.nn.log_softmax(logits)",
               replace(loss, added=added))  # fmt: skip


def _labels(loss: Loss) -> Iterator[Told]:
    if loss.kind not in CLASSES:
        return
    if loss.kind == "cross entropy":
        back = f"optax.smooth_labels(one_hot, {loss.smoothing:g})" if loss.smoothing else "no smoothing"
        theirs = f"{loss.smoothing:g}" if loss.smoothing else "none"
        for smoothing in dict.fromkeys((0.0, *SMOOTHINGS)):
            ours = f"{smoothing:g}" if smoothing else "none"
            yield f"label smoothing: {ours} instead of {theirs}", back, replace(loss, smoothing=smoothing)
        if loss.smoothing:
            yield ("label smoothing is spread over the wrong labels only, instead of all", back,
                   replace(loss, wrong_only=True))  # fmt: skip
    if loss.ignored is not None:
        fix = f"where(labels == {loss.ignored}, 0, losses).sum() / (labels != {loss.ignored}).sum()"
        yield f"labels {loss.ignored} count as zero in the mean", fix, replace(loss, ignored_as="zero")
        if loss.ignored < 0:
            yield f"labels {loss.ignored} are taken for class 0", fix, replace(loss, ignored_as="first")
        else:
            yield f"labels {loss.ignored} are not ignored", fix, replace(loss, ignored=None)
    else:
        for ignored in IGNORED:
            yield (f"labels {ignored} are ignored, which count in the reference", "the mean of all",
                   replace(loss, ignored=ignored))  # fmt: skip
    shifts = {
        (0, 0): "not shifted",
        (0, 1): "shifted one to the left, to the next token",
        (1, 0): "shifted one to the right",
        (0, 2): "shifted by two",
        (0, -1): "not shifted, and the last position is left out",
    }
    for shift, text in shifts.items():
        yield f"labels are {text}", "shift labels and outputs as the reference", replace(loss, shift=shift)


def reduction(summed: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Return a reduction as text."""
    if not summed:
        return "mean"
    over = "the batch" if summed == (0,) else f"the {math.prod(shape[1:])} elements of each example"
    rest = [axis for axis, length in enumerate(shape) if length != 1 and axis not in summed]
    if not rest:
        return "sum"
    named = summed == (0,) or rest == [0]
    return f"sum over {over if named else f'axes {summed}'} (mean over the others)"
