"""Ties are decided by numbers: real torch and JAX programs are run with every alternative that is tried."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

from jax_impl.parity.mapping import Pair, Scores, converted, decide, modules, propose
from tests.unit.jax_impl.parity.mapping.models import (
    FLOAT,
    inputs,
    load,
    nnx_leaves,
    random_weights,
    torch_arrays,
    torch_leaves,
    tree_leaves,
)

AGREE = 1e-10  # relative: float64 rounding, far below what a wrong weight makes
pytestmark = pytest.mark.usefixtures("float64")


def error(ours: Any, theirs: torch.Tensor) -> float:
    expected = theirs.detach().numpy()
    return float(np.linalg.norm(np.asarray(ours).reshape(expected.shape) - expected) / np.linalg.norm(expected))


class Trial:
    """Scores of a port: the error of its output."""

    def __init__(self, theirs: nn.Module, run: Callable[[dict[str, np.ndarray]], Any], *x: torch.Tensor) -> None:
        self.theirs, self.run, self.calls = random_weights(theirs), run, 0
        self.seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        hooks = [
            module.register_forward_hook(lambda _, x, y, path=path: self.seen.__setitem__(path, (x[0], y)))
            for path, module in theirs.named_modules()
        ]
        result = theirs(*x)
        self.expected = result[0] if isinstance(result, tuple) else result
        for hook in hooks:
            hook.remove()

    def __call__(self, pairs: Sequence[Pair]) -> Scores:
        self.calls += 1
        return Scores(total=error(self.run(converted(pairs, torch_arrays(self.theirs))), self.expected))


class ModuleTrial(Trial):
    """The same for an NNX port, with the errors of its modules, alone and in a run of the whole model."""

    def __init__(self, theirs: nn.Module, ours: nnx.Module, x: torch.Tensor) -> None:
        self.ours, self.outputs = ours, dict[str, Any]()
        super().__init__(theirs, lambda arrays: load(ours, arrays)(jnp.asarray(x.numpy()), self.outputs), x)

    def __call__(self, pairs: Sequence[Pair]) -> Scores:
        scores = super().__call__(pairs)
        parts = {".".join(map(str, path)): module for path, module in nnx.iter_modules(self.ours)}
        found = modules(list(self.seen), list(parts), pairs, torch_leaves(self.theirs), nnx_leaves(self.ours))
        inner = [(path, other) for path, other in found if other]
        alone = {
            path: error(parts[other](jnp.asarray(self.seen[path][0].detach().numpy())), self.seen[path][1])
            for path, other in inner
        }
        free = {path: error(self.outputs[other], self.seen[path][1]) for path, other in inner}
        return Scores(total=scores.total, by_module=alone, free=free)


class Layers(nnx.Module):
    """Square layers, run in an order that the names do not tell."""

    def __init__(self, order: tuple[int, ...], *, wrong: bool = False) -> None:
        self.order, self.wrong = order, wrong
        self.a, self.b, self.c = (nnx.Linear(4, 4, rngs=nnx.Rngs(i), **FLOAT) for i in range(3))

    def __call__(self, x: Any, seen: dict[str, Any]) -> Any:
        for place in self.order:
            seen["abc"[place]] = x = (self.a, self.b, self.c)[place](x)
            x = jnp.tanh(x)
        return x + 0.1 if self.wrong else x


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (1, 0, 2), (2, 1, 0)])
def test_the_order_of_square_layers_is_found(order: tuple[int, ...], wrong: bool) -> None:
    """Also in a wrong port: more layers agree."""
    theirs = nn.Sequential(*(layer for _ in range(3) for layer in (nn.Linear(4, 4), nn.Tanh())))
    trial = ModuleTrial(theirs, Layers(order, wrong=wrong), inputs(5, 4)[0])
    pairs = decide(propose(torch_leaves(theirs), nnx_leaves(trial.ours)), trial)
    assert trial.calls <= (1 if order == (0, 1, 2) and not wrong else 6)
    assert {pair.theirs[0]: pair.ours[0] for pair in pairs}["0.weight"] == f"{'abc'[order[0]]}.kernel"
    assert max(trial(pairs).free.values()) < AGREE
    assert {pair.how for pair in pairs} == ({"order"} if order == (0, 1, 2) and wrong else {"numbers"})


def mlp(weights: dict[str, np.ndarray], *, transposed: bool, count: int, x: torch.Tensor) -> Any:
    values = jnp.asarray(x.numpy())
    for i in range(count):
        kernel = weights[f"{i}.w"]
        values = values @ (kernel.T if transposed else kernel) + weights[f"{i}.b"][None]
        values = jnp.tanh(values) if i < count - 1 else values
    return values


@pytest.mark.parametrize("transposed", [False, True])
def test_square_matrices_of_a_plain_program_are_decided_together(transposed: bool) -> None:
    theirs = nn.Sequential(*(layer for _ in range(6) for layer in (nn.Linear(4, 4), nn.Tanh())))[:-1]
    x = inputs(5, 4)[0]
    trial = Trial(theirs, lambda weights: mlp(weights, transposed=transposed, count=6, x=x), x)
    ours = tree_leaves([{"w": np.zeros((4, 4)), "b": np.zeros(4)} for _ in range(6)])
    pairs = decide(propose(torch_leaves(theirs), ours), trial)
    assert trial.calls <= 2
    assert trial(pairs).total < AGREE
    assert {pair.layout.name for pair in pairs if pair.theirs[0].endswith("weight")} == {
        "same" if transposed else "transposed"
    }


def test_mixed_matrices_of_a_plain_program_are_found_one_after_the_other() -> None:
    theirs, x = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)), inputs(5, 4)[0]

    def run(weights: dict[str, np.ndarray]) -> Any:
        return mlp({**weights, "1.w": weights["1.w"].T}, transposed=False, count=3, x=x)

    trial = Trial(theirs, run, x)
    ours = tree_leaves([{"w": np.zeros((4, 4)), "b": np.zeros(4)} for _ in range(3)])
    pairs = decide(propose(torch_leaves(theirs), ours), trial)
    assert trial(pairs).total < AGREE
    assert trial.calls <= 10


@pytest.mark.parametrize("order", ["qkv", "vqk", "kqv"])
def test_unnamed_query_key_and_value_are_found(order: str) -> None:
    theirs, x = nn.MultiheadAttention(4, 2, batch_first=True), inputs(2, 3, 4)[0]

    def run(weights: dict[str, np.ndarray]) -> Any:
        values = jnp.asarray(x.numpy())
        heads = {
            name: (
                values @ weights[f"in.{order.index(name)}.w"] + weights[f"in.{order.index(name)}.b"][None, None]
            ).reshape(2, 3, 2, 2)
            for name in "qkv"
        }
        scores = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", heads["q"], heads["k"]) / np.sqrt(2), axis=-1)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", scores, heads["v"]).reshape(2, 3, 4)
        return mixed @ weights["out.w"] + weights["out.b"][None, None]

    trial = Trial(theirs, run, x, x, x)
    part = {"w": np.zeros((4, 4)), "b": np.zeros(4)}
    pairs = decide(propose(torch_leaves(theirs), tree_leaves({"in": [part] * 3, "out": part})), trial)
    assert trial(pairs).total < AGREE
    assert next(pair.ours for pair in pairs if len(pair.ours) == 3) == tuple(
        f"in.{order.index(name)}.w" for name in "qkv"
    )


class Flat(nnx.Module):
    """A convolution, flattened as Flax has it or as torch does, and a Linear."""

    def __init__(self, *, channels_first: bool) -> None:
        self.channels_first = channels_first
        self.conv = nnx.Conv(2, 3, (3, 3), padding="VALID", rngs=nnx.Rngs(0), **FLOAT)
        self.linear = nnx.Linear(3 * 2 * 4, 5, rngs=nnx.Rngs(0), **FLOAT)

    def __call__(self, x: Any) -> Any:
        x = self.conv(jnp.moveaxis(x, 1, -1))
        x = jnp.moveaxis(x, -1, 1) if self.channels_first else x
        return self.linear(x.reshape(len(x), -1))


@pytest.mark.parametrize("channels_first", [False, True])
def test_the_order_of_flattened_features_is_found(channels_first: bool) -> None:
    theirs, x = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(24, 5)), inputs(2, 2, 4, 6)[0]
    ours = Flat(channels_first=channels_first)
    trial = Trial(theirs, lambda weights: load(ours, weights)(jnp.asarray(x.numpy())), x)
    pairs = decide(propose(torch_leaves(theirs), nnx_leaves(ours)), trial)
    assert trial(pairs).total < AGREE
    assert trial.calls <= 3
    layout = next(pair.layout for pair in pairs if pair.ours == ("linear.kernel",))
    features = trial.seen["2"][0].detach().numpy()
    own = np.asarray(ours.conv(jnp.moveaxis(jnp.asarray(x.numpy()), 1, -1)))
    if channels_first:
        assert layout.inputs is None
    else:
        assert np.abs(features[..., layout.inputs] - own.reshape(2, -1)).max() < AGREE


@pytest.mark.parametrize("gates", ["ifgo", "igfo", "fogi"])
def test_the_order_of_gates_is_found(gates: str) -> None:
    theirs, x = nn.LSTM(3, 2, batch_first=True), inputs(2, 4, 3)[0]

    def run(weights: dict[str, np.ndarray]) -> Any:
        h = c = jnp.zeros((2, 2))
        outputs = []
        for step in np.moveaxis(x.numpy(), 1, 0):
            parts = jnp.split(step @ weights["w_ih"] + h @ weights["w_hh"] + weights["b"][None], 4, axis=1)
            i, f, g, o = (parts[gates.index(gate)] for gate in "ifgo")
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            outputs.append(h)
        return jnp.stack(outputs, 1)

    trial = Trial(theirs, run, x)
    ours = tree_leaves({"w_ih": np.zeros((3, 8)), "w_hh": np.zeros((2, 8)), "b": np.zeros(8)})
    pairs = decide(propose(torch_leaves(theirs), ours), trial)
    assert trial(pairs).total < AGREE
    assert trial.calls <= 26
