"""Mistakes in the Llama-like decoder: rotary positions, grouped queries, the window, RMSNorm, SwiGLU."""

from functools import partial

from tests.ports import faults as f

Fault = partial(f.Fault, model="llama")
WINDOW = "seen = (distance >= 0) & (distance < WINDOW)"
ROTATED = "query, key = rotate(query), rotate(key)"

FAULTS = [
    Fault(
        name="rotary pairs side by side",
        changes=(
            ("jnp.concatenate([frequencies, frequencies])", "jnp.repeat(frequencies, 2)"),
            ("first, second = jnp.split(x, 2, axis=-1)", "first, second = x[..., ::2], x[..., 1::2]"),
            ("jnp.concatenate([-second, first], axis=-1)", "jnp.stack([-second, first], axis=-1).reshape(x.shape)"),
        ),
        module="self_attn",
        rung=f.TRAIN,
    ),
    Fault(name="rotary base", changes=(("100.0 **", "10000.0 **"),), module="self_attn", rung=f.TRAIN),
    Fault(name="keys not rotated", changes=((ROTATED, "query = rotate(query)"),), module="self_attn", rung=f.TRAIN),
    Fault(
        name="values rotated, too",
        changes=((ROTATED, "query, key, value = rotate(query), rotate(key), rotate(value)"),),
        module="self_attn",
        rung=f.TRAIN,
    ),
    Fault(
        name="groups of heads in another order",
        changes=(("jnp.repeat(part, HEADS // KEY_HEADS, axis=1)", "jnp.tile(part, (1, HEADS // KEY_HEADS, 1))"),),
        module="self_attn",
        rung=f.TRAIN,
    ),
    Fault(
        name="window without the token itself",
        changes=((WINDOW, WINDOW.replace("< WINDOW", "<= WINDOW")),),
        module="self_attn",
        rung=f.TRAIN,
        seen="transformers 29176",
    ),
    Fault(name="no window", changes=((WINDOW, "seen = distance >= 0"),), module="self_attn", rung=f.TRAIN),
    Fault(
        name="RMSNorm's epsilon",
        changes=(("eps=EPSILON", "eps=1e-6"),),
        module="input_layernorm",
        rung=f.SETTINGS,
        seen="spd 625",
    ),
    Fault(
        name="gate and value exchanged",
        changes=(
            ("jax.nn.silu(self.gate_proj(x)) * self.up_proj(x)", "jax.nn.silu(self.up_proj(x)) * self.gate_proj(x)"),
        ),
        module=("mlp", "mlp.down_proj"),
        rung=f.TRAIN,
    ),
    Fault(
        name="GELU for SiLU",
        changes=(("jax.nn.silu(", "jax.nn.gelu("),),
        module=("mlp", "mlp.down_proj"),
        rung=f.TRAIN,
    ),
    Fault(
        name="mean subtracted as in LayerNorm",
        changes=(("self.norm = eqx.nn.RMSNorm(WIDTH, eps=1e-6", "self.norm = eqx.nn.LayerNorm(WIDTH, eps=1e-6"),),
        module="norm",
        rung=f.TRAIN,
    ),
    Fault(
        name="optax's weight decay",
        changes=((", weight_decay=0.01", ""),),
        module=None,
        rung=f.OPTIMIZER,
        seen="optax 417",
    ),
    Fault(
        name="unit normal embeddings",
        changes=(("weight=0.02 * jax.random.normal", "weight=jax.random.normal"),),
        module="embed_tokens",
        rung=f.FRESH,
    ),
]
