"""Each layer of torch against that of Flax NNX, Linen and Equinox, with torch's weights loaded through the mapping."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx
from torch import nn

from jax_impl.parity.mapping import converted, propose
from tests.unit.jax_impl.parity.mapping.models import (
    FLOAT,
    close,
    equinox_leaves,
    inputs,
    linen_leaves,
    load,
    loaded,
    nnx_leaves,
    random_weights,
    settled,
    torch_arrays,
    torch_leaves,
)

pytestmark = pytest.mark.usefixtures("float64")


def last(array: Any) -> Any:
    """Channels last, as Flax has them."""
    return jnp.moveaxis(jnp.asarray(array), 1, -1)


def first(array: Any) -> Any:
    return jnp.moveaxis(array, -1, 1)


def rngs() -> nnx.Rngs:
    return nnx.Rngs(0)


def conv(*args: Any, **settings: Any) -> nnx.Conv:
    return nnx.Conv(*args, padding="VALID", rngs=rngs(), **settings, **FLOAT)


def conv_transpose(*args: Any, **settings: Any) -> nnx.ConvTranspose:
    return nnx.ConvTranspose(*args, padding="VALID", rngs=rngs(), **settings, **FLOAT)


CONVOLUTIONS = {
    "1d": (lambda: nn.Conv1d(4, 6, 3), lambda: conv(4, 6, 3), (2, 4, 7)),
    "2d": (lambda: nn.Conv2d(4, 6, (3, 2)), lambda: conv(4, 6, (3, 2)), (2, 4, 7, 6)),
    "2d square": (lambda: nn.Conv2d(3, 3, 3), lambda: conv(3, 3, (3, 3)), (2, 3, 7, 6)),
    "3d": (lambda: nn.Conv3d(4, 6, (3, 2, 1)), lambda: conv(4, 6, (3, 2, 1)), (2, 4, 5, 6, 3)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2), lambda: conv(4, 6, (3, 3), feature_group_count=2), (2, 4, 7, 6)),
    "transposed": (
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), stride=2),
        lambda: conv_transpose(4, 6, (3, 2), strides=(2, 2)),
        (2, 4, 5, 6),
    ),
    "transposed square": (lambda: nn.ConvTranspose2d(3, 3, 3), lambda: conv_transpose(3, 3, (3, 3)), (2, 3, 5, 6)),
    "transposed, transpose_kernel": (
        lambda: nn.ConvTranspose2d(4, 4, 3, stride=2),
        lambda: conv_transpose(4, 4, (3, 3), strides=(2, 2), transpose_kernel=True),
        (2, 4, 5, 6),
    ),
    "transposed 1d": (lambda: nn.ConvTranspose1d(4, 6, 3), lambda: conv_transpose(4, 6, 3), (2, 4, 5)),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions_of_nnx(case: str) -> None:
    theirs, ours, shape = (CONVOLUTIONS[case][0](), CONVOLUTIONS[case][1](), CONVOLUTIONS[case][2])
    random_weights(theirs)
    x, values = inputs(*shape)
    close(first(loaded(theirs, ours, nnx_leaves(ours))(last(values))), theirs(x))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_of_equinox(groups: int, transposed: bool) -> None:
    kinds = (nn.ConvTranspose2d, eqx.nn.ConvTranspose2d) if transposed else (nn.Conv2d, eqx.nn.Conv2d)
    theirs = random_weights(kinds[0](4, 4, (3, 2), stride=2, groups=groups))
    ours = kinds[1](4, 4, (3, 2), stride=2, groups=groups, key=jax.random.key(0))
    x, values = inputs(2, 4, 7, 6)
    close(jax.vmap(loaded(theirs, ours, equinox_leaves(ours)))(jnp.asarray(values)), theirs(x))


LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "linear": (lambda: nn.Linear(5, 3), lambda: nnx.Linear(5, 3, rngs=rngs(), **FLOAT)),
    "square linear": (lambda: nn.Linear(5, 5), lambda: nnx.Linear(5, 5, rngs=rngs(), **FLOAT)),
    "linear in heads": (lambda: nn.Linear(5, 6), lambda: nnx.LinearGeneral(5, (2, 3), rngs=rngs(), **FLOAT)),
    "layer norm": (lambda: nn.LayerNorm(5), lambda: nnx.LayerNorm(5, epsilon=1e-5, rngs=rngs(), **FLOAT)),
    "RMS norm": (lambda: nn.RMSNorm(5, eps=1e-5), lambda: nnx.RMSNorm(5, epsilon=1e-5, rngs=rngs(), **FLOAT)),
    "equinox linear": (lambda: nn.Linear(5, 5), lambda: eqx.nn.Linear(5, 5, key=jax.random.key(0))),
    "equinox layer norm": (lambda: nn.LayerNorm(5), lambda: eqx.nn.LayerNorm(5)),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_layers_of_features(case: str) -> None:
    theirs, ours = LAYERS[case][0](), LAYERS[case][1]()
    random_weights(theirs)
    x, values = inputs(4, 5)
    if isinstance(ours, eqx.Module):
        result = jax.vmap(loaded(theirs, ours, equinox_leaves(ours)))(jnp.asarray(values))
    else:
        result = loaded(theirs, ours, nnx_leaves(ours))(jnp.asarray(values))
    close(result.reshape(4, -1), theirs(x))


@pytest.mark.parametrize("case", ["batch norm", "group norm", "embedding"])
def test_layers_with_statistics_groups_and_tables(case: str) -> None:
    x, values = inputs(3, 4, 5, 6)
    if case == "embedding":
        theirs, ours = random_weights(nn.Embedding(5, 5)), nnx.Embed(5, 5, rngs=rngs(), **FLOAT)
        ids = np.array([[0, 3, 2], [1, 4, 4]])
        close(loaded(theirs, ours, nnx_leaves(ours))(jnp.asarray(ids)), theirs(torch.from_numpy(ids)))
        return
    if case == "batch norm":
        theirs, ours = nn.BatchNorm2d(4), nnx.BatchNorm(4, use_running_average=True, epsilon=1e-5, rngs=rngs(), **FLOAT)
    else:
        theirs, ours = nn.GroupNorm(2, 4), nnx.GroupNorm(4, 2, epsilon=1e-5, rngs=rngs(), **FLOAT)
    random_weights(theirs)
    close(first(loaded(theirs, ours, nnx_leaves(ours))(last(values))), theirs(x))


def test_layers_of_linen() -> None:
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            x = linen.Conv(6, (3, 3), padding="VALID", **FLOAT)(x)
            x = linen.relu(linen.BatchNorm(use_running_average=True, epsilon=1e-5, **FLOAT)(x))
            x = linen.ConvTranspose(6, (3, 3), padding="VALID", **FLOAT)(x).mean((1, 2))
            x = linen.relu(linen.Dense(6, **FLOAT)(x))
            return linen.Dense(6, **FLOAT)(x)

    class Mean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3))

    theirs = random_weights(
        nn.Sequential(
            nn.Conv2d(4, 6, 3),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.ConvTranspose2d(6, 6, 3),
            Mean(),
            nn.Linear(6, 6),
            nn.ReLU(),
            nn.Linear(6, 6),
        )
    )
    x, values = inputs(2, 4, 7, 6)
    variables = Net().init(jax.random.key(0), last(values))
    pairs = settled(torch_leaves(theirs), linen_leaves(Net(), variables, last(values)))
    arrays = converted(pairs, torch_arrays(theirs))
    close(Net().apply({name: load(tree, arrays) for name, tree in variables.items()}, last(values)), theirs(x))


def test_a_linear_of_hugging_face_that_stores_in_and_out_swapped() -> None:
    from transformers.pytorch_utils import Conv1D

    x, values = inputs(4, 5)
    for features in (3, 5):
        theirs, ours = random_weights(Conv1D(features, 5)), nnx.Linear(5, features, rngs=rngs(), **FLOAT)
        close(loaded(theirs, ours, nnx_leaves(ours))(jnp.asarray(values)), theirs(x))


def test_a_convolution_that_ours_computes_as_a_product_of_patches() -> None:
    theirs, ours = random_weights(nn.Conv2d(3, 4, 2, stride=2)), nnx.Linear(12, 4, rngs=rngs(), **FLOAT)
    x, values = inputs(2, 3, 4, 6)
    proposal = propose(torch_leaves(theirs), nnx_leaves(ours))
    blocks = last(values).reshape(2, 2, 2, 3, 2, 3)  # batch, rows, within, columns, within, channels
    patches = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(2, 2, 3, 12)
    by_channel = blocks.transpose(0, 1, 3, 5, 2, 4).reshape(2, 2, 3, 12)
    (choice,) = proposal.choices
    for pairs, features in zip(choice.alternatives, (patches, by_channel), strict=True):
        result = load(ours, converted([*proposal.pairs, *pairs], torch_arrays(theirs)))(features)
        close(first(result), theirs(x))
