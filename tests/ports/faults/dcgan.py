"""Mistakes in the DCGAN generator: transposed convolutions, a BatchNorm of one's own, Adam's betas, initial weights."""

from functools import partial

from tests.ports import faults as f

Fault = partial(f.Fault, model="dcgan")
STATISTICS = "now = x.mean((0, 1, 2)), x.var((0, 1, 2))"

FAULTS = [
    Fault(
        name="SAME for output_padding",
        changes=(("padding=(padding, padding)", 'padding="SAME" if features == 3 else (padding, padding)'),),
        module="main.6",
        rung=f.TRAIN,
        seen="keras PR 22876",
    ),
    Fault(
        name="one pixel off",
        changes=(("up(8, 4, 2, (2, 2)", "up(8, 4, 2, (1, 3)"),),
        module="main.3",
        rung=f.TRAIN,
        seen="flax 2578",
    ),
    Fault(
        name="kernels not flipped",
        changes=(("kernels[i]", "kernels[i][::-1, ::-1]"),),
        module="main.0",
        rung=f.WEIGHTS,
        seen="jax 11252",
        load=False,
    ),
    Fault(
        name="ReLU with a slope",
        changes=(
            (
                "x = nn.relu(BatchNorm()(x, train))\n        x = up(8",
                "x = nn.leaky_relu(BatchNorm()(x, train), 0.2)\n        x = up(8",
            ),
        ),
        module=("main.2", "main.3"),
        rung=f.TRAIN,
    ),
    Fault(
        name="tanh missing", changes=(("return jnp.tanh(x)", "return x"),), module=("main.7", "main", ""), rung=f.TRAIN
    ),
    Fault(
        name="sigmoid for tanh",
        changes=(("return jnp.tanh(x)", "return jax.nn.sigmoid(x)"),),
        module=("main.7", "main", ""),
        rung=f.TRAIN,
    ),
    Fault(name="epsilon of Keras", changes=(("+ 1e-5)", "+ 1e-3)"),), module="main.1", rung=f.TRAIN),
    Fault(
        name="statistics without gradients",
        changes=((STATISTICS, f"now = jax.lax.stop_gradient(({STATISTICS.removeprefix('now = ')}))"),),
        module="main.3",
        rung=f.GRADIENTS,
    ),
    Fault(
        name="variance without gradients",
        changes=((STATISTICS, STATISTICS.replace("x.var((0, 1, 2))", "jax.lax.stop_gradient(x.var((0, 1, 2)))")),),
        module="main.3",
        rung=f.GRADIENTS,
    ),
    Fault(name="biased variance", changes=((" * n / (n - 1)", ""),), module="main.1", rung=f.STATE),
    Fault(
        name="unbiased variance in the forward pass, too",
        changes=(("x.var((0, 1, 2))", "x.var((0, 1, 2), ddof=1)"), (" * n / (n - 1)", "")),
        module="main.1",
        rung=f.TRAIN,
    ),
    Fault(
        name="momentum inverted",
        changes=(("momentum: float = 0.9", "momentum: float = 0.1"),),
        module="main.1",
        rung=f.SETTINGS,
        seen="algorithmic-efficiency PR 231",
    ),
    Fault(
        name="running mean never updated",
        changes=(("mean.value = self.momentum * mean.value + (1 - self.momentum) * now[0]", "pass"),),
        module="main.1",
        rung=f.STATE,
    ),
    Fault(
        name="evaluation in training mode",
        changes=(("model(noise, train)", "model(noise, True)"),),
        module="main.1",
        rung=f.EVAL,
    ),
    Fault(
        name="training in evaluation mode",
        changes=(("model(noise, train)", "model(noise, False)"),),
        module="main.1",
        rung=f.TRAIN,
        seen="equinox 659",
    ),
    Fault(
        name="absolute for squared error",
        changes=(("jnp.square(model(noise, train) - images)", "jnp.abs(model(noise, train) - images)"),),
        module=None,
        rung=f.LOSS,
    ),
    Fault(
        name="sum over pixels",
        changes=(("- images).mean()", "- images).sum((1, 2, 3)).mean()"),),
        module=None,
        rung=f.LOSS,
    ),
    Fault(
        name="images not transposed",
        changes=(
            (
                "noise, images = (jnp.transpose(x, (0, 2, 3, 1)) for x in batch)",
                "noise, images = jnp.transpose(batch[0], (0, 2, 3, 1)), batch[1].reshape(-1, 16, 16, 3)",
            ),
        ),
        module=None,
        rung=f.LOSS,
        seen="MMdnn 595",
    ),
    Fault(name="Adam's default betas", changes=((", b1=0.5, b2=0.999", ""),), module=None, rung=f.OPTIMIZER),
    Fault(
        name="BatchNorm's initial scale is one",
        changes=(('"scale", normal(1.0)', '"scale", nn.initializers.ones'),),
        module="main.1",
        rung=f.FRESH,
    ),
    Fault(name="Flax's initial bias", changes=((", bias_init=last_bias", ""),), module="main.6", rung=f.FRESH),
    Fault(
        name="Flax's initial kernels",
        changes=(("kernel_init=normal(0.0),\n", ""),),
        module="main.0",
        rung=f.FRESH,
        seen="flax 4091",
    ),
    Fault(
        name="bias in every layer",
        changes=((", use_bias=False)(x)  # (n, 8, 8, 8)", ")(x)  # (n, 8, 8, 8)"),),
        module="main.3",
        rung=f.SETTINGS,
    ),
]
