"""Recurrent layers and attention of torch against those of Flax and Equinox, with torch's weights loaded."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from torch import nn

from jax_impl.parity.mapping import converted, propose
from tests.unit.jax_impl.parity.mapping.models import (
    FLOAT,
    FLOAT32,
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


def rngs() -> nnx.Rngs:
    return nnx.Rngs(0)


class Recurrent(nnx.Module):
    """An LSTM or GRU over (batch, time, features), in both directions if wanted."""

    def __init__(self, cell: Any, *, both: bool) -> None:
        self.forward_rnn = nnx.RNN(cell(3, 4, rngs=rngs(), **FLOAT))
        self.backward_rnn = nnx.RNN(cell(3, 4, rngs=rngs(), **FLOAT), reverse=True, keep_order=True) if both else None

    def __call__(self, x: Any) -> Any:
        parts = [rnn(x) for rnn in (self.forward_rnn, self.backward_rnn) if rnn]
        return jnp.concatenate(parts, -1)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", [nnx.LSTMCell, nnx.OptimizedLSTMCell])
def test_lstm_of_nnx(cell: Any, both: bool) -> None:
    theirs = random_weights(nn.LSTM(3, 4, batch_first=True, bidirectional=both))
    ours = Recurrent(cell, both=both)
    proposal = propose(torch_leaves(theirs), nnx_leaves(ours))
    assert "half as far" in proposal.warnings[0]
    assert proposal.choices == ()
    x, values = inputs(2, 5, 3)
    close(loaded(theirs, ours, nnx_leaves(ours))(jnp.asarray(values)), theirs(x)[0])


def test_gru_of_nnx_has_no_place_for_the_candidates_second_bias() -> None:
    theirs, ours = random_weights(nn.GRU(3, 4, batch_first=True)), Recurrent(nnx.GRUCell, both=False)
    proposal = propose(torch_leaves(theirs), nnx_leaves(ours))
    assert any("bias_hh_l0[8:12] has no place" in warning for warning in proposal.warnings)
    x, values = inputs(2, 5, 3)
    arrays = torch_arrays(theirs)
    faithful = load(ours, converted(proposal.convention(), arrays))(jnp.asarray(values))
    assert np.abs(np.asarray(faithful) - theirs(x)[0].detach().numpy()).max() > 1e-3
    arrays["bias_hh_l0"][8:] = 0  # torch's array itself
    close(load(ours, converted(proposal.convention(), arrays))(jnp.asarray(values)), theirs(x)[0])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleCell"])
def test_recurrent_layers_of_linen(kind: str) -> None:
    theirs = random_weights(getattr(nn, {"SimpleCell": "RNN"}.get(kind, kind))(3, 4, batch_first=True))
    cells = {"LSTM": linen.OptimizedLSTMCell, "GRU": linen.GRUCell, "SimpleCell": linen.SimpleCell}
    ours = linen.RNN(cells[kind](4, **FLOAT))
    x, values = inputs(2, 5, 3)
    variables = ours.init(jax.random.key(0), jnp.asarray(values))
    arrays = converted(
        settled(torch_leaves(theirs), linen_leaves(ours, variables, jnp.asarray(values))), torch_arrays(theirs)
    )
    close(
        ours.apply(load(variables, {f"params.{name}": array for name, array in arrays.items()}), jnp.asarray(values)),
        theirs(x)[0],
    )


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_cells_of_equinox(kind: str) -> None:
    theirs = random_weights(getattr(nn, f"{kind}Cell")(3, 4))
    ours = getattr(eqx.nn, f"{kind}Cell")(3, 4, key=jax.random.key(0))
    x, values = inputs(2, 3)
    h, state = inputs(2, 4)
    ours = loaded(theirs, ours, equinox_leaves(ours))
    if kind == "LSTM":
        close(jax.vmap(lambda x, h: ours(x, (h, h))[0])(values, state), theirs(x, (h, h))[0])
    else:
        close(jax.vmap(ours)(values, state), theirs(x, h))


@pytest.mark.parametrize("library", ["nnx", "equinox"])
def test_attention_packed_in_torch(library: str) -> None:
    theirs = random_weights(nn.MultiheadAttention(8, 2, batch_first=True, bias=library == "nnx"))
    x, values = inputs(2, 5, 8)
    expected = theirs(x, x, x, need_weights=False)[0]
    if library == "nnx":
        ours = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs(), **FLOAT)
        close(loaded(theirs, ours, nnx_leaves(ours))(jnp.asarray(values)), expected, FLOAT32)
    else:
        mine = eqx.nn.MultiheadAttention(2, 8, key=jax.random.key(0))
        mine = loaded(theirs, mine, equinox_leaves(mine))
        close(jax.vmap(lambda x: mine(x, x, x))(jnp.asarray(values)), expected)
