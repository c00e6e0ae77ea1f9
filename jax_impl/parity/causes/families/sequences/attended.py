"""How a module of the reference attends: found in its record, and computed again."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase, whole
from jax_impl.parity.causes.compute.layers.attention import Attention, Rotary, attended, weights
from jax_impl.parity.causes.families.glue.at_hand import Operand, calls_within, masks, operands, outer_call, reproduces
from jax_impl.parity.causes.families.glue.explaining import Glue
from jax_impl.parity.causes.families.sequences.masks import Choice, mask_choices

SECONDS = 1.0  # for finding out how a module attends
BASES = (10000.0, 500000.0, 1e6, 100.0, 1000.0, 100000.0, 50000.0)
HEADS = ("num_heads", "num_attention_heads", "n_head", "n_heads", "heads", "nhead", "num_query_heads")
KEY_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads")


@dataclass(frozen=True)
class Attending:
    """Attention, and what is made of it.

    Attributes:
        how: The attention.
        finish: Makes the reference's array of it.
        words: What each of the masks is called.
        undo: Returns the heads' results of the reference's array, (n, length, width); None if that is not possible.
    """

    how: Attention
    finish: Callable[[Attention], Floats]
    words: tuple[str, ...] = ()
    undo: Callable[[Floats], Floats] | None = None


def attention_of(case: ForwardCase) -> Attending | None:
    """Return how the reference's module attends; None if it does not, or if that is not found."""
    place = ("attention", case.evidence)
    if place not in case.pair.kept:
        case.pair.kept[place] = _found(case)
    found: Attending | None = case.pair.kept[place]
    return found


def _found(case: ForwardCase) -> Attending | None:
    expected, until = case.expected, time.process_time() + SECONDS
    if expected is None or expected.ndim not in (2, 3, 4) or not np.isfinite(expected).all() or np.ptp(expected) == 0:
        return None
    if case.module.type.endswith("MultiheadAttention"):
        candidates = multihead(case)
    elif Glue.of(case).reference is None and (case.role == "input" or calls_within(case)):
        candidates = projected(case, expected)
    else:
        return None
    with np.errstate(all="ignore"):
        for one in candidates:
            if time.process_time() > until:
                return None
            if quickly(one, expected) and reproduces(case, one.finish(one.how)):
                return one
    return None


def quickly(one: Attending, expected: Floats) -> bool:
    """Return whether the first example of the batch agrees, for attention that is computed example by example."""
    if one.how.weights is not None or len(one.how.query) < 2 or one.how.query.shape[0] != expected.shape[0]:
        return True
    first = {name: getattr(one.how, name)[:1] for name in ("query", "key", "value")}
    added = tuple(mask[:1] if mask.ndim == 4 else mask for mask in one.how.masks)
    kept = None if one.how.kept is None else one.how.kept[:1]
    rotary = one.how.rotary
    if rotary is not None and rotary.table is not None and rotary.table[0].ndim > 2:
        rotary = replace(rotary, table=(rotary.table[0][:1], rotary.table[1][:1]))
    try:
        result = one.finish(replace(one.how, **first, masks=added, kept=kept, rotary=rotary))
    except (ValueError, ZeroDivisionError):
        return False
    if result.shape != expected[:1].shape:
        return True
    return bool(np.linalg.norm(result - expected[:1]) <= 1e-4 * np.linalg.norm(expected[:1]))


def multihead(case: ForwardCase) -> Iterator[Attending]:
    """Yield torch's nn.MultiheadAttention from its inputs and weights. Its output is projected."""
    heads, inputs = case.settings.get("num_heads"), case.inputs
    width, first = case.settings.get("embed_dim"), bool(case.settings.get("batch_first"))
    if case.role != "output" or not isinstance(heads, int) or len(inputs) < 3:
        return
    arrays = [one for one in inputs[:3] if one is not None]
    if len(arrays) < 3 or any(one.ndim not in (2, 3) for one in arrays) or not isinstance(width, int):
        return
    single = arrays[0].ndim == 2
    arrays = [one[None] if single else one if first else one.swapaxes(0, 1) for one in arrays]
    packed, bias = case.parameter("in_proj_weight"), case.parameter("in_proj_bias")
    named = [case.parameter(f"{name}_proj_weight") for name in "qkv"]
    matrices = np.split(packed, 3) if packed is not None else [one for one in named if one is not None]
    if len(matrices) < 3:
        return
    vectors = np.split(bias, 3) if bias is not None else [np.zeros(width)] * 3
    query, key, value = (x @ w.T + b for x, w, b in zip(arrays, matrices, vectors, strict=True))
    path = f"{case.module.path}.out_proj" if case.module.path else "out_proj"
    end, offset = case.pair.theirs.start(f"{path}.weight"), case.pair.theirs.start(f"{path}.bias")
    if end is None:
        return

    def finish(how: Attention) -> Floats:
        y = attended(how) @ end.T.astype(np.float64)
        y = y if offset is None else y + offset
        return y[0] if single else y if first else y.swapaxes(0, 1)

    def undo(y: Floats) -> Floats:
        y = y[None] if single else y if first else y.swapaxes(0, 1)
        y = y if offset is None else y - offset
        return np.asarray(np.linalg.solve(end.astype(np.float64), y.reshape(-1, y.shape[-1]).T)).T.reshape(y.shape)

    how = Attention(
        query=query, key=key, value=value, heads=heads, key_heads=heads, kept=_kept(case, heads, query, key)
    )
    for one in with_masks(how, finish, mask_choices(inputs[3:], how)):
        yield replace(one, undo=undo)


def projected(case: ForwardCase, expected: Floats) -> Iterator[Attending]:
    """Yield attention of projections that are modules of their own, packed in one or separate."""
    at_hand = [one for one in operands(case) if one.module and one.array.ndim == 3]
    outer = outer_call(case)
    settings = case.pair.modules[outer.module].settings if outer else {}
    given = [one for one in operands(case) if one.array.ndim == 4 and one.module]
    for query, key, value in triples(at_hand):
        for heads, key_heads in head_counts(settings, query, key, expected, given):
            how = Attention(query=query, key=key, value=value, heads=heads, key_heads=key_heads)
            shape = (len(query), heads, query.shape[1], key.shape[1])
            finish = weights if expected.shape == shape else attended
            for weight in given if finish is attended else ():
                if weight.array.shape == shape:
                    yield Attending(replace(how, weights=weight.array), attended)
            if finish is attended and expected.shape != query.shape:
                continue
            how = replace(how, kept=_kept(case, heads, query, key)) if finish is attended else how
            inputs = [whole(case.pair.theirs, one) for one in outer.inputs] if outer else []
            choices = list(mask_choices(inputs, how))
            for rotary, scale in product((None, *rotaries(settings, inputs, query, heads)), (None, 1.0)):
                for one in with_masks(replace(how, rotary=rotary, scale=scale), finish, choices):
                    yield replace(one, undo=lambda y: y)


def triples(at_hand: list[Operand]) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield what may be query, key and value, those whose names say so first."""
    for one in at_hand:
        if one.array.shape[-1] % 3 == 0:
            first, second, third = np.split(one.array, 3, axis=-1)
            yield first, second, third

    def rank(order: tuple[Operand, ...]) -> int:
        words = ("q", "k", "v")
        return -sum(_starts(one.name, word) for one, word in zip(order, words, strict=True))

    linear = at_hand[:6]
    for order in sorted(permutations(linear, 3), key=rank):
        query, key, value = (one.array for one in order)
        if key.shape == value.shape and query.shape[0] == key.shape[0] and query.shape[2] % key.shape[2] == 0:
            yield query, key, value


def _starts(name: str, word: str) -> bool:
    return name.rpartition("'")[0].rpartition(".")[2].casefold().lstrip("_").startswith(word)


def head_counts(
    settings: dict[str, object], query: Floats, key: Floats, expected: Floats, given: list[Operand]
) -> Iterator[tuple[int, int]]:
    """Yield numbers of heads, those that are recorded first."""
    width, narrow = query.shape[-1], key.shape[-1]
    named = [settings.get(name) for name in HEADS]
    shown = [one.shape[1] for one in (expected, *(one.array for one in given)) if one.ndim == 4]
    every = [number for number in (4, 8, 2, 12, 6, 16, 1, 3, 32) if width % number == 0]
    seen = set()
    for heads in (*named, *shown, *every):
        if isinstance(heads, int) and heads > 0 and width % heads == 0 and heads not in seen:
            seen.add(heads)
            size = width // heads
            if narrow % size == 0 and heads % (narrow // size) == 0:
                yield heads, narrow // size


def rotaries(settings: dict[str, object], inputs: list[Floats | None], query: Floats, heads: int) -> Iterator[Rotary]:
    """Yield rotary positions: by tables that the module receives, or by a base."""
    size = query.shape[-1] // heads
    if size % 2:
        return
    tables = [
        x for x in inputs if x is not None and x.shape[-2:] == (query.shape[1], size) and np.abs(x).max() <= 1 + 1e-6
    ]
    for halves in (True, False):
        if len(tables) == 2:
            yield Rotary(halves=halves, table=(tables[0], tables[1]))
    named = [settings.get(name) for name in ("rope_theta", "base", "theta")]
    bases = [float(one) for one in named if isinstance(one, int | float) and one > 1]
    for base, halves in product(dict.fromkeys((*bases, *BASES)), (True, False)):
        yield Rotary(halves=halves, base=base)


def with_masks(how: Attention, finish: Callable[[Attention], Floats], choices: Iterable[Choice]) -> Iterator[Attending]:
    """Yield attention with each choice of masks, seeing all positions, those before, or a window of them."""
    listed = list(choices)
    same = how.query.shape[1] == how.key.shape[1]
    for added, words in listed:
        yield Attending(replace(how, masks=added), finish, words)
        if same:
            yield Attending(replace(how, masks=added, causal=True), finish, words)
    for window in range(1, min(how.key.shape[1], 64)) if same else ():
        yield Attending(replace(how, masks=listed[0][0], causal=True, window=window), finish, listed[0][1])


def _kept(case: ForwardCase, heads: int, query: Floats, key: Floats) -> Floats | None:
    """Return the dropout of the weights, if the module drops them out itself."""
    shape = (len(query), heads, query.shape[1], key.shape[1])
    for mask, array in masks(case):
        if array.size == np.prod(shape):
            return array.reshape(shape) / (1 - (mask.rate or 0.0))
    return None
