"""Mistakes in the LSTM and the GRU: gates, biases, directions, padding, RMSprop, initial weights."""

from functools import partial

from tests.ports import faults as f

Fault = partial(f.Fault, model="lstm")
Gru = partial(f.Fault, model="gru")
RMSPROP = "optax.rmsprop(1e-2, decay=0.9, eps=1e-4, eps_in_sqrt=False)"
BACKWARD = "(zeros, zeros), x, reverse=True)"

LSTM = [
    Fault(
        name="another order of gates",
        changes=(("i, f, g, o = jnp.split", "i, g, f, o = jnp.split"),),
        module="lstm",
        rung=f.WEIGHTS,
        seen="flax 3746",
        load=False,
    ),
    Fault(
        name="one bias left out",
        changes=((' + params["bias_hh"]\n    i, f', "\n    i, f"),),
        module="lstm",
        rung=f.TRAIN,
        seen="flax 3746",
    ),
    Fault(name="forget gate plus one", changes=(("sigmoid(f)", "sigmoid(f + 1)"),), module="lstm", rung=f.TRAIN),
    Fault(name="candidate by sigmoid", changes=(("jnp.tanh(g)", "jax.nn.sigmoid(g)"),), module="lstm", rung=f.TRAIN),
    Fault(name="both directions forwards", changes=((BACKWARD, "(zeros, zeros), x)"),), module="lstm", rung=f.TRAIN),
    Fault(
        name="backward outputs not turned round",
        changes=((BACKWARD, f"{BACKWARD}[:, ::-1]"),),
        module="lstm",
        rung=f.TRAIN,
    ),
    Fault(
        name="backward inputs not turned round",
        changes=((BACKWARD, "(zeros, zeros), x)[:, ::-1]"),),
        module="lstm",
        rung=f.TRAIN,
    ),
    Fault(
        name="directions exchanged",
        changes=(("jnp.concatenate([forward, backward], axis=-1)", "jnp.concatenate([backward, forward], axis=-1)"),),
        module=("lstm", "linear"),
        rung=f.TRAIN,
        load=False,
    ),
    Fault(
        name="last output for the mean",
        changes=(
            (
                'linear(params["linear"], outputs.mean(1)))\n\n\ndef gru',
                'linear(params["linear"], outputs[:, -1]))\n\n\ndef gru',
            ),
        ),
        module=("linear", "", "lstm"),
        rung=f.TRAIN,
    ),
    Fault(
        name="padding learns",
        changes=(("jax.lax.stop_gradient(table[0])", "table[0]"),),
        module="embedding",
        rung=f.GRADIENTS,
    ),
    Fault(
        name="padding drawn like words",
        changes=((".at[0].set(0)", ""),),
        module="embedding",
        rung=f.FRESH,
    ),
    Fault(
        name="directions drawn with one key",
        changes=(("recurrent(keys[2], 4)", "recurrent(keys[1], 4)"),),
        module="lstm",
        rung=f.FRESH,
    ),
    Fault(
        name="bound by the inputs",
        changes=(("return uniform(key, shapes, HIDDEN)", "return uniform(key, shapes, WIDTH)"),),
        module="lstm",
        rung=f.FRESH,
        seen="pytorch 57109",
    ),
    Fault(
        name="RMSprop's epsilon inside the root",
        changes=((RMSPROP, RMSPROP.replace("False", "True")),),
        module=None,
        rung=f.OPTIMIZER,
        seen="optax 532",
    ),
    Fault(
        name="RMSprop's decay",
        changes=((RMSPROP, RMSPROP.replace("0.9", "0.99")),),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(
        name="RMSprop starts at one",
        changes=((RMSPROP, RMSPROP.replace("eps=1e-4", "eps=1e-4, initial_scale=1.0")),),
        module=None,
        rung=f.OPTIMIZER,
    ),
]

GRU = [
    Gru(
        name="candidate's bias outside the reset gate",
        changes=(
            ('h @ params["weight_hh"].T + params["bias_hh"], 3', 'h @ params["weight_hh"].T, 3'),
            (
                'x @ params["weight_ih"].T + params["bias_ih"], 3',
                'x @ params["weight_ih"].T + params["bias_ih"] + params["bias_hh"], 3',
            ),
        ),
        module="gru",
        rung=f.TRAIN,
        seen="flax 5594",
    ),
    Gru(
        name="one bias left out",
        changes=(('h @ params["weight_hh"].T + params["bias_hh"], 3', 'h @ params["weight_hh"].T, 3'),),
        module="gru",
        rung=f.TRAIN,
        seen="flax 5594",
    ),
    Gru(
        name="update gate reversed",
        changes=(("h = (1 - z) * n + z * h", "h = z * n + (1 - z) * h"),),
        module="gru",
        rung=f.TRAIN,
    ),
    Gru(
        name="reset before the product",
        changes=(
            (
                "n = jnp.tanh(n_x + r * n_h)",
                'n = jnp.tanh(n_x + (r * h) @ params["weight_hh"][2 * HIDDEN :].T + params["bias_hh"][2 * HIDDEN :])',
            ),
        ),
        module="gru",
        rung=f.TRAIN,
    ),
    Gru(
        name="another order of gates",
        changes=(
            ("r_x, z_x, n_x = jnp.split", "z_x, r_x, n_x = jnp.split"),
            ("r_h, z_h, n_h = jnp.split", "z_h, r_h, n_h = jnp.split"),
        ),
        module="gru",
        rung=f.WEIGHTS,
        load=False,
    ),
]

FAULTS = LSTM + GRU
