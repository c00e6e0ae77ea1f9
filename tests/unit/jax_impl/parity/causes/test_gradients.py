"""Gradients of a small language model and of an MLP, by torch, with each cause planted on the port's side."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from jax_impl.parity.causes.cases import WholeCase
from jax_impl.parity.causes.diagnosing import explain
from jax_impl.parity.causes.families.registry import FAMILIES
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Call, Forward, Pass
from jax_impl.parity.rungs.gradients import gradients as rung
from tests.unit.jax_impl.parity.causes.in_memory import UNIT, causes, record

Edit = Callable[["Net"], object]


class Net(nn.Module):
    """An embedding, two linear layers, and a head, which may be the embedding. The factors are those of gradients.

    There may be an embedding of positions, too.
    """

    def __init__(self, *, tied: bool, padding: int | None, positions: bool) -> None:
        super().__init__()
        self.wte = nn.Embedding(9, 6, padding_idx=padding)
        self.fc1, self.fc2, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 9, bias=False)
        if tied:
            self.head.weight = self.wte.weight
        self.wpe = nn.Embedding(5, 6) if positions else None
        self.factors = {"wte": 1.0, "fc1": 1.0, "fc2": 1.0, "head weight": 1.0, "all": 1.0}
        self.hidden: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        places = 0 if self.wpe is None else self.wpe(torch.arange(5))
        x = scaled(self.wte(x), self.factors["wte"]) + places
        x = x + scaled(torch.tanh(self.fc1(x)), self.factors["fc1"])
        x = scaled(torch.tanh(self.fc2(x)), self.factors["fc2"])
        self.hidden = [x, functional.linear(x, scaled(self.head.weight, self.factors["head weight"]))]
        return scaled(self.hidden[1], self.factors["all"])


def scaled(x: Tensor, factor: float) -> Tensor:
    """Return x, whose gradient is multiplied by a factor."""
    return factor * x + ((1 - factor) * x).detach()


X, Y = (torch.tensor(np.random.RandomState(seed).randint(0, 7, (3, 5))) for seed in (0, 1))


def pair(
    edit: Edit, *, tied: bool = False, padding: int | None = None, positions: bool = False, shift: bool = False
) -> Pair:
    """Return records of the gradients of two networks with the same weights."""
    torch.manual_seed(0)
    net = Net(tied=tied, padding=padding, positions=positions).double()
    weights = {name: one.detach().numpy().copy() for name, one in net.named_parameters()}
    settings: dict[str, Any] = {"": ("Net", {}), "wte": ("Embedding", {"padding_idx": padding}),
                                "fc1": ("Linear", {}), "fc2": ("Linear", {}), "head": ("Linear", {})}  # fmt: skip
    if positions:
        settings["wpe"] = ("Embedding", {})
    first, second = (record(side, weights, settings) for side in ("torch", "jax"))
    if tied:
        twin = replace(first.content.leaves[0], name="head.weight", module="head", tied="wte.weight")
        first.change(leaves=[*first.content.leaves, twin])
    found = []
    for change in (lambda _: None, edit):
        net.zero_grad()
        change(net)
        output = net(X)
        logits, labels = (output[:, :-1], Y[:, 1:]) if shift else (output, Y)
        loss = functional.cross_entropy(logits.reshape(-1, 9), labels.reshape(-1))
        loss.backward()
        found.append({name: one.grad.numpy().copy() for name, one in net.named_parameters() if one.grad is not None})
    x, z = (one.detach().numpy() for one in net.hidden)
    order = ["wte", "fc1", "fc2", "head"]
    inputs, outputs = [first.put("forward", x)], [first.put("forward", z)]
    calls = [Call(module=path, call=0, order=number + 1, inputs=list(inputs), outputs=list(outputs))
             for number, path in enumerate(order)]  # fmt: skip
    root = Call(module="", call=0, order=0, inputs=[], outputs=list(outputs))
    passes = Pass(free=[*calls, root], loss=loss.item(), loss_noise=1e-15)
    batch = {"tuple": [{"array": vars(first.put("batches", one.numpy()))} for one in (X, Y)]}
    noise = {name: 20 * UNIT * float(np.linalg.norm(array)) for name, array in found[0].items()}
    first.change(forward=Forward(train=passes, eval=passes), batches=[batch], gradients={
        name: first.put("steps", array, noise=noise[name]) for name, array in found[0].items()})  # fmt: skip
    second.change(forward=Forward(train=Pass(free=[], loss=loss.item())), gradients={
        name: second.put("steps", array) for name, array in found[1].items()})  # fmt: skip
    return Pair(first, second, 0.01)


def factor(**factors: float) -> Edit:
    return lambda net: net.factors.update({name.replace("_", " "): value for name, value in factors.items()})


def padding_learns(net: Net) -> None:
    net.wte.padding_idx = None


def still(net: Net) -> None:
    net.wte.padding_idx = 2


def freeze(net: Net) -> None:
    """Let fc1 compute as it does, without gradients of its parameters."""
    weight, bias = net.fc1.weight, net.fc1.bias

    def call(x: Tensor) -> Tensor:
        return functional.linear(x, weight.detach(), bias.detach()) + 0 * (weight.sum() + bias.sum())

    net.fc1.forward = call  # type: ignore[method-assign]


PLANTED: list[tuple[str, Edit, dict[str, Any]]] = [
    ("all gradients have the other sign", factor(all=-1.0), {}),
    ("all gradients are 0.25 × the reference's", factor(all=0.25), {}),
    ("all gradients are 3 × the reference's", factor(all=3.0), {"tied": True}),
    ("no gradient reaches the parameters", factor(all=0.0), {}),
    ("the gradient is stopped behind fc2, for it and all modules before it", factor(fc2=0.0), {}),
    ("the gradient is stopped behind wte", factor(wte=0.0), {}),
    ("the gradient is reversed behind fc2", factor(fc2=-1.0), {}),
    ("the gradient is stopped in fc1", freeze, {}),
    ("the gradient of the tied weight wte.weight misses its use in head", factor(head_weight=0.0), {"tied": True}),
    ("the gradient of the tied weight wte.weight misses its use in head", factor(head_weight=0.0),
     {"tied": True, "shift": True}),
    ("the gradient of the tied weight wte.weight misses its use in wte", factor(wte=0.0), {"tied": True}),
    ("row 0 of wte.weight, the padding, gets a gradient", padding_learns, {"padding": 0}),
    ("row 3 of wte.weight, the padding, gets a gradient", padding_learns, {"padding": 3}),
    ("row 2 of wte.weight gets no gradient", still, {}),
    ("row 2 of wte.weight gets no gradient", still, {"positions": True}),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "edit", "options"), PLANTED)
def test_a_planted_cause_is_the_only_one_confirmed(cause: str, edit: Edit, options: dict[str, Any]) -> None:
    found = causes(pair(edit, **options), "gradients", 9, rung)
    assert [one.cause[: len(cause)] for one in found] == [cause]


def test_an_unknown_cause_gets_no_name() -> None:
    assert causes(pair(factor(fc1=0.5)), "gradients", 9, rung) == []  # a branch: the sum of two parts


def test_a_faithful_port_has_no_cause() -> None:
    records = pair(factor(), tied=True)
    checks = rung(records).checks
    assert not rung(records).failures
    assert not explain(WholeCase(records, checks[0], 9, checks), FAMILIES["gradients"], float("inf"))[0]
