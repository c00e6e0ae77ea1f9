"""Mistakes in the GPT: attention, positions, tied weights, AdamW, schedule, clipping."""

from functools import partial

from tests.ports import faults as f

Fault = partial(f.Fault, model="gpt")
ADAMW = "optax.adamw(schedule, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1, mask=is_matrix)"
CLIP, TRIL = "clip_as_torch(1.0)", "jnp.tril(jnp.ones((1, 1, length, length), bool))"
NORM = "return nnx.LayerNorm(WIDTH, epsilon=1e-5, use_fast_variance=False, rngs=rngs)"
STILL = """
    class Still(nnx.LayerNorm):
        def __call__(self, x: jax.Array) -> jax.Array:
            mean, var = jax.lax.stop_gradient((x.mean(-1, keepdims=True), x.var(-1, keepdims=True)))
            return (x - mean) * jax.lax.rsqrt(var + 1e-5) * self.scale[...] + self.bias[...]

    return Still(WIDTH, epsilon=1e-5, rngs=rngs)"""
RATE = "schedule(count: jax.Array, "
ATTENTION = ("transformer.h.0.attn", "transformer.h.0.attn.attn_dropout")


def adamw(old: str, new: str) -> tuple[tuple[str, str], ...]:
    return ((ADAMW, ADAMW.replace(old, new)),)


FAULTS = [
    Fault(
        name="GELU by tanh",
        changes=((", approximate=False", ""),),
        module=("transformer.h.0.mlp.gelu", "transformer.h.0.mlp"),
        rung=f.TRAIN,
        seen="jax 4428",
    ),
    Fault(name="mask sees the next token", changes=((TRIL, TRIL[:-1] + ", 1)"),), module=ATTENTION, rung=f.TRAIN),
    Fault(
        name="not causal",
        changes=(("scores = jnp.where(causal, scores, -jnp.inf)", "del causal"),),
        module=ATTENTION,
        rung=f.TRAIN,
    ),
    Fault(name="scores not scaled", changes=((" / math.sqrt(width // HEADS)", ""),), module=ATTENTION, rung=f.TRAIN),
    Fault(
        name="scaled by the width of all heads",
        changes=(("math.sqrt(width // HEADS)", "math.sqrt(width)"),),
        module=ATTENTION,
        rung=f.TRAIN,
    ),
    Fault(
        name="softmax over the queries",
        changes=(
            ("jax.nn.softmax(scores, axis=-1)", "jax.nn.softmax(scores, axis=-2)"),
            ("-jnp.inf", "jnp.finfo(scores.dtype).min"),
        ),
        module=ATTENTION,
        rung=f.TRAIN,
    ),
    Fault(
        name="key and value exchanged",
        changes=(("query, key, value = heads", "query, value, key = heads"),),
        module=ATTENTION,
        rung=f.TRAIN,
    ),
    Fault(
        name="heads cut the other way",
        changes=(("part.reshape(n, length, HEADS, -1)", "part.reshape(n, length, -1, HEADS).swapaxes(2, 3)"),),
        module=ATTENTION,
        rung=f.TRAIN,
    ),
    Fault(
        name="Flax's LayerNorm epsilon",
        changes=(("epsilon=1e-5, ", ""),),
        module="transformer.h.0.ln_1",
        rung=f.SETTINGS,
        seen="flax 2195",
    ),
    Fault(
        name="norm after the residual",
        changes=(("x = x + self.attn(self.ln_1(x))", "x = self.ln_1(x + self.attn(x))"),),
        module=("transformer.h.0", "transformer.h.0.ln_1", "transformer.h.0.attn"),
        rung=f.TRAIN,
    ),
    Fault(
        name="residual missing",
        changes=(("return x + self.mlp(self.ln_2(x))", "return self.mlp(self.ln_2(x))"),),
        module="transformer.h.0",
        rung=f.TRAIN,
    ),
    Fault(
        name="positions from one",
        changes=(("jnp.arange(tokens.shape[1])", "jnp.arange(1, tokens.shape[1] + 1)"),),
        module=("", "transformer.wpe"),
        rung=f.TRAIN,
    ),
    Fault(
        name="embeddings not tied",
        changes=(
            (
                "self.ln_f = layer_norm(rngs)",
                "self.ln_f = layer_norm(rngs)\n        self.lm_head = nnx.Linear(32, 31, use_bias=False, rngs=rngs)",
            ),
            ("self.ln_f(x) @ self.wte.embedding[...].T", "self.lm_head(self.ln_f(x))"),
        ),
        module=("lm_head", "transformer.wte"),
        rung=f.STRUCTURE,
    ),
    Fault(
        name="statistics without gradients",
        changes=((NORM, STILL),),
        module="transformer.h.1.mlp.c_proj",
        rung=f.GRADIENTS,
    ),
    Fault(
        name="gradient of one of the tied uses",
        changes=(("self.wte.embedding[...].T", "jax.lax.stop_gradient(self.wte.embedding[...].T)"),),
        module=("transformer.wte", "lm_head"),
        rung=f.GRADIENTS,
    ),
    Fault(
        name="attention's dropout 0.2",
        changes=(("self.attn_dropout = nnx.Dropout(0.1", "self.attn_dropout = nnx.Dropout(0.2"),),
        module="transformer.h.0.attn.attn_dropout",
        rung=f.SETTINGS,
    ),
    Fault(
        name="attention's dropout shared by sequences",
        changes=(
            (
                "self.attn_dropout = nnx.Dropout(0.1, rngs",
                "self.attn_dropout = nnx.Dropout(0.1, broadcast_dims=(0,), rngs",
            ),
        ),
        module=ATTENTION,
        rung=f.SETTINGS,
    ),
    Fault(
        name="no dropout on residuals",
        changes=(("return self.resid_dropout(self.c_proj(y))", "return self.c_proj(y)"),),
        module=("transformer.h.0.attn.resid_dropout", "transformer.h.0.attn"),
        rung=f.SETTINGS,
    ),
    Fault(
        name="MLP in bfloat16",
        changes=(("hidden = jax.nn.gelu(self.c_fc(x),", "hidden = jax.nn.gelu(self.c_fc(x).astype(jnp.bfloat16),"),),
        module=("transformer.h.0.mlp", "transformer.h.0.mlp.c_proj"),
        rung=f.TRAIN,
        seen="openpi 989",
    ),
    Fault(name="labels not shifted", changes=(("(model(x), y)", "(model(x), x)"),), module=None, rung=f.LOSS),
    Fault(
        name="sum over the tokens",
        changes=(("(model(x), y).mean()", "(model(x), y).sum(1).mean()"),),
        module=None,
        rung=f.LOSS,
    ),
    Fault(name="biases decay, too", changes=adamw(", mask=is_matrix", ""), module=None, rung=f.OPTIMIZER),
    Fault(
        name="optax's weight decay",
        changes=adamw(" weight_decay=0.1,", ""),
        module=None,
        rung=f.OPTIMIZER,
        seen="optax 417",
    ),
    Fault(name="no weight decay", changes=adamw("weight_decay=0.1", "weight_decay=0.0"), module=None, rung=f.OPTIMIZER),
    Fault(
        name="Adam with L2 for AdamW",
        changes=(
            (
                ADAMW,
                "optax.chain(optax.masked(optax.add_decayed_weights(0.1), is_matrix), optax.adam(schedule, b2=0.95))",
            ),
        ),
        module=None,
        rung=f.OPTIMIZER,
        seen="optax 417",
    ),
    Fault(name="Adam's default betas", changes=adamw("b2=0.95", "b2=0.999"), module=None, rung=f.OPTIMIZER),
    Fault(
        name="learning rate one step late",
        changes=(("step = 1.0 * count ", "step = 1.0 * jnp.maximum(count - 1, 0) "),),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(
        name="longer warmup",
        changes=((f"{RATE}warmup: int = 2", f"{RATE}warmup: int = 3"),),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(
        name="cosine down to zero",
        changes=(("floor: float = 0.1", "floor: float = 0.0"),),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(
        name="no clipping",
        changes=(("optax.chain(clip_as_torch(1.0), adamw)", "adamw"),),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(name="clipping by value", changes=((CLIP, "optax.clip(1.0)"),), module=None, rung=f.OPTIMIZER),
    Fault(name="clipping at another threshold", changes=((CLIP, "clip_as_torch(0.5)"),), module=None, rung=f.OPTIMIZER),
    Fault(
        name="clipping after the optimizer",
        changes=(("optax.chain(clip_as_torch(1.0), adamw)", "optax.chain(adamw, clip_as_torch(1.0))"),),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(
        name="projections not drawn smaller",
        changes=(("linear(WIDTH, WIDTH, 0.02 / math.sqrt(2 * LAYERS), rngs)", "linear(WIDTH, WIDTH, 0.02, rngs)"),),
        module="transformer.h.0.attn.c_proj",
        rung=f.FRESH,
    ),
    Fault(
        name="positions drawn smaller",
        changes=(
            (
                "nnx.Embed(CONTEXT, WIDTH, embedding_init=normal(0.02)",
                "nnx.Embed(CONTEXT, WIDTH, embedding_init=normal(0.01)",
            ),
        ),
        module="transformer.wpe",
        rung=f.FRESH,
    ),
]
