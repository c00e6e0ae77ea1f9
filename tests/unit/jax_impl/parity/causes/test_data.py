"""Causes of data that differ, planted into batches of images, tables and token sequences."""

from typing import Any

import numpy as np
import pytest

from jax_impl.parity.rungs.data import data
from tests.unit.jax_impl.parity.causes.memory import diagnosed, pair_of

RANDOM = np.random.default_rng(0)
IMAGENET = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1), np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)
Batches = list[Any]


def images(*shape: int, count: int = 3) -> list[np.ndarray]:
    return [RANDOM.random(shape).astype(np.float32) for _ in range(count)]


def causes(theirs: Batches, ours: Batches) -> list[str]:
    return [one.cause for one in diagnosed(pair_of(batches=(theirs, ours)), data).causes]


GREY, COLOUR, TABLE = images(8, 1, 6, 6), images(6, 3, 6, 6), images(20, 7)
PIXELS = [np.round(one * 255).astype(np.float32) / 255 for one in COLOUR]
MNIST = [(one - np.float32(0.1307)) / np.float32(0.3081) for one in GREY]
NORMED = [((one - IMAGENET[0]) / IMAGENET[1]).astype(np.float32) for one in COLOUR]
HALF = [2 * one - 1 for one in COLOUR]
CLASSES = [RANDOM.integers(0, 4, 12) for _ in range(3)]
TOKENS = [RANDOM.integers(0, 50, (5, 9)) for _ in range(3)]
EYE = [np.eye(4, dtype=np.float32)[one] for one in CLASSES]


@pytest.mark.parametrize(
    ("theirs", "change", "cause"),
    [
        (GREY, lambda x: x * 255, "255 times the reference's numbers"),
        (TABLE, lambda x: x / 255, "1/255 times the reference's numbers"),
        (TABLE, lambda x: x * 0.37, "0.37 times the reference's numbers"),
        (COLOUR, lambda x: x / 255, "1/255 times the reference's numbers"),
        (MNIST, lambda x: x * 0.3081 + 0.1307, "not normalised by the mean and std of MNIST"),
        (MNIST, lambda x: 255 * (x * 0.3081 + 0.1307),
         "from 0 to 255 and not normalised by the mean and std of MNIST"),
        (MNIST, lambda x: (x - 0.1307) / 0.3081,
         "normalised by the mean and std of MNIST once more than the reference"),
        (MNIST, lambda x: x + 0.1307 / 0.3081,
         "normalised by the mean and std of MNIST without subtracting the mean"),
        (NORMED, lambda x: x * IMAGENET[1] + IMAGENET[0], "not normalised by the mean and std of ImageNet"),
        (NORMED, lambda x: (x - IMAGENET[0]) / IMAGENET[1],
         "normalised by the mean and std of ImageNet once more than the reference"),
        (NORMED, lambda x: (x * IMAGENET[1] + IMAGENET[0] - 0.5) / 0.5,
         "another normalisation by channel: 0.458·x-0.03"),
        (HALF, lambda x: (x + 1) / 2, "not normalised by mean 0.5 and std 0.5"),
        (TABLE, lambda x: 3 * x - 1, "3 times the reference's numbers plus -1: another normalisation"),
        (GREY, lambda x: (x - x.mean()) / x.std(), "each batch normalised by its own mean and std"),
        (COLOUR, lambda x: (x - x.mean((1, 2, 3), keepdims=True)) / x.std((1, 2, 3), keepdims=True),
         "each sample normalised by its own mean and std"),
        (COLOUR, lambda x: x[:, ::-1], "channels in the order BGR instead of RGB"),
        (NORMED, lambda x: x[:, ::-1].transpose(0, 2, 3, 1), "channels in the order BGR instead of RGB"),
        (GREY, lambda x: x.transpose(0, 1, 3, 2), "height and width exchanged"),
        (COLOUR, lambda x: x[..., ::-1], "mirrored"),
        (COLOUR, lambda x: x[:, :, ::-1], "upside down"),
        (COLOUR, lambda x: x.transpose(0, 3, 2, 1), "height and width exchanged"),
        (COLOUR, lambda x: x.transpose(0, 2, 1, 3), "axes in the order (0, 2, 1, 3)"),
        (GREY, lambda x: x.reshape(8, 36), "shape (8, 36) instead of (8, 1, 6, 6), the numbers agree"),
        (COLOUR, lambda x: x.reshape(6, 108), "shape (6, 108) instead of (6, 3, 6, 6), the numbers agree"),
        (TABLE, lambda x: x.astype(np.float16), "rounded to float16"),
        (COLOUR, lambda x: np.round(x * 255) / 255, "rounded to multiples of 1/255"),
        (COLOUR, lambda x: np.floor(x * 255) / 255, "rounded down to multiples of 1/255"),
        (GREY, lambda x: x[::-1], "the samples of each batch in reverse order"),
        (TABLE, lambda x: x[np.argsort(x[:, 0])], "the same samples in another order in each batch"),
        (CLASSES, lambda x: x + 1, "every number 1 more"),
        (TOKENS, lambda x: x - 1, "every number 1 less"),
        (CLASSES, lambda x: np.array([2, 0, 3, 1])[x], "classes numbered in another order: 0 → 2, 1 → 0, 2 → 3, 3 → 1"),
        (CLASSES, lambda x: np.eye(4)[x], "one-hot vectors instead of indices"),
        (TOKENS, lambda x: np.eye(50)[x], "one-hot vectors instead of indices"),
        (EYE, lambda x: x.argmax(-1), "indices instead of one-hot vectors"),
        (TOKENS, lambda x: np.concatenate([x[:, 1:], x[:, :1]], axis=1), "sequences one position later"),
        (TOKENS, lambda x: np.concatenate([x[:, :1], x[:, :-1]], axis=1), "sequences one position earlier"),
    ],
)  # fmt: skip
def test_what_was_done_to_the_data_is_named(theirs: list[np.ndarray], change: Any, cause: str) -> None:
    ours = [np.ascontiguousarray(change(one)) for one in theirs]
    ours = [one.astype(np.float32) if one.dtype.kind == "f" else one for one in ours]
    found = causes(theirs, ours)
    assert len(found) == 1, found
    assert found[0].startswith(cause)
    labelled = [(one, np.arange(len(one))) for one in theirs], [(one, np.arange(len(one))) for one in ours]
    found = causes(*labelled)
    assert len(found) == 1, found
    assert "[0] of the batch" in found[0]


def test_the_order_of_the_samples_is_named() -> None:
    x, y = images(5, 4, count=4), [RANDOM.integers(0, 9, 5) for _ in range(4)]
    theirs = list(zip(x, y, strict=True))
    order = RANDOM.permutation(20)
    mixed = [tuple(np.split(np.concatenate(side)[order], 4)[i] for side in (x, y)) for i in range(4)]
    (found,) = causes(theirs, mixed)
    assert found.startswith(f"the same samples in another order across the batches: {order[0]}, {order[1]}")
    assert causes(theirs, [theirs[i] for i in (1, 0, 3, 2)]) == [
        "the batches in the order 2, 1, 4, 3 instead of 1, 2, 3 …"
    ]
    (found,) = causes(theirs, [(x[i], y[i][::-1]) for i in range(4)])
    assert found == "[1] of the batch alone: the samples of each batch in reverse order"
    assert causes(theirs, [(a[::-1], b[::-1]) for a, b in theirs]) == ["the samples of each batch in reverse order"]


def test_the_same_order_in_every_epoch_is_named() -> None:
    rows = images(8, 3, count=1)[0]
    epochs = [np.split(rows[RANDOM.permutation(8)], 2) for _ in range(3)]
    theirs = [batch for epoch in epochs for batch in epoch]
    found = causes(theirs, [*epochs[0], *epochs[0], *epochs[0]])
    assert found == ["the same order of samples in every epoch instead of a new one"]
    assert causes(theirs, theirs) == []


@pytest.mark.parametrize("sizes", [(8, 8, 3), (5, 5, 5, 1)])
def test_a_dropped_last_batch_is_named(sizes: tuple[int, ...]) -> None:
    theirs = [RANDOM.random((size, 4)).astype(np.float32) for size in sizes]
    assert causes(theirs, theirs[:-1]) == [f"the last batch is dropped, of {sizes[-1]} instead of {sizes[0]} samples"]
    whole = [RANDOM.random((8, 4)).astype(np.float32) for _ in sizes]
    assert causes(whole, whole[:-1]) == []


def test_another_batch_size_is_named() -> None:
    rows = images(24, 4, count=1)[0]
    assert causes(np.split(rows, 3), np.split(rows, 6)[:3]) == ["batches of 4 samples instead of 8"]
    assert causes(np.split(rows, 6)[:3], np.split(rows, 3)) == ["batches of 8 samples instead of 4"]


def test_other_numbers_have_no_cause() -> None:
    for theirs in (GREY, COLOUR, TABLE, CLASSES, TOKENS, EYE):
        noise = [one + RANDOM.standard_normal(one.shape) for one in theirs]
        assert causes(theirs, noise) == []
        assert causes(theirs, [RANDOM.permutation(one.reshape(-1)).reshape(one.shape)[:, None] for one in theirs]) == []
        one_only = [theirs[0] * 255, *theirs[1:]]
        assert causes(theirs, one_only) == []
        assert causes(theirs, [np.full(one.shape, np.nan) for one in theirs]) == []
        assert causes(theirs, []) == []
    zeros = [np.zeros((4, 3), np.float32)] * 2
    assert causes(zeros, [one + 1 for one in zeros]) == []
    empty = [np.zeros((0, 3), np.float32)]
    assert causes(empty, [np.zeros((0, 2), np.float32)]) == []
    assert causes([np.full((), 1.5) for _ in range(2)], [np.ones(()) for _ in range(2)]) == []
