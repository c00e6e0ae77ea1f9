"""Other ways to write the encoders, the Llama-like decoder and BERT, and to write their references."""

from functools import partial

from tests.ports.harmless import written

encoder, equinox, llama, bert = (partial(written, model) for model in ("encoder", "encoder_equinox", "llama", "bert"))
MEAN = "jnp.where(y == -100, 0, losses).sum() / (y != -100).sum()"
ADAM = "optax.chain(optax.add_decayed_weights(1e-2), optax.adam(1e-3))"
SEEN = "jnp.where(seen[None], scores, -jnp.inf)"
ROTATION = "return x * jnp.cos(angles) + jnp.concatenate([-second, first], axis=-1) * jnp.sin(angles)"
SCORES = 'scores = jnp.einsum("qhd,khd->hqk", query, key) / HEAD**0.5'
LOSS = 'optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]).mean()'

ENCODER = (
    encoder(
        "mask for every query",
        ("mask[:, None, None]", "jnp.broadcast_to(mask[:, None, None], (len(x), 1, x.shape[1], x.shape[1]))"),
    ),
    encoder("mean over the labels that count", (MEAN, "losses.mean(where=y != -100)")),
    encoder("labels summed backwards", (MEAN, "jnp.where(y == -100, 0, losses)[::-1, ::-1].sum() / (y != -100).sum()")),
    encoder("variance by squares", ("use_fast_variance=False", "use_fast_variance=True")),
    encoder(
        "Adam from its parts",
        (ADAM, "optax.chain(optax.add_decayed_weights(1e-2), optax.scale_by_adam(), optax.scale(-1e-3))"),
    ),
    encoder("ReLU by maximum", ("nnx.relu(self.linear1(x))", "jnp.maximum(self.linear1(x), 0)")),
    encoder(
        "other names",
        ("self.linear1 =", "self.wide ="),
        ("self.linear1(x)", "self.wide(x)"),
        ("self.linear2 =", "self.narrow ="),
        ("self.linear2(hidden)", "self.narrow(hidden)"),
    ),
    encoder("loss compiled", ("def loss(model", "@nnx.jit\ndef loss(model")),
    encoder(
        "logarithm of the softmax",
        (
            "optax.softmax_cross_entropy_with_integer_labels(model(x, lengths), jnp.maximum(y, 0))",
            "-jnp.take_along_axis(jax.nn.log_softmax(model(x, lengths)), jnp.maximum(y, 0)[..., None], -1)[..., 0]",
        ),
    ),
    equinox("loss compiled", ("def loss(model", "@eqx.filter_jit\ndef loss(model")),
    equinox(
        "a loop for vmap",
        (
            "jax.vmap(model)(x, lengths, jax.random.split(key, len(x)))",
            "jax.vmap(lambda *one: model(*one))(x, lengths, jax.random.split(key, len(x)))",
        ),
    ),
    equinox("mask for every head", ("(len(x), len(x)))", "(4, len(x), len(x)))")),
    equinox(
        "layers in a tuple",
        (
            "self.layers = [EncoderLayer(keys[2]), EncoderLayer(keys[2])]",
            "self.layers = (EncoderLayer(keys[2]), EncoderLayer(keys[2]))",
        ),
    ),
)

LLAMA = (
    llama(
        "positions from seven, which rotation does not see",
        ("jnp.arange(length)[:, None, None]", "(7 + jnp.arange(length))[:, None, None]"),
    ),
    llama(
        "rotation by complex numbers",
        (
            ROTATION,
            "turned = (first + 1j * second) * jnp.exp(1j * angles[..., : head // 2])\n"
            "    return jnp.concatenate([turned.real, turned.imag], axis=-1)",
        ),
    ),
    llama(
        "rotation in halves",
        (
            ROTATION,
            "cos, sin = (function(angles[..., : head // 2]) for function in (jnp.cos, jnp.sin))\n"
            "    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)",
        ),
    ),
    llama(
        "frequencies by exponentials",
        ("100.0 ** (-jnp.arange(0, head, 2) / head)", "jnp.exp(-jnp.log(100.0) * jnp.arange(0, head, 2) / head)"),
    ),
    llama("mask with the smallest number", (SEEN, SEEN.replace("-jnp.inf", "jnp.finfo(scores.dtype).min"))),
    llama(
        "keys not repeated",
        (
            "key, value = (jnp.repeat(part, HEADS // KEY_HEADS, axis=1) for part in (key, value))",
            "grouped = query.reshape(length, KEY_HEADS, -1, HEAD)\n"
            "        value = jnp.repeat(value, HEADS // KEY_HEADS, axis=1)",
        ),
        (SCORES, 'scores = jnp.einsum("qkgd,skd->kgqs", grouped, key).reshape(HEADS, length, length) / HEAD**0.5'),
    ),
    llama(
        "SiLU by sigmoid",
        ("jax.nn.silu(self.gate_proj(x)) *", "self.gate_proj(x) * jax.nn.sigmoid(self.gate_proj(x)) *"),
    ),
    llama(
        "frequencies in float32",
        (
            "100.0 ** (-jnp.arange(0, head, 2) / head)",
            "(100.0 ** (-jnp.arange(0, head, 2) / head)).astype(jnp.float32)",
        ),
    ),
    llama("queries scaled", (SCORES, 'scores = jnp.einsum("qhd,khd->hqk", query / HEAD**0.5, key)')),
)

BERT = (
    bert("computed in float32", ("dtype=jnp.float64", "dtype=jnp.float32")),
    bert(
        "positions for every sequence",
        (
            'jnp.arange(batch["input_ids"].shape[1])[None]',
            'jnp.broadcast_to(jnp.arange(batch["input_ids"].shape[1]), batch["input_ids"].shape)',
        ),
    ),
    bert("labels one hot", (LOSS, 'optax.softmax_cross_entropy(logits, jax.nn.one_hot(batch["labels"], 3)).mean()')),
    bert("sum and quotient", (LOSS, LOSS.replace(".mean()", '.sum() / len(batch["labels"])'))),
    bert("heads masked with ones", ("head_mask=None", "head_mask=jnp.ones((2, 4))")),
    bert("attention by torch's fused function", theirs="theirs(attention='sdpa')"),
    bert("loss computed by the model", theirs="theirs() | {'loss': lambda model, batch: model(**batch).loss}"),
)

CHANGES = (*ENCODER, *LLAMA, *BERT)
