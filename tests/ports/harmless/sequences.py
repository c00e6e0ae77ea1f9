"""Other ways to write the GPT, the LSTM and the GRU."""

from functools import partial

from tests.ports.harmless import written

gpt, lstm, gru = (partial(written, model) for model in ("gpt", "lstm", "gru"))
SCORES = 'jnp.einsum("nqhd,nkhd->nhqk", query, key) / math.sqrt(width // HEADS)'
MASK = "scores = jnp.where(causal, scores, -jnp.inf)"
MEAN = "optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()"
ADAMW = "optax.adamw(schedule, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1, mask=is_matrix)"
HEADS = "heads = [part.reshape(n, length, HEADS, -1) for part in jnp.split(self.c_attn(x), 3, axis=-1)]"
PACKED = "self.c_attn = linear(WIDTH, 3 * WIDTH, 0.02, rngs)"
GATES = 'gates = x @ params["weight_ih"].T + params["bias_ih"] + h @ params["weight_hh"].T + params["bias_hh"]'
SCAN = "_, outputs = jax.lax.scan(step, start, x.swapaxes(0, 1), reverse=reverse)"
LOOP = """outputs = []
    for t in range(x.shape[1])[:: -1 if reverse else 1]:
        start, output = step(start, x[:, t])
        outputs.append(output)
    outputs = jnp.stack(outputs[:: -1 if reverse else 1])"""
RMSPROP = "optax.rmsprop(1e-2, decay=0.9, eps=1e-4, eps_in_sqrt=False)"
REVERSED = "(zeros, zeros), x, reverse=True)"
ORDER = "i, f, g, o = jnp.split(gates, 4, axis=-1)"

GPT = (
    gpt(
        "products by matmul",
        (SCORES, "query.transpose(0, 2, 1, 3) @ key.transpose(0, 2, 3, 1) / math.sqrt(width // HEADS)"),
    ),
    gpt("queries scaled", (SCORES, 'jnp.einsum("nqhd,nkhd->nhqk", query / math.sqrt(width // HEADS), key)')),
    gpt("mask with the smallest number", (MASK, MASK.replace("-jnp.inf", "jnp.finfo(scores.dtype).min"))),
    gpt("mask added", (MASK, "scores = scores + jnp.where(causal, 0, -jnp.inf)")),
    gpt(
        "mask by comparison",
        (
            "jnp.tril(jnp.ones((1, 1, length, length), bool))",
            "(jnp.arange(length)[:, None] >= jnp.arange(length)[None])[None, None]",
        ),
    ),
    gpt(
        "softmax by hand",
        (
            "jax.nn.softmax(scores, axis=-1)",
            "(lambda powers: powers / powers.sum(-1, keepdims=True))(jnp.exp(scores - scores.max(-1, keepdims=True)))",
        ),
    ),
    gpt("logits by attend", ("self.ln_f(x) @ self.wte.embedding[...].T", "self.wte.attend(self.ln_f(x))")),
    gpt(
        "GELU by erf",
        (
            "hidden = jax.nn.gelu(self.c_fc(x), approximate=False)",
            "hidden = self.c_fc(x)\n        hidden = hidden * (1 + jax.lax.erf(hidden / math.sqrt(2))) / 2",
        ),
    ),
    gpt("variance by squares", ("use_fast_variance=False", "use_fast_variance=True")),
    gpt("schedule in float32", ("step = 1.0 * count ", "step = count.astype(jnp.float32) ")),
    gpt(
        "two optimizers by group",
        (
            ADAMW,
            "optax.multi_transform({True: optax.adamw(schedule, b2=0.95, weight_decay=0.1), "
            "False: optax.adamw(schedule, b2=0.95, weight_decay=0)}, is_matrix)",
        ),
    ),
    gpt(
        "AdamW from its parts",
        (
            ADAMW,
            "optax.chain(optax.scale_by_adam(0.9, 0.95), optax.add_decayed_weights(0.1, is_matrix), "
            "optax.scale_by_learning_rate(schedule))",
        ),
    ),
    gpt(
        "tokens flattened",
        (
            MEAN,
            "optax.softmax_cross_entropy_with_integer_labels(model(x).reshape(-1, VOCABULARY), y.reshape(-1)).mean()",
        ),
    ),
    gpt("tokens summed backwards", (MEAN, MEAN.replace(".mean()", "[::-1, ::-1].mean()"))),
    gpt(
        "query, key and value apart",
        (PACKED, "self.query, self.key, self.value = (linear(WIDTH, WIDTH, 0.02, rngs) for _ in range(3))"),
        (HEADS, "heads = [part(x).reshape(n, length, HEADS, -1) for part in (self.query, self.key, self.value)]"),
    ),
    gpt(
        "other names",
        ("self.wte = nnx", "self.token_embedding = nnx"),
        ("self.wte(tokens)", "self.token_embedding(tokens)"),
        ("self.wte.embedding", "self.token_embedding.embedding"),
        ("self.h = nnx", "self.blocks = nnx"),
        ("in self.h:", "in self.blocks:"),
    ),
    gpt(
        "blocks checkpointed",
        ("            x = block(x)\n", "            x = nnx.remat(lambda block, x: block(x))(block, x)\n"),
    ),
    gpt("loss compiled", ("def loss(model", "@nnx.jit\ndef loss(model")),
    gpt("positions taken as a slice", ("self.wpe(positions)[None]", "self.wpe.embedding[: tokens.shape[1]][None]")),
    gpt("residual added on the other side", ("return x + self.mlp(self.ln_2(x))", "return self.mlp(self.ln_2(x)) + x")),
)

LSTM = (
    lstm(
        "loop for scan",
        (
            SCAN,
            LOOP,
        ),
    ),
    lstm("scan unrolled", (SCAN, SCAN.replace("reverse=reverse", "reverse=reverse, unroll=3"))),
    lstm(
        "one product for both inputs",
        (
            GATES,
            'weights = jnp.concatenate([params["weight_ih"], params["weight_hh"]], 1)\n'
            '    gates = jnp.concatenate([x, h], -1) @ weights.T + params["bias_ih"] + params["bias_hh"]',
        ),
    ),
    lstm(
        "biases added first",
        (
            GATES,
            'gates = x @ params["weight_ih"].T + h @ params["weight_hh"].T + (params["bias_ih"] + params["bias_hh"])',
        ),
    ),
    lstm(
        "products by einsum",
        (GATES, GATES.replace('x @ params["weight_ih"].T', 'jnp.einsum("nw,gw->ng", x, params["weight_ih"])')),
    ),
    lstm("another order of gates, weights paired by numbers", (ORDER, ORDER.replace("i, f, g, o", "f, g, o, i"))),
    lstm("inputs reversed for the way back", (REVERSED, "(zeros, zeros), x[:, ::-1])[:, ::-1]")),
    lstm(
        "mean by sum",
        ("outputs.mean(1)))\n\n\ndef gru", "outputs.sum(1) / outputs.shape[1]))\n\n\ndef gru"),
    ),
    lstm("sigmoid by tanh", ("jax.nn.sigmoid(o)", "(jnp.tanh(o / 2) + 1) / 2")),
    lstm(
        "RMSprop from its parts",
        (RMSPROP, "optax.chain(optax.scale_by_rms(0.9, 1e-4, eps_in_sqrt=False), optax.scale(-1e-2))"),
    ),
    lstm("embedding by product", ("table[words])", "jax.nn.one_hot(words, WORDS, dtype=table.dtype) @ table)")),
    lstm("loss compiled", ('"loss": partial(loss, network)', '"loss": jax.jit(partial(loss, network))')),
    gru(
        "loop for scan",
        (
            SCAN,
            LOOP,
        ),
    ),
    gru("state updated by difference", ("h = (1 - z) * n + z * h", "h = n + z * (h - n)")),
    gru(
        "another order of gates, weights paired by numbers",
        ("r_x, z_x, n_x = jnp.split", "z_x, n_x, r_x = jnp.split"),
        ("r_h, z_h, n_h = jnp.split", "z_h, n_h, r_h = jnp.split"),
    ),
    gru("scan unrolled", (SCAN, SCAN.replace("reverse=reverse", "reverse=reverse, unroll=3"))),
)

CHANGES = (*GPT, *LSTM)
