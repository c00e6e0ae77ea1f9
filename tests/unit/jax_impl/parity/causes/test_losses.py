"""Losses against torch's, and each cause where it is planted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from jax_impl.parity.causes.compute.losses import Loss, slope, value
from jax_impl.parity.causes.families.steps import loss_changes
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Call, Forward, Pass
from jax_impl.parity.rungs.gradients import loss as rung
from tests.unit.jax_impl.parity.causes.in_memory import causes, record

Of = Callable[..., Any]
RANDOM = np.random.RandomState(3)
IMAGES, TOKENS, PIXELS, NUMBERS = (5, 7), (3, 6, 11), (2, 4, 3, 5), (4, 3, 6, 6)  # shapes of outputs


def pair(shape: tuple[int, ...], batch: dict[str, Any], theirs: Of, ours: Of) -> Pair:
    """Return records of two losses of the same outputs and the same batch, in both modes."""
    first, second = (record(side, {}, {"": ("Net", {})}) for side in ("torch", "jax"))
    raw = {name: {"array": vars(first.put("batches", array))} for name, array in batch.items()}
    passes: dict[str, list[Pass]] = {"theirs": [], "ours": []}
    for seed in (0, 1):
        output = np.random.RandomState(seed).randn(*shape)
        call = Call(module="", call=0, order=0, inputs=[], outputs=[first.put("forward", output)])
        given = [torch.tensor(output), *(torch.tensor(array) for array in batch.values())]
        for side, make in (("theirs", theirs), ("ours", ours)):
            found = float(make(*given))
            passes[side].append(Pass(free=[call], loss=found, loss_noise=1e-16 * abs(found)))
    first.change(batches=[{"dict": raw}], forward=_forward(passes["theirs"]))
    second.change(forward=_forward(passes["ours"]))
    return Pair(first, second, 0.01)


def _forward(passes: list[Pass]) -> Forward:
    return Forward(train=passes[0], eval=passes[1])


def labels(shape: tuple[int, ...], classes: int, ignored: int | None = None) -> Any:
    found = RANDOM.randint(1, classes, shape)
    if ignored is not None:
        found.reshape(-1)[::4] = ignored
    return found


def smoothed(z: Any, y: Any) -> Any:
    """Smoothing of 0.1 over the wrong labels only."""
    wanted = torch.full_like(z, 0.1 / (z.shape[-1] - 1)).scatter(-1, y[..., None], 0.9)
    return -(wanted * torch.log_softmax(z, -1)).sum(-1).mean()


def by_token(z: Any, y: Any, **options: Any) -> Any:
    return ce(z.transpose(1, 2), y, **options)


Y, TEXT, PADDED, PADDED0 = labels((5,), 7), labels((3, 6), 11), labels((3, 6), 11, -100), labels((3, 6), 11, 0)
MAP, WANTED = labels((2, 3, 5), 4), np.random.RandomState(4).rand(*NUMBERS)
ce, mse = functional.cross_entropy, functional.mse_loss


def summed(z: Any, y: Any) -> Any:
    return ce(z, y, reduction="sum")


def smooth(z: Any, y: Any) -> Any:
    return ce(z, y, label_smoothing=0.1)


def next_token(z: Any, y: Any) -> Any:
    return by_token(z[:, :-1], y[:, 1:])


def without_zero(z: Any, y: Any) -> Any:
    return by_token(z, y, ignore_index=0)


def first_column(z: Any, y: Any) -> Any:
    return mse(z[:, 0], y)


PLANTED: list[tuple[str, Any, Any, Of, Of]] = [
    ("the sum instead of the mean", IMAGES, {"y": Y}, ce, summed),
    ("the sum instead of the mean", PIXELS, {"y": MAP}, ce, summed),
    ("the mean instead of the sum", IMAGES, {"y": Y}, summed, ce),
    ("the sum over the 6 elements of each", TOKENS, {"y": TEXT}, by_token, lambda z, y: by_token(z, y) * 6),
    ("the sum over the batch", TOKENS, {"y": TEXT}, by_token, lambda z, y: by_token(z, y) * 3),
    ("label smoothing: none instead of 0.1", IMAGES, {"y": Y},
     smooth, ce),
    ("label smoothing: 0.2 instead of none", TOKENS, {"y": TEXT}, by_token,
     lambda z, y: by_token(z, y, label_smoothing=0.2)),
    ("label smoothing is spread over the wrong", IMAGES, {"y": Y}, smooth, smoothed),
    ("labels -100 count as zero in the mean", TOKENS, {"y": PADDED}, by_token,
     lambda z, y: by_token(z, y, reduction="sum") / y.numel()),
    ("labels -100 are taken for class 0", TOKENS, {"y": PADDED}, by_token, lambda z, y: by_token(z, y.clamp(min=0))),
    ("labels 0 are not ignored", TOKENS, {"y": PADDED0}, without_zero, by_token),
    ("labels 0 are ignored", TOKENS, {"y": PADDED0}, by_token, without_zero),
    ("the mean of each row's mean", TOKENS, {"y": PADDED}, by_token,
     lambda z, y: sum(ce(a, b) for a, b in zip(z, y, strict=True)) / 3),
    ("labels are not shifted", TOKENS, {"y": TEXT}, next_token, by_token),
    ("labels are shifted one to the left", TOKENS, {"y": TEXT}, by_token, next_token),
    ("the target is batch['x'] instead of", TOKENS, {"x": labels((3, 6), 11), "y": TEXT},
     lambda z, x, y: by_token(z, y), lambda z, x, y: by_token(z, x)),
    ("the softmax is taken twice", IMAGES, {"y": Y}, ce, lambda z, y: ce(torch.softmax(z, -1), y)),
    ("logits are taken for the logarithms", PIXELS, {"y": MAP}, ce, functional.nll_loss),
    ("1e-08 is added to the probabilities", IMAGES, {"y": Y}, functional.cross_entropy,
     lambda z, y: functional.nll_loss(torch.log(torch.softmax(z, -1) + 1e-8), y)),
    ("the absolute error instead of the squared", NUMBERS, {"y": WANTED}, mse, functional.l1_loss),
    ("half the squared error", NUMBERS, {"y": WANTED}, mse, lambda z, y: mse(z, y) / 2),
    ("Huber's loss instead of the absolute", IMAGES, {"y": RANDOM.rand(*IMAGES)}, functional.l1_loss,
     functional.smooth_l1_loss),
    ("the sum over the 108 elements of each", NUMBERS, {"y": WANTED}, mse, lambda z, y: mse(z, y) * 108),
    ("the target's numbers are read as channels last", NUMBERS, {"y": WANTED}, mse,
     lambda z, y: mse(z.permute(0, 2, 3, 1), y.reshape(4, 6, 6, 3))),
    ("height and width of the target exchanged", NUMBERS, {"y": WANTED}, mse,
     lambda z, y: mse(z, y.swapaxes(2, 3))),
    ("output (n, 1) and target (n,) are broadcast", (8, 1), {"y": RANDOM.rand(8)},
     first_column, lambda z, y: mse(z.expand(8, 8), y.expand(8, 8))),
    ("the binary cross entropy of logits instead of the squared", (8, 1), {"y": RANDOM.rand(8)},
     first_column, lambda z, y: functional.binary_cross_entropy_with_logits(z[:, 0], y)),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "shape", "batch", "theirs", "ours"), PLANTED, ids=[one[0] for one in PLANTED])
def test_a_planted_cause_is_the_only_one_confirmed(cause: str, shape: Any, batch: Any, theirs: Of, ours: Of) -> None:
    found = causes(pair(shape, batch, theirs, ours), "loss", 8, rung)
    assert [one.cause[: len(cause)] for one in found] == [cause]


@pytest.mark.parametrize(
    ("shape", "batch", "theirs", "ours"),
    [
        (IMAGES, {"y": Y}, ce, lambda z, y: 1.37 * ce(z, y)),
        (IMAGES, {"y": Y}, functional.multi_margin_loss, ce),  # the reference's own is not known
        (NUMBERS, {"y": WANTED}, mse, lambda z, y: mse(z, y) + 0.01),
    ],
)
def test_an_unknown_cause_gets_no_name(shape: Any, batch: Any, theirs: Of, ours: Of) -> None:
    assert causes(pair(shape, batch, theirs, ours), "loss", 8, rung) == []


def test_a_sum_is_found_where_the_loss_itself_is_not_known() -> None:
    def margins(z: Any, y: Any) -> Any:
        return functional.multi_margin_loss(z, y, reduction="sum")

    found = causes(pair(IMAGES, {"y": Y}, functional.multi_margin_loss, margins), "loss", 8, rung)
    assert [one.cause for one in found] == ["the sum over the batch (5) instead of the mean"]


@pytest.mark.parametrize(("times", "told"), [(2, "2"), (-1, "-1"), (1 / 3, "1/3"), (0.7, "7/10"), (1e4, "10000")])
def test_a_factor_is_told_if_nothing_explains_it(times: float, told: str) -> None:
    def energies(z: Any, y: Any) -> Any:
        return torch.log(torch.cosh(2 * (z - y) + z**3)).mean()

    for shape in (IMAGES, NUMBERS):
        other = pair(shape, {"y": RANDOM.randn(*shape)}, energies, lambda z, y: times * energies(z, y))
        assert [one.cause for one in causes(other, "loss", 8, rung)] == [f"the loss is multiplied by {told}"]
    half = pair(IMAGES, {"y": RANDOM.randn(*IMAGES)}, functional.mse_loss, lambda z, y: functional.mse_loss(z, y) / 2)
    assert [one.cause for one in causes(half, "loss", 8, rung)] == [
        "half the squared error (optax.l2_loss) instead of the squared error"
    ]


def test_a_mean_is_found_where_a_loss_of_images_is_not_known() -> None:
    def energies(z: Any, y: Any) -> Any:
        return torch.log(torch.cosh(2 * (z - y) + z**3)).sum()

    def averaged(z: Any, y: Any) -> Any:
        return energies(z, y) / y.numel()

    for theirs, ours, cause in (
        (energies, averaged, "the mean over all elements (432) instead of the sum"),
        (averaged, energies, "the sum over all elements (432) instead of the mean"),
        (energies, lambda z, y: energies(z, y) / 4, "the mean over the batch (4) instead of the sum"),
    ):
        found = causes(pair(NUMBERS, {"y": WANTED}, theirs, ours), "loss", 8, rung)
        assert [one.cause for one in found] == [cause]


def test_a_mean_is_found_where_a_loss_of_classes_is_not_known() -> None:
    def margins(z: Any, y: Any) -> Any:
        return functional.multi_margin_loss(z, y, reduction="sum")

    found = causes(pair(IMAGES, {"y": Y}, margins, functional.multi_margin_loss), "loss", 8, rung)
    assert [one.cause for one in found] == ["the mean over the batch (5) instead of the sum"]


def test_a_cause_must_hold_in_both_modes() -> None:
    records = pair(IMAGES, {"y": Y}, ce, summed)
    evaluation = records.theirs.content.forward.eval
    train = records.ours.content.forward.train
    records.ours.change(forward=Forward(train=train, eval=evaluation))  # type: ignore[attr-defined]
    assert causes(records, "loss", 8, rung) == []


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ({"label_smoothing": 0.2}, Loss(kind="cross entropy", smoothing=0.2)),
        ({"ignore_index": 1, "reduction": "sum"}, Loss(kind="cross entropy", ignored=1, summed=(0,))),
        ({"ignore_index": 2}, Loss(kind="cross entropy", ignored=2)),
    ],
)
def test_cross_entropy_and_its_gradient_are_torchs(options: Any, loss: Loss) -> None:
    z, y = RANDOM.randn(6, 4), RANDOM.randint(0, 4, 6)
    logits = torch.tensor(z, requires_grad=True)
    expected = functional.cross_entropy(logits, torch.tensor(y), **options)
    expected.backward()
    assert value(loss, z, y) == pytest.approx(expected.item(), abs=1e-12)
    assert logits.grad is not None
    np.testing.assert_allclose(slope(loss, z, y), logits.grad, rtol=0, atol=1e-12)


def test_an_axis_of_length_1_is_not_added_up() -> None:
    """As that of a mask's only channel: a mean over it is a sum."""
    shape = (4, 1, 3, 5)
    assert loss_changes.sums(shape) == [(), (0,), (2,), (3,), (0, 2), (0, 3), (2, 3), (0, 2, 3)]
    assert loss_changes.reduction((2, 3), shape) == "sum over the 15 elements of each example (mean over the others)"
    assert loss_changes.reduction((0, 2, 3), shape) == "sum"
    assert loss_changes.reduction((), shape) == "mean"
