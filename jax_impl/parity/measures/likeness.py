"""What two different arrays have in common: the ratio, the order or the precision, as a hint at the cause."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_EXACT = 1e-6  # relative error of a hint that holds


def likeness(ours: Floats, theirs: Floats) -> str:
    """Return how two flat arrays of finite numbers are related; empty if nothing simple relates them."""
    largest = float(max(np.abs(ours).max(initial=0.0), np.abs(theirs).max(initial=0.0)))
    if not 1e-150 < largest < 1e150:
        return ""  # the norms would overflow
    difference, norm = float(np.linalg.norm(ours - theirs)), float(np.linalg.norm(theirs))
    if not difference:
        return ""
    if not (ours.any() and norm):
        return "theirs is zero" if ours.any() else "ours is zero"
    if difference <= 1e-5 * norm:
        return "as small as float32 rounding" if difference > 1e-9 * norm else ""
    return _related(ours, theirs, difference, norm)


def _related(ours: Floats, theirs: Floats, difference: float, norm: float) -> str:
    """Return whether one array is a multiple of the other, is shifted, constant, or in another order."""
    if ours.size > 1 and np.ptp(ours) == 0 and np.ptp(theirs) > 0:
        return "ours is constant"
    ratio = float(ours @ theirs) / norm**2
    if ours.size == 1 and not _whole(ratio):
        return ""  # two numbers always have a ratio
    if ratio and np.linalg.norm(ours - ratio * theirs) <= _EXACT * np.linalg.norm(ours):
        return "ours is theirs with the other sign" if abs(ratio + 1) < _EXACT else f"ours is {ratio:.4g} × theirs"
    if ours.size > 2 and np.ptp(ours - theirs) <= _EXACT * difference / np.sqrt(ours.size):
        return f"ours is theirs {float((ours - theirs)[0]):+.4g}"
    if ours.size > 2 and np.linalg.norm(np.sort(ours) - np.sort(theirs)) <= _EXACT * norm:
        return "the same numbers in another order"
    return ""


def _whole(ratio: float) -> bool:
    """Return whether a ratio or its inverse is a whole number, such as the size of a batch."""
    size = max(abs(ratio), 1 / abs(ratio)) if ratio else 0.5
    return abs(size - round(size)) <= _EXACT * size
