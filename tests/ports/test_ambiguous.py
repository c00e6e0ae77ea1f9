"""Ports in which shapes and names do not tell what belongs together: as many channels as pixels, and wrappers."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import nnx

from jax_impl import parity
from torch_ref import record

SIZE = 8  # channels, height and width


class Block(torch.nn.Module):
    """Adds a residual around a Sequential. Both modules hold the same leaves."""

    def __init__(self) -> None:
        super().__init__()
        conv = torch.nn.Conv2d(SIZE, SIZE, 3, padding=1)
        self.block = torch.nn.Sequential(conv, torch.nn.SiLU(), torch.nn.Dropout(0.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Conv2d(3, SIZE, 3, padding=1), Block())
        self.head = torch.nn.Linear(SIZE, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Middle(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(SIZE, SIZE, (3, 3), padding=1, rngs=rngs)
        self.drop = nnx.Dropout(0.3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.drop(nnx.silu(self.conv(x)))


class Ours(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, SIZE, (3, 3), padding=1, rngs=rngs)
        self.middle = Middle(rngs)
        self.head = nnx.Linear(SIZE, 4, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.middle(self.stem(jnp.transpose(x, (0, 2, 3, 1)))).mean((1, 2)))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = Net()
    batches = [(torch.randn(5, 3, SIZE, SIZE), torch.randint(4, (5,))) for _ in range(2)]
    return record.save(
        tmp_path_factory.mktemp("ambiguous") / "theirs",
        model=net,
        loss=lambda net, batch: torch.nn.functional.cross_entropy(net(batch[0]), batch[1]),
        optimizer=torch.optim.AdamW(net.parameters(), lr=1e-3),
        batches=batches,
        steps=2,
        clip_norm=0.1,
    )


def prove(theirs: Path, **changes: Any) -> Any:
    def loss(model: Ours, batch: Any) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(batch[0]), batch[1]).mean()

    clipped = optax.chain(optax.clip_by_global_norm(0.1), optax.adamw(1e-3, weight_decay=0.01))
    return parity.prove(theirs, **{"model": Ours(nnx.Rngs(0)), "loss": loss, "optimizer": clipped} | changes)


@pytest.mark.slow
def test_numbers_tell_the_layout_of_masks_and_the_wrapped_module(theirs: Path) -> None:
    verdict = prove(theirs).require()
    partners = {node.path: node.ours_path for node in verdict.tree}
    assert partners["features.1"] == "middle"
    assert partners["features.1.block"] is None
    assert any("norm + 1e-6" in note for note in verdict.rungs[9].notes)


@pytest.mark.slow
def test_modules_are_paired_by_hand(theirs: Path) -> None:
    verdict = prove(theirs, pairs={"features.1.block": "middle"})
    assert str(verdict.first).startswith("features.1.block (forward, training mode): ")


@pytest.mark.slow
def test_another_threshold_of_clipping_is_seen(theirs: Path) -> None:
    clipped = optax.chain(optax.clip_by_global_norm(0.1 * (1 + 1e-4)), optax.adamw(1e-3, weight_decay=0.01))
    first = prove(theirs, optimizer=clipped).first
    assert first is not None
    assert first.stage.startswith("optimizer, step ")
