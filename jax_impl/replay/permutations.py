"""`randperm`: the entries 0 to n - 1 after many swaps, without a loop over the swaps (aten's TensorFactories.cpp)."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int64

LIMIT = (2**32 - 1) // 20  # from this n on, `randperm_cpu` takes 64 bits per entry and swaps the other way


def swapped(target: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return 0 to n - 1 after swapping the entries i and target[i] >= i, for i = 0, 1, …, without a loop over i.

    Step i moves the number at target[i] to position i, where it stays, and the number at position i to target[i]. So a
    step finds at its target what the last earlier step with this target found at its own position, and so on back to a
    number that was never moved. 5 ms for n = 60,000; the loop takes 12 ms (one core of an AMD EPYC, median of 40).
    """
    step = np.arange(len(target))
    forward = target > step
    origin = step.copy()  # step i finds at position i the number that step origin[i] found at position origin[i]
    origin[target[forward]] = step[forward]  # if several steps have the same target, NumPy keeps the last one
    while not np.array_equal(earlier := origin[origin], origin):  # each round goes back twice as far
        origin = earlier
    by_target = np.sort(target << 32 | step)  # faster than a stable argsort; n < 2**32
    position, source = by_target >> 32, by_target & 0xFFFFFFFF
    unmoved = np.diff(position, prepend=-1) > 0  # the first step with this target finds the position's own number
    result = np.empty_like(target)
    result[source] = np.where(unmoved, position, origin[np.roll(source, 1)])
    return result


def first_swapped(target: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
    """Return only the first entries, after the first swaps. The others may be more than memory holds."""
    moved: dict[int, int] = {}  # numbers that are not at their own position
    result = []
    for step, place in enumerate(target.tolist()):
        result.append(moved.get(place, place))
        moved[place] = moved.pop(step, step)
    return np.array(result, np.int64)


def inside_out(target: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return 0 to n - 1 after swapping the entries i and target[i] <= i, for i = 0, 1, ….

    The same swaps from the last to the first give the inverse permutation, and counted from the end they are those of
    `swapped`.
    """
    last = len(target) - 1
    inverse = last - swapped(last - target[::-1])[::-1]
    result = np.empty_like(inverse)
    result[inverse] = np.arange(len(target))
    return result


def first_inside_out(k: int, parts: Iterable[Int64[np.ndarray, " m"]]) -> Int64[np.ndarray, " k"]:
    """Return only the first k entries, of targets that come in parts. Step i moves i to its target, to stay there."""
    begin, result = 0, np.empty(k, np.int64)
    for target in parts:
        own = max(min(k - begin, len(target)), 0)  # steps among the first k: each finds a place of its own
        for step, place in enumerate(target[:own].tolist(), start=begin):
            result[step] = result[place]
            result[place] = step
        later = np.flatnonzero(target[own:] < k) + own
        result[target[later]] = begin + later  # if several steps have the same target, NumPy keeps the last one
        begin += len(target)
    return result
