"""Running statistics against torch's BatchNorm, and each cause where it is planted: in an MLP, a CNN, a shared norm."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import nn

from jax_impl import parity
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Call, Forward, Pass, Step
from jax_impl.parity.rungs.state import state as rung
from tests.unit.jax_impl.parity.causes.in_memory import UNIT, InMemory, causes, record
from torch_ref import record as torch_record

BUFFERS = ("running_mean", "running_var")
SHAPES = {"mlp": [(16, 5)], "cnn": [(4, 3, 6, 5)], "shared": [(8, 4), (8, 4)]}  # of the inputs of the norm's calls


def pair(shapes: list[tuple[int, ...]], ours: Any, *, momentum: float = 0.1, large: bool = False) -> Pair:
    """Return records after one step of training.

    Args:
        shapes: Of the inputs of the norm's calls.
        ours: Takes the buffers before and the inputs; returns those after.
        momentum: Of the reference.
        large: Whether only a sample of the inputs was stored.
    """
    random = np.random.RandomState(5)
    channels = shapes[0][1]
    norm = (nn.BatchNorm1d if len(shapes[0]) == 2 else nn.BatchNorm2d)(channels, momentum=momentum).double()
    inputs = [2 + 3 * random.randn(*shape) for shape in shapes]
    before = {"running_mean": random.randn(channels), "running_var": 1 + random.rand(channels)}
    norm.running_mean, norm.running_var = (torch.tensor(before[name]) for name in BUFFERS)
    for x in inputs:
        norm(torch.tensor(x))
    after = {name: getattr(norm, name).numpy() for name in BUFFERS}
    modules: dict[str, Any] = {"": ("Net", {}), "bn": (type(norm).__name__, {"momentum": momentum, "eps": 1e-5})}
    starts = {f"bn.{name}": array for name, array in before.items()}
    first, second = (record(side, starts, modules) for side in ("torch", "jax"))
    limit = 40 if large else None
    calls = [Call(module="bn", call=number, order=number, inputs=[first.put("forward", x, limit=limit)], outputs=[])
             for number, x in enumerate(inputs)]  # fmt: skip
    first.change(forward=Forward(train=Pass(free=calls)), trajectory=[step(first, after)])
    second.change(trajectory=[step(second, ours(before, inputs))])
    return Pair(first, second, 0.01)


def step(one: InMemory, buffers: dict[str, Any]) -> Step:
    kept = {
        f"bn.{name}": one.put("steps", array, noise=UNIT * float(np.linalg.norm(array)))
        for name, array in buffers.items()
    }
    return Step(updates={}, buffers=dict(kept), loss=1.0)


def updated(
    m: float = 0.1, *, biased: bool = False, times: int = 1, keep: tuple[str, ...] = (), square: bool = False
) -> Any:
    """Return a port's update, in the steps of `nnx.BatchNorm`."""

    def update(before: dict[str, Any], inputs: list[Any]) -> dict[str, Any]:
        mean, var = before["running_mean"], before["running_var"]
        for x in inputs * times:
            rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
            new = np.square(rows).mean(0) if square else rows.var(0, ddof=0 if biased else 1)
            mean, var = (1 - m) * mean + m * rows.mean(0), (1 - m) * var + m * new
        found = {"running_mean": mean, "running_var": var}
        return {name: before[name] if name in keep else found[name] for name in BUFFERS}

    return update


PLANTED = [
    ("momentum, inverted, 0.9 (in Flax 0.1) instead of 0.1", updated(0.9)),
    ("momentum 0.01 (in Flax 0.99) instead of 0.1", updated(0.01)),
    ("momentum 0.01 (in Flax 0.99) instead of 0.1, and the biased running variance", updated(0.01, biased=True)),
    ("the running variance is the biased one, over n instead of n - 1", updated(biased=True)),
    ("the running mean and variance are not updated", updated(keep=BUFFERS)),
    ("the running mean is not updated", updated(keep=("running_mean",))),
    ("the running variance is not updated", updated(keep=("running_var",))),
    ("the running mean is not updated, and the running variance is the biased one",
     updated(keep=("running_mean",), biased=True)),
    ("the running variance is the mean square, without the mean subtracted", updated(square=True)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize(("cause", "ours"), PLANTED, ids=[one[0] for one in PLANTED])
def test_a_planted_cause_is_the_only_one_confirmed(cause: str, ours: Any, shapes: str) -> None:
    assert [one.cause for one in causes(pair(SHAPES[shapes], ours), "state", 11, rung)] == [cause]


class Norms(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.fc1, self.fc2 = nnx.Linear(4, 5, rngs=rngs), nnx.Linear(5, 5, rngs=rngs)
        options = {"epsilon": 1e-5, "use_fast_variance": False, "rngs": rngs}
        self.slow = nnx.BatchNorm(5, momentum=0.95, **options)
        self.fast = nnx.BatchNorm(5, momentum=0.9, **options)

    def __call__(self, x: Any) -> Any:
        return self.fast(self.fc2(self.slow(self.fc1(x))))


def test_norms_of_two_momenta_are_told_one_cause(tmp_path: Path) -> None:
    """Flax's running variance is the biased one. A momentum of 0.1 is no cause where the reference's is 0.1."""
    torch.manual_seed(0)
    layers = {"fc1": nn.Linear(4, 5), "slow": nn.BatchNorm1d(5, momentum=0.05)}
    model = nn.Sequential(OrderedDict(layers | {"fc2": nn.Linear(5, 5), "fast": nn.BatchNorm1d(5)}))
    batches = [torch.randn(8, 4) for _ in range(2)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    torch_record.save(tmp_path, model=model, loss=spread, optimizer=optimizer, batches=batches, steps=2)
    verdict = parity.prove(tmp_path, model=Norms(), loss=spread, optimizer=optax.sgd(0.01))
    assert [one.cause for one in verdict.diagnosis.causes] == [
        "the running variance is the biased one, over n instead of n - 1"
    ]


def spread(model: Any, batch: Any) -> Any:
    return (model(batch) ** 3).mean()


def test_two_updates_in_a_step_are_told() -> None:
    found = causes(pair(SHAPES["cnn"], updated(times=2)), "state", 11, rung)
    assert "the running statistics are updated twice in a step" in [one.cause for one in found]


def test_a_momentum_that_nobody_uses_is_solved_for() -> None:
    found = causes(pair(SHAPES["cnn"], updated(0.23)), "state", 11, rung)
    assert [one.cause for one in found] == ["momentum 0.23 (in Flax 0.77) instead of 0.1"]


@pytest.mark.parametrize(("cause", "ours"), PLANTED[:4], ids=[one[0] for one in PLANTED[:4]])
def test_inputs_of_which_only_a_sample_was_stored_are_inferred_from_the_buffers(cause: str, ours: Any) -> None:
    found = causes(pair(SHAPES["cnn"], ours, large=True), "state", 11, rung)
    assert [one.cause for one in found] == [cause]


def test_a_mean_is_explained_where_the_variance_is_not() -> None:
    def other(before: dict[str, Any], inputs: list[Any]) -> dict[str, Any]:
        found = updated(0.9)(before, inputs)
        return found | {"running_var": 1.01 * found["running_var"]}

    found = causes(pair(SHAPES["cnn"], other), "state", 11, rung)
    assert [one.cause.partition(", by the running mean")[0] for one in found] == [PLANTED[0][0]]


def test_an_unknown_cause_gets_no_name() -> None:
    def other(before: dict[str, Any], inputs: list[Any]) -> dict[str, Any]:
        return {name: 1.3 * array for name, array in updated()(before, inputs).items()}

    assert causes(pair(SHAPES["mlp"], other), "state", 11, rung) == []


def test_a_faithful_port_has_no_cause() -> None:
    assert not rung(pair(SHAPES["cnn"], updated())).failures
