"""Other formulas that give the same numbers, in all models."""

from functools import partial

from tests.ports.harmless import written

cnn, resnet, dcgan, gpt, lstm, gru, encoder, equinox, llama, bert = (
    partial(written, model)
    for model in ("cnn", "resnet", "dcgan", "gpt", "lstm", "gru", "encoder", "encoder_equinox", "llama", "bert")
)
LAST = "return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()"
TOKENS = "return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()"
BERT_LOSS = 'optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]).mean()'
BY_SUMS = "return (jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(logits, y[..., None], -1)[..., 0]).mean()"
GATES = 'gates = x @ params["weight_ih"].T + params["bias_ih"] + h @ params["weight_hh"].T + params["bias_hh"]'
DIRECTIONS = """    forward = scan(partial(lstm_step, params["lstm"]["forward"]), (zeros, zeros), x)
    backward = scan(partial(lstm_step, params["lstm"]["reverse"]), (zeros, zeros), x, reverse=True)
"""
AT_ONCE = """    cells = params["lstm"]["forward"], params["lstm"]["reverse"]
    weights = jax.tree.map(lambda *two: jnp.stack(two), *cells)
    both = jax.vmap(lambda weights, x: scan(partial(lstm_step, weights), (zeros, zeros), x))
    forward, backward = both(weights, jnp.stack([x, x[:, ::-1]]))
    backward = backward[:, ::-1]
"""
DROPPED = """def dropped(drop: nnx.Dropout, x: jax.Array) -> jax.Array:
    if drop.deterministic:
        return x
    return x * jax.random.bernoulli(drop.rngs(), 1 - drop.rate, x.shape) / (1 - drop.rate)


"""
SCORES = 'jnp.einsum("nqhd,nkhd->nhqk", query, key) / math.sqrt(width // HEADS)'
REPEATED = "key, value = (jnp.repeat(part, HEADS // KEY_HEADS, axis=1) for part in (key, value))"
WEIGHTS = "weights = jax.nn.softmax(jnp.where(seen[None], scores, -jnp.inf), axis=-1)"
GRU_INPUT = 'x @ params["weight_ih"].T + params["bias_ih"]'

IMAGES = (
    cnn(
        "halving by means",
        (
            'jax.image.resize(x, (len(x), 18, 14, 3), "bilinear", antialias=False)',
            "x.reshape(-1, 18, 2, 14, 2, 3).mean((2, 4))",
        ),
    ),
    cnn(
        "convolution without its module",
        (
            "nnx.relu(self.conv1(x))",
            "nnx.relu(jax.lax.conv_general_dilated(x, self.conv1.kernel[...], (2, 2), ((1, 1), (1, 1)), "
            'dimension_numbers=("NHWC", "HWIO", "NHWC")) + self.conv1.bias[...])',
        ),
    ),
    cnn(
        "last layer by einsum",
        ("return self.fc2(x)", 'return jnp.einsum("ni,io->no", x, self.fc2.kernel[...]) + self.fc2.bias[...]'),
    ),
    cnn(
        "labels smoothed by hand",
        ("optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)", "jnp.where(y[:, None] == jnp.arange(10), 0.91, 0.01)"),
    ),
    cnn(
        "schedule from a table",
        ("return 0.05 * 0.5 ** (count // 2)", "return jnp.asarray([0.05, 0.025, 0.0125, 0.00625])[count // 2]"),
    ),
    resnet(
        "pooling by windows",
        (
            "nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))",
            "jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "
            "((0, 0), (1, 1), (1, 1), (0, 0)))",
        ),
    ),
    resnet(
        "convolutions of one pixel by products",
        (
            "self.conv = conv(inputs, outputs, 1, strides, rngs)",
            "self.conv = conv(inputs, outputs, 1, strides, rngs)\n        self.every = strides",
        ),
        ("self.bn(self.conv(x))", "self.bn(x[:, :: self.every, :: self.every] @ self.conv.kernel[0, 0])"),
    ),
    resnet("ReLU by a choice", ("nnx.relu(y + shortcut)", "jnp.where(y > -shortcut, y + shortcut, 0)")),
    resnet("loss by the logarithm of a sum", (LAST, BY_SUMS)),
    dcgan("tanh by the sigmoid", ("return jnp.tanh(x)", "return 2 * jax.nn.sigmoid(2 * x) - 1")),
    dcgan(
        "convolutions of inputs with holes",
        ("return nn.ConvTranspose(", "return nn.Conv("),
        ("(strides, strides),", "input_dilation=(strides, strides),"),
        ("                transpose_kernel=True,\n", ""),
    ),
    dcgan("moments by sums", ("x.mean((0, 1, 2)), x.var", 'jnp.einsum("nhwc->c", x) / n, x.var')),
)

SEQUENCES = (
    gpt(
        "heads one by one, under vmap",
        (SCORES, f"jax.vmap(lambda q, k: q @ k.swapaxes(1, 2), (2, 2), 1)(query, key){SCORES[41:]}"),
    ),
    gpt(
        "GELU by the normal distribution",
        (
            "hidden = jax.nn.gelu(self.c_fc(x), approximate=False)",
            "hidden = self.c_fc(x)\n        hidden = hidden * jax.scipy.stats.norm.cdf(hidden)",
        ),
    ),
    gpt(
        "dropout written out",
        ("class MLP(nnx.Module)", f"{DROPPED}class MLP(nnx.Module)"),
        ("return self.dropout(self.c_proj(hidden))", "return dropped(self.dropout, self.c_proj(hidden))"),
    ),
    gpt("loss by the logarithm of a sum", (TOKENS, f"logits = model(x)\n    {BY_SUMS}")),
    gpt(
        "mask made by NumPy",
        ("import optax\n", "import numpy as np\nimport optax\n"),
        ("jnp.tril(jnp.ones((1, 1, length, length), bool))", "np.tri(length, dtype=bool)[None, None]"),
    ),
    lstm("both directions at once", (DIRECTIONS, AT_ONCE)),
    lstm(
        "gates one by one",
        (
            GATES,
            "parts = zip(*(jnp.split(params[name], 4) for name in sorted(params)), strict=True)\n"
            "    gates = jnp.concatenate([x @ w.T + b + h @ v.T + c for c, b, v, w in parts], -1)",
        ),
    ),
    lstm("sigmoid by logarithms", ("jax.nn.sigmoid(f) * c", "jnp.exp(-jnp.logaddexp(0, -f)) * c")),
    gru(
        "inputs projected before the loop",
        (f"jnp.split({GRU_INPUT}, 3, axis=-1)", "jnp.split(x, 3, axis=-1)"),
        ('params["gru"]), zeros, x))', f'params["gru"]), zeros, {GRU_INPUT.replace("params", "cell")}))'),
        ('    outputs = observe("gru"', '    cell = params["gru"]\n    outputs = observe("gru"'),
    ),
    gru(
        "gates in an axis of their own",
        (f"jnp.split({GRU_INPUT}, 3, axis=-1)", f"jnp.moveaxis(({GRU_INPUT}).reshape(-1, 3, HIDDEN), 1, 0)"),
    ),
    gru("new state by lerp", ("h = (1 - z) * n + z * h", "h = h - (1 - z) * (h - n)")),
)

ATTENTION = (
    encoder(
        "mean over labels by weights",
        (
            "jnp.where(y == -100, 0, losses).sum() / (y != -100).sum()",
            "jnp.average(losses, weights=(y != -100).astype(losses.dtype))",
        ),
    ),
    encoder(
        "dropout written out",
        ("class EncoderLayer(nnx.Module)", f"{DROPPED}class EncoderLayer(nnx.Module)"),
        (
            "hidden = self.dropout(nnx.relu(self.linear1(x)))",
            "hidden = dropped(self.dropout, nnx.relu(self.linear1(x)))",
        ),
    ),
    equinox(
        "products of whole sequences",
        ("jax.vmap(self.linear1)(x)", "x @ self.linear1.weight.T + self.linear1.bias"),
        ("jax.vmap(self.head)(x)", 'jnp.einsum("ti,oi->to", x, self.head.weight) + self.head.bias'),
    ),
    equinox(
        "mask by comparison of positions",
        (
            "jnp.broadcast_to(jnp.arange(len(x)) < length, (len(x), len(x)))",
            "~(jnp.zeros((len(x), 1), bool) | (jnp.arange(len(x)) >= length))",
        ),
    ),
    llama(
        "attention by JAX's own function",
        (REPEATED, "heads = query[None], key[None], value[None]"),
        ('scores = jnp.einsum("qhd,khd->hqk", query, key) / HEAD**0.5', "del query, key, value"),
        (WEIGHTS, "y = jax.nn.dot_product_attention(*heads, mask=seen[None, None])"),
        ('y = jnp.einsum("hqk,khd->qhd", weights, value).reshape(length, -1)', "y = y.reshape(length, -1)"),
    ),
    llama(
        "gate and value by one product",
        (
            "self.down_proj(jax.nn.silu(self.gate_proj(x)) * self.up_proj(x))",
            "self.down_proj(jnp.multiply(*self.both(x)))\n\n"
            "    def both(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:\n"
            "        weights = jnp.concatenate([self.gate_proj.weight, self.up_proj.weight])\n"
            "        gate, value = jnp.split(weights @ x, 2)\n"
            "        return jax.nn.silu(gate), value",
        ),
    ),
    llama("words by their rows", ("jax.vmap(self.embed_tokens)(tokens)", "self.embed_tokens.weight[tokens]")),
    llama(
        "last norm written out",
        (
            "jax.vmap(self.norm)(x)",
            "x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-6) * self.norm.weight",
        ),
    ),
    bert(
        "loss by the logarithm of a sum",
        (f"    return {BERT_LOSS}", f'    y = batch["labels"]\n    {BY_SUMS}'),
    ),
)

CHANGES = (*IMAGES, *SEQUENCES, *ATTENTION)
