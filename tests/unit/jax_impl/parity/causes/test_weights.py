"""Causes of loaded weights, planted into leaves of several shapes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from jax_impl.parity.causes.compute.conversions import (
    bfloat16,
    blocks_order,
    entries_order,
    factors_order,
    layouts,
    rounded_to,
)
from jax_impl.parity.records import content as c
from jax_impl.parity.rungs.weights import weights
from tests.unit.jax_impl.parity.causes.memory import diagnosed, pair_of

RANDOM = np.random.default_rng(0)
LSTM = {"lstm": ("LSTM", {"hidden_size": 4, "input_size": 6})}
GRU = {"rnn": ("GRU", {"hidden_size": 5})}
ATTENTION = {"attn": ("MultiheadAttention", {"embed_dim": 8, "num_heads": 2, "head_dim": 4})}


def array(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def causes(name: str, theirs: np.ndarray, ours: np.ndarray, **more: Any) -> list[str]:
    found = diagnosed(pair_of({name: theirs}, {name: np.ascontiguousarray(ours)}, **more), weights)
    return [one.cause for one in found.causes]


def blocks(x: np.ndarray, *order: int) -> np.ndarray:
    parts = np.split(x, len(order))
    return np.concatenate([parts[number] for number in order])


W8, W12, K4, K6, T5 = array(8, 8), array(12, 12), array(6, 6, 3, 3), array(4, 5, 3, 3), array(3, 3, 2, 4, 5)
QKV, FUSED, GATES, GATES3 = array(24, 8), array(36, 12), array(16, 6), array(15, 5)


@pytest.mark.parametrize(
    ("theirs", "ours", "cause"),
    [
        (W8, W8.T, "transposed"),
        (W12, W12.T, "transposed"),
        (K4, K4.transpose(1, 0, 2, 3), "inputs and outputs (axes 0 and 1) exchanged"),
        (T5, T5.transpose(1, 0, 2, 3, 4), "inputs and outputs (axes 0 and 1) exchanged"),
        (K4, K4.transpose(0, 1, 3, 2), "height and width of the kernel exchanged"),
        (K6, K6.transpose(0, 1, 3, 2), "height and width of the kernel exchanged"),
        (K6, K6[:, :, ::-1, ::-1], "kernel flipped along its spatial axes"),
        (T5, T5[:, :, ::-1, ::-1, ::-1], "kernel flipped along its spatial axes"),
        (K4, K4.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1],
         "inputs and outputs (axes 0 and 1) exchanged, and kernel flipped along its spatial axes"),
        (GATES, GATES.reshape(6, 16).T, "reshaped to the layout of axes (1, 0) instead of transposed"),
        (K6, K6.reshape(3, 3, 5, 4).transpose(3, 2, 0, 1),
         "reshaped to the layout of axes (2, 3, 1, 0) instead of transposed"),
        (W8, np.float32(2**0.5) * W8, "scaled by 1.4142 (sqrt(2))"),
        (GATES, GATES / np.float32(6**0.5), "scaled by 0.40825 (1/sqrt(fan_in))"),
        (K6, np.float32(0.37) * K6, "scaled by 0.37"),
        (W8, -W8, "its sign is reversed"),
        (GATES, GATES + 1, "one more instead of the number itself"),
        (W8, W8.astype(np.float16).astype(np.float32), "rounded to float16"),
        (K6, torch.from_numpy(K6).bfloat16().float().numpy(), "rounded to bfloat16"),
        (W8, np.zeros((8, 8), np.float32), "all 0 instead of the reference's numbers"),
        (np.ones(6, np.float32), np.zeros(6, np.float32), "all 0 instead of all 1"),
        (W8, W8[RANDOM.permutation(8)], "rows in another order"),
        (FUSED, FUSED.reshape(3, 4, 3, 12).swapaxes(0, 1).reshape(36, 12),
         "rows in the order of an array (4, 3, 3)"),
        (W8, W8.reshape(2, 4, 8).swapaxes(0, 1).reshape(8, 8),
         "rows in the order of an array (4, 2) instead of (2, 4)"),
    ],
)  # fmt: skip
def test_what_was_done_to_a_leaf_is_named(theirs: np.ndarray, ours: np.ndarray, cause: str) -> None:
    found = causes("layer.weight", theirs, ours)
    assert len(found) == 1, found
    assert found[0].startswith(cause)


@pytest.mark.parametrize(
    ("name", "theirs", "ours", "modules", "cause"),
    [
        ("lstm.weight_ih_l0", GATES, blocks(GATES, 0, 2, 1, 3), LSTM,
         "gates in the order i, g, f, o instead of i, f, g, o"),
        ("lstm.bias_ih_l0", GATES[:, 0], blocks(GATES[:, 0], 2, 3, 0, 1), LSTM,
         "gates in the order g, o, i, f instead of"),
        ("rnn.weight_hh_l0", GATES3, blocks(GATES3, 1, 0, 2), GRU, "gates in the order z, r, n instead of r, z, n"),
        ("attn.in_proj_weight", QKV, blocks(QKV, 1, 0, 2), ATTENTION, "blocks in the order k, q, v instead of q, k, v"),
        ("attn.in_proj_weight", QKV, np.concatenate([one.T for one in np.split(QKV, 3)]), ATTENTION,
         "q, k and v, each: transposed"),
        ("attn.in_proj_weight", QKV, np.concatenate([QKV[:16], QKV[16:].T]), ATTENTION, "v: transposed"),
        ("attn.in_proj_weight", QKV, np.concatenate([QKV[:8] / 2, QKV[8:]]), ATTENTION,
         "q: scaled by 0.5 (1/2, or sqrt(2/fan_in), or sqrt(2/embed_dim), or 1/num_heads, or 1/sqrt(head_dim))"),
        ("lstm.bias_ih_l0", GATES[:, 0], np.concatenate([GATES[:4, 0], GATES[4:8, 0] + 1, GATES[8:, 0]]), LSTM,
         "f: one more instead of the number itself"),
        ("lstm.bias_ih_l0", GATES[:, 0], np.concatenate([GATES[:4, 0], np.ones(4, np.float32), GATES[8:, 0]]), LSTM,
         "f: all 1 instead of the reference's numbers"),
    ],
)  # fmt: skip
def test_blocks_of_packed_leaves_are_named(
    name: str, theirs: np.ndarray, ours: np.ndarray, modules: Any, cause: str
) -> None:
    found = causes(name, theirs, ours, modules=modules)
    assert len(found) == 1, found
    assert found[0].startswith(cause)


@pytest.mark.parametrize("image", [(2, 3, 4), (5, 2, 2)])
@pytest.mark.parametrize("last", [True, False])
def test_flattened_images_are_known_from_the_forward_pass(image: tuple[int, int, int], last: bool) -> None:
    width = int(np.prod(image))
    weight = array(5, width)
    order = np.arange(width).reshape(image).transpose(1, 2, 0).reshape(-1)
    ours = weight[:, order] if last else weight[:, np.argsort(order)]

    def reference(shape: tuple[int, ...]) -> c.Reference:
        return c.Reference(
            file="forward", key="", shape=[7, *shape], dtype="float32", norm=1.0, largest=1.0, sampled=True
        )

    calls = [
        c.Call(module="conv", call=0, order=1, inputs=[], outputs=[reference(image)]),
        c.Call(module="fc", call=0, order=2, inputs=[reference((width,))], outputs=[reference((5,))]),
    ]
    found = causes("fc.weight", weight, ours, calls=calls)
    assert len(found) == 1
    layouts = image, (*image[1:], image[0])
    mine, expected = reversed(layouts) if last else layouts
    assert found[0] == (
        f"columns in the order of an image {mine} instead of {expected}, as {'NHWC' if last else 'NCHW'} flattens"
    )


def test_exchanged_leaves_are_named_once() -> None:
    leaves = {"a.weight": W8, "b.weight": array(8, 8), "c.weight": array(8, 8)}
    found = diagnosed(pair_of(leaves, leaves | {"a.weight": leaves["b.weight"], "b.weight": W8}), weights).causes
    assert [(one.cause, one.place) for one in found] == [
        ("a.weight and b.weight are exchanged", ("a.weight", "b.weight"))
    ]
    found = diagnosed(pair_of(leaves, leaves | {"c.weight": W8}), weights).causes
    assert [one.cause for one in found] == ["holds the numbers of a.weight"]


@pytest.mark.parametrize("size", [8, 12])
def test_one_of_two_biases_is_left_out(size: int) -> None:
    a, b = array(size), array(size)
    name = "lstm.bias_ih_l0 + lstm.bias_hh_l0"
    leaves = {"lstm.bias_ih_l0": a, "lstm.bias_hh_l0": b}
    for ours, cause in ((b, "lstm.bias_ih_l0 is left out of the sum"), (a + b + b, "lstm.bias_hh_l0 is added twice")):
        found = diagnosed(pair_of(leaves, {name: ours}, modules=LSTM, sums=[name]), weights).causes
        assert [one.cause for one in found] == [cause]
    assert not diagnosed(pair_of(leaves, {name: a + b}, modules=LSTM, sums=[name]), weights).causes


def test_a_variance_is_no_standard_deviation() -> None:
    variance = np.abs(array(9)) + np.float32(0.1)
    assert causes("bn.running_var", variance, np.sqrt(variance)) == ["its square root instead of the number itself"]
    assert causes("bn.running_var", variance, 1 / variance) == ["its reciprocal instead of the number itself"]


@pytest.mark.parametrize(("leaf", "theirs"), [("fc.weight", W8), ("body.conv.weight", K4)])
def test_the_ports_own_fresh_weights_are_recognised(leaf: str, theirs: np.ndarray) -> None:
    rows = array(3, theirs.size)
    drawn = {leaf: rows}
    found = causes(leaf, theirs, rows[1].reshape(theirs.shape), drawn=(drawn, drawn))
    assert found == ["not loaded: it holds what the port draws with seed 1"]


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x + RANDOM.standard_normal(x.shape).astype(np.float32),
        lambda x: RANDOM.standard_normal(x.shape).astype(np.float32),
        lambda x: np.where(np.arange(x.size).reshape(x.shape) == 3, 5, x),
        lambda x: x * np.float32(1 + 1e-6),
        lambda x: np.full_like(x, np.nan),
        lambda x: np.where(np.arange(x.size).reshape(x.shape) == 3, np.inf, x),
    ],
)
def test_other_numbers_have_no_cause(change: Callable[[np.ndarray], np.ndarray]) -> None:
    for theirs in (W8, K6, T5, QKV, array(7), array(1)):
        assert causes("layer.weight", theirs, change(theirs).astype(np.float32)) == []


def test_nothing_is_told_of_leaves_that_hold_too_little() -> None:
    ones, empty = np.ones((4, 4), np.float32), np.zeros((0, 3), np.float32)
    assert causes("layer.weight", ones, ones) == causes("layer.weight", empty, empty) == []
    assert causes("layer.weight", np.array([1], np.float32), np.array([2], np.float32)) == []
    assert causes("layer.weight", np.array([1, 1], np.float32), np.array([2, 2], np.float32)) == [
        "all 2 instead of all 1"
    ]
    assert causes("layer.weight", np.array([[1, 2], [2, 1]], np.float32), np.array([[2, 1], [1, 2]], np.float32)) == []


def test_bfloat16_is_rounded_as_torch_does() -> None:
    x = np.concatenate([array(4000).astype(np.float64), [0.0, np.inf, -np.inf, 1 + 2**-8, 1 + 3 * 2**-8, 1e-40]])
    expected = torch.from_numpy(x).float().bfloat16().double().numpy()
    np.testing.assert_array_equal(bfloat16(x, cut=False), expected)
    np.testing.assert_array_equal(rounded_to("float16", x), torch.from_numpy(x).half().double().numpy())


def test_orders_are_found() -> None:
    x = array(12, 3).astype(np.float64)
    order = np.array([8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7])
    np.testing.assert_array_equal(entries_order(x, x[order], 0), order)
    assert entries_order(x, x + 1, 0) is None
    np.testing.assert_array_equal(blocks_order(order), [2, 0, 1])
    assert factors_order(np.arange(24).reshape(2, 3, 4).transpose(2, 1, 0).reshape(-1)) == ((2, 3, 4), (2, 1, 0))
    assert factors_order(RANDOM.permutation(24)) is None


def test_every_layout_keeps_the_numbers() -> None:
    for shape in ((4,), (3, 3), (2, 3), (2, 2, 3, 3), (2, 2, 2, 2, 2)):
        x = RANDOM.standard_normal(shape)
        for change in layouts(shape):
            changed = change.apply(x)
            assert changed.shape == shape
            np.testing.assert_array_equal(np.sort(changed, axis=None), np.sort(x, axis=None))
