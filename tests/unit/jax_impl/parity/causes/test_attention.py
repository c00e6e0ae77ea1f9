"""Attention in NumPy agrees with torch's, and each way of getting it wrong is named."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from jax_impl.parity.causes.compute.layers.attention import (
    Attention,
    Rotary,
    as_added,
    attended,
    cut,
    rotated,
    solved_mask,
    weights,
)
from tests.unit.jax_impl.parity.causes.toy import Tape, Toy, causes, random

N, LENGTH, WIDTH, HEADS = 3, 7, 12, 3
QUERY, KEY, VALUE = (random(N, LENGTH, WIDTH, seed=seed) for seed in (1, 2, 3))
PLAIN = Attention(query=QUERY, key=KEY, value=VALUE, heads=HEADS, key_heads=HEADS)
PADDING = np.arange(LENGTH) >= np.array([[7], [4], [5]])


def of_torch(how: Attention, **options: Any) -> np.ndarray:
    query, key, value = (torch.from_numpy(cut(x, h)) for x, h in (
        (how.query, how.heads), (how.key, how.key_heads), (how.value, how.key_heads)))  # fmt: skip
    y = functional.scaled_dot_product_attention(query, key, value, **options)
    return y.transpose(1, 2).flatten(2).numpy()


def test_attention_is_torch_s() -> None:
    np.testing.assert_allclose(attended(PLAIN), of_torch(PLAIN), atol=1e-12)
    np.testing.assert_allclose(attended(replace(PLAIN, causal=True)), of_torch(PLAIN, is_causal=True), atol=1e-12)
    np.testing.assert_allclose(attended(replace(PLAIN, scale=0.3)), of_torch(PLAIN, scale=0.3), atol=1e-12)
    mask = as_added(PADDING, seen=False)[:, None, None]
    theirs = of_torch(PLAIN, attn_mask=torch.from_numpy(~PADDING[:, None, None]))
    np.testing.assert_allclose(attended(replace(PLAIN, masks=(mask,))), theirs, atol=1e-12)


def test_groups_of_heads_are_torch_s() -> None:
    how = replace(PLAIN, heads=6, key_heads=3, key=KEY[..., :6], value=VALUE[..., :6])
    np.testing.assert_allclose(attended(how), of_torch(how, enable_gqa=True), atol=1e-12)


@pytest.mark.parametrize("halves", [True, False])
def test_rotary_positions_depend_on_the_distance_alone(halves: bool) -> None:
    one, other = (np.broadcast_to(random(8, seed=seed), (1, 1, 9, 8)) for seed in (1, 2))
    products = rotated(one, Rotary(halves=halves, base=50.0)) @ rotated(
        other, Rotary(halves=halves, base=50.0)
    ).swapaxes(-1, -2)
    for offset in range(-4, 5):
        assert np.ptp(np.diagonal(products[0, 0], offset)) < 1e-12
    assert np.ptp(products) > 0.1


@pytest.mark.parametrize("shape", [(1, 1, LENGTH, LENGTH), (N, 1, LENGTH, LENGTH)])
def test_a_shared_mask_is_found_by_what_it_leaves(shape: tuple[int, ...]) -> None:
    kept = (np.random.default_rng(4).random(shape) > 0.2) / 0.8
    results = attended(replace(PLAIN, kept=np.broadcast_to(kept, (N, HEADS, LENGTH, LENGTH))))
    np.testing.assert_array_equal(solved_mask(PLAIN, results, shape, 0.2), kept)
    assert solved_mask(PLAIN, random(N, LENGTH, WIDTH), shape, 0.2) is None


FAULTS = {
    "not scaled": ({"scale": 1.0}, "scores are multiplied by no factor instead of 1 / sqrt(4)"),
    "all heads": ({"scale": WIDTH**-0.5}, "scores are multiplied by 1 / sqrt(12), the width of all heads, instead of"),
    "queries": ({"axis": -2}, "softmax over the queries instead of the keys"),
    "cut": ({"features_first": True}, "features are cut as (size, heads)"),
    "exchanged": ({"key": VALUE, "value": KEY}, "value for key and key for value"),
    "causal": ({"causal": True}, "it is causal"),
    "not causal": ({"causal": False}, "it is not causal"),
    "next": ({"diagonal": 1}, "each position also sees the next one"),
    "heads": ({"heads": 2, "key_heads": 2}, "2 heads instead of 3"),
    "window": ({"window": 4}, "a window of 4 positions"),
    "forgotten": ({"masks": ()}, "the padding mask is not applied"),
    "inverted": ({"masks": (as_added(PADDING, seen=True)[:, None, None],)}, "the padding mask is inverted"),
    "hides queries": ({"masks": (as_added(PADDING, seen=False)[:, None, :, None],)}, "the padding mask hides queries"),
}  # fmt: skip


def attention(how: Attention, changed: dict[str, Any], *, packed: bool, mask: np.ndarray | None = None) -> Toy:
    """c_proj(attention(q, k, v)), of one packed projection or of three."""

    def model(tape: Tape, fault: str) -> None:
        used = replace(how, **changed) if fault else how

        def inner(x: np.ndarray, *_: np.ndarray) -> np.ndarray:
            parts = [how.query, how.key, how.value]
            if packed:
                tape.call("attn.c_attn", lambda x: np.concatenate(parts, -1), x)
            else:
                for name, part in zip("qkv", parts, strict=True):
                    tape.call(f"attn.{name}_proj", lambda x, part=part: part, x)
            return tape.call("attn.c_proj", np.sin, attended(used))

        inputs = (random(N, LENGTH, 5),) if mask is None else (random(N, LENGTH, 5), mask)
        tape.call("", lambda x: tape.call("attn", inner, *inputs), inputs[0])

    names = ("c_attn",) if packed else ("q_proj", "k_proj", "v_proj")
    modules = {"": "Net", "attn": "Attention"} | {f"attn.{name}": "Linear" for name in (*names, "c_proj")}
    return Toy(model, modules, {"attn": {"num_heads": how.heads}})


@pytest.mark.parametrize(("fault", "packed"), [(fault, bool(n % 2)) for n, fault in enumerate(FAULTS)])
def test_a_mistake_in_attention_is_named(tmp_path: Path, fault: str, packed: bool) -> None:
    changed, words = FAULTS[fault]
    mask = PADDING.astype(np.float64) if "masks" in changed else None
    masks = () if mask is None else (as_added(PADDING, seen=False)[:, None, None],)
    how = replace(PLAIN, causal=fault in ("not causal", "next", "window"), masks=masks)
    found = causes(attention(how, changed, packed=packed, mask=mask).verdict(tmp_path, fault))
    assert len(found) == 1 and words in found[0]


ROTARY = replace(PLAIN, heads=6, key_heads=3, key=KEY[..., :6], value=VALUE[..., :6], rotary=Rotary(base=1000.0))
TURNS = {
    "side by side": (Rotary(base=1000.0, halves=False), "rotary pairs side by side"),
    "base": (Rotary(base=10000.0), "rotary base 10000 instead of 1000"),
    "keys": (Rotary(base=1000.0, turned="q"), "not applied to the keys"),
    "values": (Rotary(base=1000.0, turned="qkv"), "applied to the values, too"),
}


@pytest.mark.parametrize(("fault", "size"), [*((fault, 4) for fault in TURNS), ("keys", 2), ("values", 2)])
def test_a_mistake_in_rotary_positions_is_named(tmp_path: Path, fault: str, size: int) -> None:
    heads = WIDTH // size
    how = replace(PLAIN, heads=heads, key_heads=heads, rotary=Rotary(base=1000.0))
    found = causes(attention(how, {"rotary": TURNS[fault][0]}, packed=False).verdict(tmp_path, fault))
    assert len(found) == 1 and TURNS[fault][1] in found[0]


def test_the_order_of_groups_is_named(tmp_path: Path) -> None:
    found = causes(attention(replace(ROTARY, rotary=None), {"tiled": True}, packed=False).verdict(tmp_path, "tiled"))
    assert len(found) == 1 and "repeated as a whole" in found[0]


def test_a_faithful_port_has_no_cause(tmp_path: Path) -> None:
    verdict = attention(PLAIN, {}, packed=True).verdict(tmp_path)
    assert not verdict.failures and not causes(verdict)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("changed", "words"), [({"masks": ()}, "is not applied"), ({"heads": 2, "key_heads": 2}, "2 heads")]
)
def test_torch_s_own_module(tmp_path: Path, first: bool, changed: dict[str, Any], words: str) -> None:
    torch.manual_seed(0)
    module = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=first, dtype=torch.float64)
    torch.nn.init.normal_(module.in_proj_bias)
    start = {f"attn.{name}": value.detach().numpy() for name, value in module.named_parameters()}
    x = random(N, LENGTH, WIDTH) if first else random(LENGTH, N, WIDTH)
    added = np.where(PADDING, -np.inf, 0.0)

    def wrong(x: np.ndarray) -> np.ndarray:
        batch = x if first else x.swapaxes(0, 1)
        packed = batch @ start["attn.in_proj_weight"].T + start["attn.in_proj_bias"]
        query, key, value = np.split(packed, 3, -1)
        how = Attention(query=query, key=key, value=value, heads=HEADS, key_heads=HEADS, masks=(added[:, None, None],))
        y = attended(replace(how, **changed)) @ start["attn.out_proj.weight"].T + start["attn.out_proj.bias"]
        return y if first else y.swapaxes(0, 1)

    def right(x: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(x)
        return module(given, given, given, torch.from_numpy(added), need_weights=False)[0].detach().numpy()

    def model(tape: Tape, fault: str) -> None:
        compute = wrong if fault else right
        tape.call("", lambda x: tape.call("attn", lambda a, b, c, m: compute(a), x, x, x, added), x)

    settings = {"attn": {"num_heads": HEADS, "embed_dim": WIDTH, "batch_first": first}}
    modules = {"": "Net", "attn": "MultiheadAttention", "attn.out_proj": "Linear"}
    toy = Toy(model, modules, settings, start=start)
    found = causes(toy.verdict(tmp_path, "wrong"))
    assert len(found) == 1 and words in found[0]


def test_weights_are_a_distribution() -> None:
    np.testing.assert_allclose(weights(PLAIN).sum(-1), 1, atol=1e-12)
    assert math.isclose(float(weights(replace(PLAIN, axis=-2)).sum()), N * HEADS * LENGTH)
