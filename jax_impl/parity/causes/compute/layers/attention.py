"""Scaled dot product attention in NumPy, as torch computes it, with everything that ports get wrong.

Shapes: query (n, length, heads × size), key and value (n, source, key_heads × size), and weights
(n, heads, length, source).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rotary:
    """Rotary positions: features are turned by their position, in pairs.

    Attributes:
        halves: Whether feature i is paired with i + size / 2, as in Llama; otherwise with the one beside it.
        base: Of the frequencies base ** (-2 i / size).
        table: Cosine and sine, each (…, length, size), if the module receives them; then the base is not used.
        turned: Which of "q", "k" and "v" are turned.
    """

    halves: bool = True
    base: float = 10000.0
    table: tuple[Floats, Floats] | None = None
    turned: str = "qk"


@dataclass(frozen=True, kw_only=True)
class Attention:
    """How to attend.

    Attributes:
        query: Projected, all heads in one.
        key: The same.
        value: The same.
        heads: Of the query.
        key_heads: Of key and value, each shared by heads / key_heads queries.
        scale: By which the scores are multiplied; None stands for 1 / sqrt(size of a head).
        features_first: Whether a projection's features are cut as (size, heads) instead of (heads, size).
        merged_first: Whether the results of the heads are put together as (size, heads).
        tiled: Whether key heads are repeated as a whole, 0 1 0 1, instead of each for itself, 0 0 1 1.
        rotary: Positions.
        causal: Whether a position sees no later one.
        diagonal: How many positions after itself it sees, if causal.
        window: How many positions it sees at most, itself included.
        masks: Added to the scores, each broadcast to (n, heads, length, source).
        axis: Of the scores, over which the softmax is taken.
        kept: Dropout of the weights: 0, or 1 / (1 - rate), (n, heads, length, source).
        weights: Given in place of those computed.
    """

    query: Floats
    key: Floats
    value: Floats
    heads: int
    key_heads: int
    scale: float | None = None
    features_first: bool = False
    merged_first: bool = False
    tiled: bool = False
    rotary: Rotary | None = None
    causal: bool = False
    diagonal: int = 0
    window: int | None = None
    masks: tuple[Floats, ...] = ()
    axis: int = -1
    kept: Floats | None = None
    weights: Floats | None = None


def cut(x: Floats, heads: int, features_first: bool = False) -> Floats:
    """Return a projection (n, length, heads × size) as (n, heads, length, size)."""
    n, length, width = x.shape
    if features_first:
        return x.reshape(n, length, width // heads, heads).transpose(0, 3, 1, 2)
    return x.reshape(n, length, heads, width // heads).transpose(0, 2, 1, 3)


def rotated(x: Floats, how: Rotary) -> Floats:
    """Return x (n, heads, length, size) with its features turned by their positions."""
    length, size = x.shape[-2:]
    if how.table is None:
        frequencies = how.base ** (-np.arange(0, size, 2) / size)
        angles = np.arange(length)[:, None] * frequencies
        pairs = np.concatenate([angles, angles], -1) if how.halves else np.repeat(angles, 2, axis=-1)
        cosine, sine = np.cos(pairs), np.sin(pairs)
    else:
        cosine, sine = (one[:, None] if one.ndim == 3 else one for one in how.table)
    if how.halves:
        first, second = np.split(x, 2, axis=-1)
        turned = np.concatenate([-second, first], axis=-1)
    else:
        turned = np.stack([-x[..., 1::2], x[..., ::2]], axis=-1).reshape(x.shape)
    return np.asarray(x * cosine + turned * sine)


def parts(how: Attention) -> tuple[Floats, Floats, Floats]:
    """Return query, key and value, each (n, heads, length, size), after rotation and repetition."""
    query = cut(how.query, how.heads, how.features_first)
    others = {name: cut(getattr(how, name), how.key_heads, how.features_first) for name in ("key", "value")}
    if how.rotary:
        query = rotated(query, how.rotary) if "q" in how.rotary.turned else query
        others = {
            name: rotated(one, how.rotary) if name[0] in how.rotary.turned else one for name, one in others.items()
        }
    times = how.heads // how.key_heads
    if times > 1 and how.tiled:
        others = {name: np.tile(one, (1, times, 1, 1)) for name, one in others.items()}
    elif times > 1:
        others = {name: np.repeat(one, times, axis=1) for name, one in others.items()}
    return query, others["key"], others["value"]


def scores(how: Attention, query: Floats, key: Floats) -> Floats:
    """Return the scores before the softmax, with -inf where a position is not seen."""
    scale = 1 / math.sqrt(query.shape[-1]) if how.scale is None else how.scale
    result: Floats = np.asarray(query @ np.swapaxes(key, -1, -2)) * scale
    distance = np.arange(query.shape[-2])[:, None] - np.arange(key.shape[-2])
    if how.causal:
        result = np.where(distance >= -how.diagonal, result, -np.inf)
    if how.window is not None:
        result = np.where(distance < how.window, result, -np.inf)
    for mask in how.masks:
        result = result + mask
    return result


def softmax(x: Floats, axis: int = -1) -> Floats:
    """Return the softmax; where nothing is seen, that of equal scores, as with the lowest finite number."""
    x = np.maximum(x, -1e300)
    shifted = np.exp(x - x.max(axis=axis, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=axis, keepdims=True)
    return result


def weights(how: Attention) -> Floats:
    """Return the weights before dropout, (n, heads, length, source)."""
    query, key, _ = parts(how)
    return softmax(scores(how, query, key), how.axis)


def attended(how: Attention) -> Floats:
    """Return the weighted values of all heads in one, (n, length, heads × size)."""
    query, key, value = parts(how)
    given = softmax(scores(how, query, key), how.axis) if how.weights is None else how.weights
    if how.kept is not None and how.weights is None:
        given = given * how.kept
    result: Floats = np.asarray(given @ value)
    merged = result.transpose(0, 2, 3, 1) if how.merged_first else result.transpose(0, 2, 1, 3)
    return merged.reshape(*merged.shape[:2], -1)


def as_added(mask: NDArray[Any], seen: bool) -> Floats:
    """Return a mask of 0 and 1 as what is added to the scores; `seen` says whether 1 stands for what is seen."""
    return np.where((np.asarray(mask) != 0) == seen, 0.0, -np.inf)


def solved_mask(how: Attention, results: Floats, shape: tuple[int, ...], rate: float) -> Floats | None:
    """Return the dropout of the weights that gives some results; None if no mask of 0 and 1 comes close.

    Args:
        how: The attention.
        results: Of the heads, (n, length, heads × size).
        shape: Of the mask, (n or 1, heads or 1, length, source). Each of its rows is solved by least squares.
        rate: Of dropout.
    """
    query, key, value = parts(how)
    given = softmax(scores(how, query, key), how.axis)
    wanted = cut(results, how.heads)
    n, heads, _, source = given.shape
    equations = value.shape[-1] * (n // shape[0]) * (heads // shape[1])
    if equations < source + 1:
        return None
    mask = np.zeros(shape)
    for i, j, row in np.ndindex(*shape[:3]):
        batch, head = (
            slice(None) if shape[0] == 1 else slice(i, i + 1),
            slice(None) if shape[1] == 1 else slice(j, j + 1),
        )
        factors = given[batch, head, row, :, None] * value[batch, head]  # (n, heads, source, size)
        matrix = np.moveaxis(factors, 2, -1).reshape(-1, source)
        mask[i, j, row] = np.linalg.lstsq(matrix, wanted[batch, head, row].reshape(-1), rcond=None)[0]
    seen = np.broadcast_to(given, given.shape).max(axis=(0, 1)) > 1e-9
    near = np.minimum(np.abs(mask), np.abs(mask * (1 - rate) - 1))
    if (near * seen > 1e-3).any():
        return None
    return np.where(mask > 0.5, 1 / (1 - rate), 0.0)
