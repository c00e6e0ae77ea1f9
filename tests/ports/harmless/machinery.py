"""The same programs through other machinery: JAX's transformations, containers, dtypes, optimizers, random numbers."""

from functools import partial

from tests.ports.harmless import written

cnn, resnet, dcgan, gpt, lstm, gru, encoder, equinox, llama, bert = (
    partial(written, model)
    for model in ("cnn", "resnet", "dcgan", "gpt", "lstm", "gru", "encoder", "encoder_equinox", "llama", "bert")
)
STREAMS = ("nnx.Rngs(seed)", "nnx.Rngs(params=seed, dropout=seed + 100)")
OTHER_KEYS = ("nnx.Rngs(seed)", 'nnx.Rngs(jax.random.key(seed, impl="rbg"))')
RBG = ("jax.random.key(seed)", 'jax.random.key(seed, impl="rbg")')
SGD = "optax.sgd(schedule, momentum=0.9)"
ADAM = "adam = optax.adam(2e-4, b1=0.5, b2=0.999)"
CHAIN = "optimizer = optax.chain(clip_as_torch(1.0), adamw)"
SCAN = "_, outputs = jax.lax.scan(step, start, x.swapaxes(0, 1), reverse=reverse)"
FORI = """def body(t: Any, carry: Any) -> Any:
        state, outputs = carry
        place = x.shape[1] - 1 - t if reverse else t
        state, output = step(state, x[:, place])
        return state, outputs.at[place].set(output)

    empty = jnp.zeros((x.shape[1], len(x), HIDDEN), x.dtype)
    _, outputs = jax.lax.fori_loop(0, x.shape[1], body, (start, empty))"""
LAYERS = """        for layer, layer_key in zip(self.layers, jax.random.split(key, 2), strict=True):
            x = layer(x, mask, layer_key)
"""
IN_SCAN = """        arrays = [eqx.filter(layer, eqx.is_array) for layer in self.layers]
        rest = eqx.filter(self.layers[0], eqx.is_array, inverse=True)
        stacked = jax.tree.map(lambda *both: jnp.stack(both), *arrays)

        def step(x: jax.Array, given: tuple[EncoderLayer, jax.Array]) -> tuple[jax.Array, None]:
            return eqx.combine(given[0], rest)(x, mask, given[1]), None

        x, _ = jax.lax.scan(step, x, (stacked, jax.random.split(key, 2)))
"""
WRAPPED = """class Wrapped(nnx.Module):
    def __init__(self, net: Net) -> None:
        self.net = net

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.net(x)


"""
LINEN_WRAPPED = """class Wrapped(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        return Generator()(x, train)


"""
BATCH = "model(*inputs, head_mask=None, deterministic=not train).logits"

IMAGES = (
    cnn(
        "network in a wrapper",
        ("def loss(model", f"{WRAPPED}def loss(model"),
        ("    return Net(nnx.Rngs(seed))", "    return Wrapped(Net(nnx.Rngs(seed)))"),
    ),
    cnn(
        "layers in a Sequential",
        (
            "self.fc2 = linear(32, 10, rngs)",
            "self.top = nnx.Sequential(self.fc1, nnx.relu, self.dropout2, linear(32, 10, rngs))\n"
            "        del self.fc1, self.dropout2",
        ),
        ("        x = self.dropout2(nnx.relu(self.fc1(x)))\n        return self.fc2(x)", "        return self.top(x)"),
    ),
    cnn("labels of one byte", ("jax.nn.one_hot(y, 10)", "jax.nn.one_hot(y.astype(jnp.uint8), 10)")),
    cnn("rate and momentum injected", (SGD, "optax.inject_hyperparams(optax.sgd)(schedule, momentum=0.9)")),
    cnn("loss of one image, under vmap", ("optax.softmax_cross_entropy(l", "jax.vmap(optax.softmax_cross_entropy)(l")),
    cnn(
        "decay with a mask that leaves nothing out",
        ("add_decayed_weights(5e-4)", "add_decayed_weights(5e-4, lambda params: jax.tree.map(lambda _: True, params))"),
    ),
    cnn("streams apart", STREAMS),
    resnet(
        "blocks checkpointed", ("            x = block(x)\n", "            x = nnx.remat(Block.__call__)(block, x)\n")
    ),
    resnet("only finite steps", ("optax.adam(1e-3)", "optax.apply_if_finite(optax.adam(1e-3), 3)")),
    resnet("weights drawn by another generator", ("nnx.Rngs(seed))\n\n\ndef full", f"{OTHER_KEYS[1]})\n\n\ndef full")),
    dcgan(
        "network in a wrapper",
        ("def loss(model", f"{LINEN_WRAPPED}def loss(model"),
        ("return Generator(), Generator().init", "return Wrapped(), Wrapped().init"),
        ('"model": Generator()', '"model": Wrapped()'),
    ),
    dcgan(
        "last layers in a Sequential",
        (
            "x = up(3, 3, 2, (1, 2), bias_init=last_bias)(x)",
            "x = nn.Sequential([up(3, 3, 2, (1, 2), bias_init=last_bias), jnp.tanh])(x)",
        ),
        ("return jnp.tanh(x)", "return x"),
    ),
    dcgan(
        "gradients saved up for one step", (ADAM, ADAM.replace("optax.adam(", "optax.MultiSteps(optax.adam(") + ", 1)")
    ),
    dcgan(
        "norms compiled", ("class Generator", "BatchNorm = nn.jit(BatchNorm, static_argnums=2)\n\n\nclass Generator")
    ),
    dcgan("train by keyword", ("model(noise, train)", "model(noise, train=train)")),
)

SEQUENCES = (
    gpt("chain with names", (CHAIN, 'optimizer = optax.named_chain(("clip", clip_as_torch(1.0)), ("adamw", adamw))')),
    gpt(
        "steps compiled, state donated",
        (
            CHAIN,
            f"{CHAIN}\n    compiled = jax.jit(optimizer.update, donate_argnums=1)\n"
            "    optimizer = optax.GradientTransformation(optimizer.init, compiled)",
        ),
    ),
    gpt("tokens of two bytes", ("(model(x), y)", "(model(x.astype(jnp.int16)), y.astype(jnp.int16))")),
    gpt("weights drawn by another generator", OTHER_KEYS),
    gpt(
        "mask kept as a buffer",
        (
            "        self.attn_dropout =",
            "        self.bias = nnx.Variable(jnp.tri(CONTEXT)[None, None])\n        self.attn_dropout =",
        ),
        ("jnp.tril(jnp.ones((1, 1, length, length), bool))", "self.bias[:, :, :length, :length] > 0"),
    ),
    lstm("steps checkpointed", (SCAN, SCAN.replace("scan(step", "scan(jax.checkpoint(step)"))),
    lstm("fori_loop for scan", (SCAN, FORI)),
    lstm("weights drawn by another generator", ("(jax.random.key(seed), 4)", f"({RBG[1]}, 4)")),
    gru("fori_loop for scan", (SCAN, FORI)),
    gru(
        "weights of the last layer in a tuple",
        ('return x @ params["weight"].T + params["bias"]', "return x @ params[0].T + params[1]"),
        (
            'uniform(keys[2], {"weight": (CLASSES, HIDDEN), "bias": (CLASSES,)}, HIDDEN)',
            'tuple(uniform(keys[2], {"weight": (CLASSES, HIDDEN), "bias": (CLASSES,)}, HIDDEN).values())',
        ),
    ),
    gru("weights drawn by another generator", ("(jax.random.key(seed), 3)", f"({RBG[1]}, 3)")),
)

ATTENTION = (
    encoder(
        "layers compiled",
        ("    def __call__(self, x: jax.Array, mask", "    @nnx.jit\n    def __call__(self, x: jax.Array, mask"),
    ),
    encoder(
        "layers checkpointed",
        ("x = layer(x, mask[:, None, None])", "x = nnx.remat(EncoderLayer.__call__)(layer, x, mask[:, None, None])"),
    ),
    encoder("streams apart", STREAMS),
    equinox(
        "layers checkpointed", ("x = layer(x, mask, layer_key)", "x = eqx.filter_checkpoint(layer)(x, mask, layer_key)")
    ),
    equinox(
        "keys folded in",
        (
            "jax.random.split(key, len(x)))",
            "jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(len(x))))",
        ),
        ("from typing import Any\n", "from functools import partial\nfrom typing import Any\n"),
    ),
    equinox("layers in a scan", (LAYERS, IN_SCAN)),
    llama("a loop over sequences for vmap", ("jax.vmap(model)(x)", "jax.lax.map(model, x)")),
    llama("attention checkpointed", ("x + self.self_attn(", "x + eqx.filter_checkpoint(self.self_attn)(")),
    llama("weights drawn by another generator", RBG),
    bert(
        "inputs by keyword",
        (
            BATCH,
            "model(position_ids=inputs[3], token_type_ids=inputs[2], attention_mask=inputs[1], input_ids=inputs[0], "
            "deterministic=not train, head_mask=None).logits",
        ),
    ),
    bert("outputs in a tuple", (BATCH, BATCH.replace(").logits", ", return_dict=False)[0]"))),
    bert(
        "layers checkpointed", ("config, dtype=jnp.float64", "config, gradient_checkpointing=True, dtype=jnp.float64")
    ),
    bert(
        "variables frozen",
        ("import optax\n", "import optax\nfrom flax.core import freeze\n"),
        ('bert().module, {"params": params}', 'bert().module, freeze({"params": params})'),
    ),
    bert("mask of booleans", ('batch["attention_mask"], batch', 'batch["attention_mask"] > 0, batch')),
    bert("tokens of one byte", ('inputs = (batch["input_ids"],', 'inputs = (batch["input_ids"].astype(jnp.uint8),')),
)

CHANGES = (*IMAGES, *SEQUENCES, *ATTENTION)
