"""Attention: heads, rotary positions, and query, key and value exchanged."""

from collections.abc import Iterator
from dataclasses import replace

from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.causes.compute.layers.attention import Attention, weights
from jax_impl.parity.causes.families.glue.blocks import Block
from jax_impl.parity.causes.families.sequences.attended import BASES, Attending, attention_of
from jax_impl.parity.causes.families.sequences.attention import Change, attending, confirm, hypotheses
from jax_impl.parity.causes.hypotheses import Family, Hypothesis


def heads(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield other heads: their number, how features are cut, and how groups share keys."""
    for one, found in attending(case):
        yield from hypotheses(one, cuts(found), found)


def cuts(found: Attending) -> Iterator[Change]:
    """Yield the changes of `heads`."""
    how = found.how
    width = how.query.shape[-1]
    if how.key_heads == how.heads and how.weights is None and how.kept is None:
        for number in range(1, min(width, 64) + 1):
            if width % number == 0 and number != how.heads:
                changed = {"heads": number, "key_heads": number}
                yield f"{number} heads instead of {how.heads}", f"num_heads={how.heads}", "", changed
    if 1 < how.key_heads < how.heads:
        times = how.heads // how.key_heads
        yield (
            "key heads are repeated as a whole (0 1 0 1) instead of each for itself (0 0 1 1)",
            f"jnp.repeat(key, {times}, axis=heads), not jnp.tile", "", {"tiled": not how.tiled},
        )  # fmt: skip
    shape, other = f"reshape(n, length, {how.heads}, {width // how.heads})", not how.features_first
    cut, merged = {"features_first": other}, {"merged_first": not how.merged_first}
    yield "features are cut as (size, heads) instead of (heads, size)", shape, "", cut
    if found.finish is weights:
        return
    yield (
        "heads are joined as (size, heads) instead of (heads, size)",
        "swapaxes(1, 2).reshape(n, length, -1)",
        "",
        merged,
    )
    yield "features are cut and joined as (size, heads) instead of (heads, size)", shape, "", cut | merged


def exchanged(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield query, key and value in another order."""
    found = attention_of(case)
    if found is None:
        return
    partial = found.finish is weights or found.how.weights is not None  # the array shows only one of key and value
    alone = partial and not elsewhere(case)
    changes = [one for one in orders(found.how) if not (alone and "value for key and key for value" in one[0])]
    tried = [(one, confirm(case, found, one[3])) for one in changes]
    right = [(one, measured) for one, measured in tried if measured is not None and measured.passed]
    for (cause, fix, known, _), measured in right[:1] or [pair for pair in tried if pair[1] is not None][:1]:
        yield Hypothesis(cause=cause, fix=fix, known=known, test=lambda measured=measured: measured)  # type: ignore[misc]


def elsewhere(case: ForwardCase) -> bool:
    """Return whether another array of the same module differs, too: the values differ as well as the weights."""
    others = (one for at, one in Block.of(case).cases.items() if at != case.evidence)
    return any(
        not one.pair.compare(one.target.ours, one.target.theirs, loose=one.target.loose).passed for one in others
    )


def orders(how: Attention) -> Iterator[Change]:
    """Yield the changes of `exchanged`."""
    arrays = {"query": how.query, "key": how.key, "value": how.value}
    for names in (("query", "value", "key"), ("key", "query", "value"), ("value", "key", "query"),
                  ("key", "value", "query"), ("value", "query", "key"), ("query", "key", "key"),
                  ("query", "query", "value"), ("query", "value", "value"), ("query", "key", "query")):  # fmt: skip
        changed = {name: arrays[other] for name, other in zip(arrays, names, strict=True)}
        moved = [name for name, other in zip(arrays, names, strict=True) if name != other]
        if changed["key"].shape != how.key.shape or changed["query"].shape != how.query.shape:
            continue
        taken = " and ".join(f"{other} for {name}" for name, other in zip(arrays, names, strict=True) if name in moved)
        yield f"{taken} is taken in attention", "query, key, value in this order", "", changed


def rotary(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield other rotary positions: pairs, base, and what is turned."""
    for one, found in attending(case):
        if found.how.rotary is not None:
            yield from hypotheses(one, turns(found.how), found)


def turns(how: Attention) -> Iterator[Change]:
    """Yield the changes of `rotary`."""
    now = how.rotary
    if now is None:
        return
    pairs = ("pairs side by side, i and i + 1", "pairs in halves, i and i + size / 2")
    ours, theirs = pairs if now.halves else reversed(pairs)
    yield f"rotary {ours}, instead of {theirs}", f"rotary {theirs}", "", {"rotary": replace(now, halves=not now.halves)}
    for base in BASES if now.table is None else ():
        if base != now.base:
            changed = {"rotary": replace(now, base=base)}
            yield f"rotary base {base:g} instead of {now.base:g}", f"base {now.base:g}", "", changed
    for turned, cause in (
        ("q", "rotary positions are not applied to the keys"),
        ("k", "rotary positions are not applied to the queries"),
        ("qkv", "rotary positions are applied to the values, too"),
        ("", "rotary positions are not applied"),
    ):
        yield cause, "rotate queries and keys", "", {"rotary": replace(now, turned=turned) if turned else None}


FAMILIES = (
    Family("heads of attention", heads),
    Family("query, key and value", exchanged),
    Family("rotary positions", rotary),
)
