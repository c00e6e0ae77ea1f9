"""Losses of a model's output and a batch in NumPy, as `torch.nn.functional` computes them, and as ports do."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

Floats = NDArray[np.float64]
CLASSES = ("cross entropy", "log likelihood", "sigmoid")  # losses of logits by class and integer labels
NUMBERS = ("squared", "half squared", "absolute", "Huber", "binary", "binary of probabilities", "root")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a loss is.

    Attributes:
        kind: One of `CLASSES` or `NUMBERS`.
        axis: That of the classes.
        shift: The first position of outputs and of labels along the sequence, which lose as many at the end. A negative
            one loses its last position only.
        ignored: The label that does not count; None if all do.
        ignored_as: What becomes of it: "" does not count, "zero" counts as 0, "first" is taken for class 0.
        smoothing: Of the labels.
        wrong_only: Whether the smoothing is spread over the wrong labels only.
        through: What is done with logits before: "" nothing, "softmax" once more, "raw" no softmax at all.
        added: To probabilities before their logarithm is taken.
        summed: The axes over which elements are added up; of the others the mean is taken.
        of_means: Whether the mean of each row's mean is taken, not that of all elements.
        layout: How targets are read: "" as they are, "reshaped" to channels last, "exchanged" height and width.
        crossed: Whether (n, 1) and (n,) were broadcast to (n, n).
    """

    kind: str
    axis: int = -1
    shift: tuple[int, int] = (0, 0)
    ignored: int | None = None
    ignored_as: str = ""
    smoothing: float = 0.0
    wrong_only: bool = False
    through: str = ""
    added: float = 0.0
    summed: tuple[int, ...] = ()
    of_means: bool = False
    layout: str = ""
    crossed: bool = False


Elements = tuple[Floats, NDArray[np.bool_]]  # the loss of each label or number, and which of them count


def value(loss: Loss, output: Floats, target: NDArray[np.generic]) -> float | None:
    """Return a loss; None if it cannot be computed of these arrays."""
    found = elements(loss, output, target)
    return None if found is None else reduced(loss, found)


def elements(loss: Loss, output: Floats, target: NDArray[np.generic]) -> Elements | None:
    """Return the loss of each label or number, whatever is added up afterwards; None if it cannot be computed."""
    with np.errstate(all="ignore"):
        found = _by_class(loss, output, target) if loss.kind in CLASSES else _by_number(loss, output, target)
    return found if found is not None and found[0].size else None


def reduced(loss: Loss, found: Elements) -> float | None:
    """Return the sum of a loss over some axes and its mean over the others; None if that is not finite."""
    with np.errstate(all="ignore"):
        one = _reduced(loss, *found)
        one = np.sqrt(one) if loss.kind == "root" else one
    return float(one) if np.isfinite(one) else None


def _by_class(loss: Loss, output: Floats, target: NDArray[np.generic]) -> Elements | None:
    """Return the loss of each label, in the labels' shape, and which of them count."""
    if output.ndim < 2 or target.dtype.kind not in "iu":
        return None
    logits = np.moveaxis(output, loss.axis, -1)
    labels = target.astype(np.int64)
    if any(loss.shift) or labels.shape != logits.shape[:-1]:
        shifted = _shifted(loss, logits, labels)
        if shifted is None:
            return None
        logits, labels = shifted
    counts = np.ones(labels.shape, bool) if loss.ignored is None else labels != loss.ignored
    classes = logits.shape[-1]
    used = labels if loss.ignored_as == "first" else np.where(counts, labels, 0)
    used = np.where(used < 0, 0, used) if loss.ignored_as == "first" else used
    if used.size and (used.min() < 0 or used.max() >= classes):
        return None
    logs = _logs(loss, logits)
    if loss.kind == "sigmoid":
        kept = np.eye(classes)[used]
        elements = (-kept * np.log(expit(logits)) - (1 - kept) * np.log(expit(-logits))).mean(-1)
    else:
        right = np.take_along_axis(logs, used[..., None], -1)[..., 0]
        spread = (logs.sum(-1) - right) / (classes - 1) if loss.wrong_only and classes > 1 else logs.mean(-1)
        elements = -(1 - loss.smoothing) * right - (loss.smoothing * spread if loss.smoothing else 0.0)
    if loss.ignored_as == "first":
        return elements, np.ones(labels.shape, bool)
    return (np.where(counts, elements, 0), counts | (loss.ignored_as == "zero"))


def _logs(loss: Loss, logits: Floats) -> Floats:
    """Return the logarithms of probabilities."""
    if loss.kind == "log likelihood" or loss.through == "raw":
        return logits
    logits = softmax(logits, axis=-1) if loss.through == "softmax" else logits
    return np.asarray(np.log(softmax(logits, axis=-1) + loss.added) if loss.added else log_softmax(logits, axis=-1))


def _shifted(loss: Loss, logits: Floats, labels: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]] | None:
    """Return both from their first positions on, cut to the same length along the sequence."""
    if labels.ndim < 2 or logits.ndim != labels.ndim + 1 or labels.shape != logits.shape[:-1]:
        return None
    length = labels.shape[1] - max(abs(start) for start in loss.shift)
    a, b = (max(start, 0) for start in loss.shift)
    return (logits[:, a : a + length], labels[:, b : b + length]) if length > 0 else None


def _by_number(loss: Loss, output: Floats, target: NDArray[np.generic]) -> Elements | None:
    """Return the loss of each number, in the output's shape."""
    wanted = target.astype(np.float64)
    if loss.crossed:
        if output.ndim != 2 or output.shape[1] != 1 or wanted.shape != output.shape[:1]:
            return None
        wanted = np.broadcast_to(wanted, (output.size, output.size))
        output = np.broadcast_to(output, wanted.shape)
    elif loss.layout:
        laid = _laid(loss.layout, output, wanted)
        if laid is None:
            return None
        output, wanted = laid
    if wanted.shape != output.shape:
        if wanted.squeeze().shape != output.squeeze().shape:
            return None
        wanted = wanted.reshape(output.shape)
    elements = np.asarray(_elements(loss.kind, output, wanted))
    return elements, np.ones(elements.shape, bool)


def _elements(kind: str, output: Floats, wanted: Floats) -> Floats:
    error = output - wanted
    if kind == "absolute":
        return np.abs(error)
    if kind == "Huber":
        size = np.abs(error)
        return np.where(size < 1, 0.5 * error**2, size - 0.5)
    if kind == "binary":
        return np.asarray(-wanted * np.log(expit(output)) - (1 - wanted) * np.log(expit(-output)))
    if kind == "binary of probabilities":
        return -wanted * np.maximum(np.log(output), -100) - (1 - wanted) * np.maximum(np.log1p(-output), -100)
    return np.asarray(error**2 * (0.5 if kind == "half squared" else 1.0))


def _laid(layout: str, output: Floats, wanted: Floats) -> tuple[Floats, Floats] | None:
    """Return output and target as a port sees them that reads the target in another layout."""
    if output.ndim != 4 or output.shape != wanted.shape:
        return None
    last = np.moveaxis(output, 1, -1)
    if layout == "reshaped":
        return last, wanted.reshape(last.shape)
    exchanged = wanted.swapaxes(2, 3)
    return (output, exchanged) if exchanged.shape == output.shape else None


def _reduced(loss: Loss, elements: Floats, counts: NDArray[np.bool_]) -> float:
    """Return the sum over some axes and the mean over the others."""
    total = float((elements * counts).sum())
    if loss.of_means:
        rows = (elements * counts).reshape(len(elements), -1).sum(1), counts.reshape(len(elements), -1).sum(1)
        return float(np.mean(rows[0] / rows[1]))
    if not loss.summed:
        return total / float(counts.sum())
    if len(loss.summed) == elements.ndim:
        return total
    others = [size for axis, size in enumerate(elements.shape) if axis not in loss.summed]
    return total / float(np.prod(others))


def slope(loss: Loss, output: Floats, target: NDArray[np.generic]) -> Floats | None:
    """Return the gradient of a cross entropy by the logits, in their shape (…, classes); None for other losses."""
    if loss != Loss(kind="cross entropy", axis=loss.axis, shift=loss.shift, ignored=loss.ignored,
                    smoothing=loss.smoothing, summed=loss.summed):  # fmt: skip
        return None
    if loss.axis not in (-1, output.ndim - 1) or target.shape != output.shape[:-1]:
        return None
    labels, (a, b) = target.astype(np.int64), loss.shift
    length = output.shape[1] - max(a, b) if any(loss.shift) else 0
    part = (slice(None), slice(a, a + length)) if any(loss.shift) else (slice(None),)
    labels = labels[:, b : b + length] if any(loss.shift) else labels
    logits, classes = output[part], output.shape[-1]
    counts = np.ones(labels.shape, bool) if loss.ignored is None else labels != loss.ignored
    wanted = np.eye(classes)[np.where(counts, labels, 0)] * (1 - loss.smoothing) + loss.smoothing / classes
    elements = (softmax(logits, axis=-1) - wanted) * counts[..., None]
    others = [size for axis, size in enumerate(labels.shape) if axis not in loss.summed]
    divisor = float(counts.sum()) if not loss.summed else float(np.prod(others))
    found = np.zeros(output.shape)
    found[part] = elements / divisor
    return found
