"""Other ways to write the CNN, the ResNet and the DCGAN generator."""

from functools import partial

from tests.ports.harmless import written

cnn, resnet, dcgan = (partial(written, model) for model in ("cnn", "resnet", "dcgan"))
LOSS = "return optax.softmax_cross_entropy(logits, labels).mean()"
FLAT = "x = self.dropout1(x).reshape(len(x), -1)"
POOL = "nnx.max_pool(nnx.relu(self.conv2(x)), (2, 2), strides=(2, 2))"
SGD = "optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(schedule, momentum=0.9))"
SUPER = "y = super().__call__(x)"
LAST = "optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()"
CALLED = "def __call__(self, x: jax.Array) -> jax.Array:\n        x = jax.image.resize("

CNN = (
    cnn("batch summed backwards", (LOSS, LOSS.replace(".mean()", "[::-1].mean()"))),
    cnn("mean by sum and size", (LOSS, LOSS.replace(".mean()", ".sum() / len(y)"))),
    cnn("loss by logarithms", (LOSS, "return -(labels * jax.nn.log_softmax(logits)).sum(-1).mean()")),
    cnn("transposed before flattening", (FLAT, FLAT.replace(".reshape", ".transpose(0, 3, 1, 2).reshape"))),
    cnn("pooling by reshaping", (POOL, "nnx.relu(self.conv2(x))[:, :8, :6].reshape(-1, 4, 2, 3, 2, 8).max((2, 4))")),
    cnn("ReLU after pooling", (POOL, "nnx.relu(nnx.max_pool(self.conv2(x), (2, 2), strides=(2, 2)))")),
    cnn("ReLU by maximum", ("nnx.relu(self.fc1(x))", "jnp.maximum(self.fc1(x), 0)")),
    cnn("padding written out", ("padding=1,", "padding=((1, 1), (1, 1)),")),
    cnn(
        "SGD from its parts",
        (SGD, "optax.chain(optax.add_decayed_weights(5e-4), optax.trace(0.9), optax.scale_by_learning_rate(schedule))"),
    ),
    cnn("optax's schedule", (SGD, SGD.replace("schedule,", "optax.exponential_decay(0.05, 2, 0.5, staircase=True),"))),
    cnn("loss compiled", ("def loss(model", "@nnx.jit\ndef loss(model")),
    cnn(
        "other names",
        ("self.conv1 =", "self.stem ="),
        ("self.conv1(x)", "self.stem(x)"),
        ("self.fc2 =", "self.classifier ="),
        ("self.fc2(x)", "self.classifier(x)"),
        ("self.fc1 =", "self.hidden ="),
        ("self.fc1(x)", "self.hidden(x)"),
    ),
    cnn(
        "other order of attributes",
        ("        self.conv1 = conv(3, 8, 2, rngs)\n", ""),
        (
            "self.fc2 = linear(32, 10, rngs)\n",
            "self.fc2 = linear(32, 10, rngs)\n        self.conv1 = conv(3, 8, 2, rngs)\n",
        ),
    ),
    cnn("parameters in float64", ("strides=strides, padding", "strides=strides, param_dtype=float, padding")),
    cnn("other fresh weights", ('"model": fresh(1)', '"model": fresh(12)')),
    cnn(
        "layers in a dict",
        (
            "self.fc1 = linear(4 * 3 * 8, 32, rngs)",
            'self.fc = nnx.Dict({"1": linear(4 * 3 * 8, 32, rngs), "2": linear(32, 10, rngs)})',
        ),
        ("        self.fc2 = linear(32, 10, rngs)\n", ""),
        ("self.fc1(x)", 'self.fc["1"](x)'),
        ("self.fc2(x)", 'self.fc["2"](x)'),
    ),
)

RESNET = (
    resnet("variance by squares", ("use_fast_variance=False", "use_fast_variance=True")),
    resnet("pooling by sum", ("x.mean((1, 2))", "x.sum((1, 2)) / (x.shape[1] * x.shape[2])")),
    resnet("pooling in two steps", ("x.mean((1, 2))", "x.mean(2).mean(1)")),
    resnet("shortcut first", ("nnx.relu(y + shortcut)", "nnx.relu(shortcut + y)")),
    resnet("Adam from its parts", ("optax.adam(1e-3)", "optax.chain(optax.scale_by_adam(), optax.scale(-1e-3))")),
    resnet("batch summed backwards", (LAST, LAST.replace(".mean()", "[::-1].mean()"))),
    resnet("momentum by subtraction", ("momentum=0.9, epsilon", "momentum=1 - 0.1, epsilon")),
    resnet(
        "variance corrected at once",
        (
            "self.var[...] += (self.var[...] - self.momentum * before) / (n - 1)",
            "self.var[...] = self.momentum * before + (1 - self.momentum) * x.var((0, 1, 2)) * n / (n - 1)",
        ),
    ),
    resnet("SAME at stride 1", ("padding=padding,", 'padding="SAME" if strides == 1 else padding,')),
    resnet(
        "blocks called otherwise",
        ("self.layer1, self.layer2, self.layer3, self.layer4 = stages", "self.stages = nnx.List(stages)"),
        (
            "(*self.layer1, *self.layer2, *self.layer3, *self.layer4)",
            "[block for stage in self.stages for block in stage]",
        ),
    ),
    resnet("loss compiled", ("def loss(model", "@nnx.jit\ndef loss(model")),
    resnet("images transposed twice", ("(x, (0, 2, 3, 1))", "(x, (0, 3, 2, 1)).swapaxes(1, 2)")),
)

DCGAN = (
    dcgan("kernels flipped by the mapping", ("transpose_kernel=True", "transpose_kernel=False")),
    dcgan(
        "square root and quotient",
        ("(x - now[0]) * jax.lax.rsqrt(now[1] + 1e-5) * scale", "(x - now[0]) / jnp.sqrt(now[1] + 1e-5) * scale"),
    ),
    dcgan(
        "norm as one factor and one term",
        (
            "return (x - now[0]) * jax.lax.rsqrt(now[1] + 1e-5) * scale + bias",
            "factor = jax.lax.rsqrt(now[1] + 1e-5) * scale\n        return x * factor + (bias - now[0] * factor)",
        ),
    ),
    dcgan("variance by squares", ("x.var((0, 1, 2))", "jnp.square(x).mean((0, 1, 2)) - jnp.square(x.mean((0, 1, 2)))")),
    dcgan(
        "error by optax",
        ("jnp.square(model(noise, train) - images).mean()", "2 * optax.l2_loss(model(noise, train), images).mean()"),
    ),
    dcgan("mean of means", ("- images).mean()", "- images).mean((1, 2, 3)).mean()")),
    dcgan("channels first in the loss", ("- images).mean()", "- images).transpose(0, 3, 1, 2).mean()")),
    dcgan(
        "modules named",
        (
            "nn.relu(BatchNorm()(x, train))\n        x = up(8",
            'nn.relu(BatchNorm(name="first_norm")(x, train))\n        x = up(8',
        ),
    ),
    dcgan(
        "gradients checkpointed",
        (
            "x = up(16, 4, 1, (3, 3), use_bias=False)(x)",
            "x = nn.remat(nn.ConvTranspose)(16, (4, 4), (1, 1), ((3, 3), (3, 3)), "
            "kernel_init=normal(0.0), transpose_kernel=True, use_bias=False)(x)",
        ),
    ),
    dcgan(
        "VALID for the full padding",
        ("padding=(padding, padding)", 'padding="VALID" if strides == 1 else (padding, padding)'),
    ),
)

CHANGES = (*CNN, *RESNET, *DCGAN)
