"""Mistakes in the ResNet: BatchNorm's state, padding, blocks, Adam, initial weights."""

from functools import partial

from tests.ports import faults as f

Fault = partial(f.Fault, model="resnet")
ADAM, POOL = "optax.adam(1e-3)", "padding=((1, 1), (1, 1))"
NORM, CALL = "momentum=0.9, epsilon=1e-5", "y = super().__call__(x)"
UNBIASED = "if not self.use_running_average:"
SUM = "nnx.relu(y + shortcut)"


def adam(new: str) -> tuple[tuple[str, str], ...]:
    return ((ADAM, new),)


FAULTS = [
    Fault(
        name="running variance biased",
        changes=((UNBIASED, "if False:"),),
        module="bn1",
        rung=f.STATE,
        seen="algorithmic-efficiency PR 231",
    ),
    Fault(
        name="momentum inverted",
        changes=((NORM, "momentum=0.1, epsilon=1e-5"),),
        module="bn1",
        rung=f.SETTINGS,
        seen="algorithmic-efficiency PR 231",
    ),
    Fault(name="Flax's momentum", changes=((NORM, "epsilon=1e-5"),), module="bn1", rung=f.SETTINGS),
    Fault(
        name="momentum inverted where no setting shows it",
        changes=((CALL, "self.momentum = 0.1\n        y = super().__call__(x)\n        self.momentum = 0.9"),),
        module="bn1",
        rung=f.STATE,
    ),
    Fault(
        name="statistics never updated",
        changes=(
            (UNBIASED, "self.mean[...], self.var[...] = mean, before\n        if False:"),
            (CALL, f"mean = self.mean[...]\n        {CALL}"),
        ),
        module="bn1",
        rung=f.STATE,
    ),
    Fault(
        name="evaluation in training mode",
        changes=((CALL, "y = super().__call__(x, use_running_average=False)"),),
        module="bn1",
        rung=f.EVAL,
    ),
    Fault(
        name="training in evaluation mode",
        changes=((CALL, "y = super().__call__(x, use_running_average=True)"),),
        module="bn1",
        rung=f.TRAIN,
        seen="equinox 659",
    ),
    Fault(name="epsilon of Keras", changes=((NORM, "momentum=0.9, epsilon=1e-3"),), module="bn1", rung=f.SETTINGS),
    Fault(
        name="statistics without gradients",
        changes=(
            (
                CALL,
                "y = super().__call__(jax.lax.stop_gradient(x))\n"
                "        slope = self.scale[...] * jax.lax.rsqrt(x.var((0, 1, 2)) + self.epsilon)\n"
                "        y += (x - jax.lax.stop_gradient(x)) * jax.lax.stop_gradient(slope)",
            ),
        ),
        module=("layer4.0.bn2", "layer4.0.conv2", "layer4.0.downsample.0", "layer4.0.downsample.1"),
        rung=f.GRADIENTS,
    ),
    Fault(
        name="SAME at stride 2",
        changes=(("padding=padding,", 'padding="SAME",'),),
        module="conv1",
        rung=f.TRAIN,
        seen="flax 963",
    ),
    Fault(
        name="max pooling with SAME",
        changes=((POOL, 'padding="SAME"'),),
        module=("maxpool", "layer1.0.conv1", "layer1.0", "layer1"),
        rung=f.TRAIN,
        seen="flax 963",
    ),
    Fault(
        name="max pooling with ceil_mode",
        changes=((POOL, "padding=((1, 2), (1, 2))"),),
        module=("maxpool", "layer1.0.conv1", "layer1.0", "layer1"),
        rung=f.TRAIN,
    ),
    Fault(
        name="mean pooling for max pooling",
        changes=(("nnx.max_pool(", "nnx.avg_pool("),),
        module=("maxpool", "layer1.0.conv1", "layer1.0", "layer1"),
        rung=f.TRAIN,
    ),
    Fault(
        name="max for the mean at the end",
        changes=(("x.mean((1, 2))", "x.max((1, 2))"),),
        module=("avgpool", "fc"),
        rung=f.TRAIN,
    ),
    Fault(
        name="inputs scaled otherwise",
        changes=(("(0, 2, 3, 1))", "(0, 2, 3, 1)) / 2"),),
        module=("", "conv1"),
        rung=f.TRAIN,
    ),
    Fault(
        name="residual missing",
        changes=((SUM, "nnx.relu(y if self.downsample is None else y + shortcut)"),),
        module="layer1.1",
        rung=f.TRAIN,
    ),
    Fault(
        name="ReLU before the sum",
        changes=((SUM, "nnx.relu(y) + shortcut"),),
        module="layer1.0",
        rung=f.TRAIN,
    ),
    Fault(
        name="shortcut without its norm",
        changes=(("return self.bn(self.conv(x))", "return self.conv(x)"),),
        module=("layer1.0.downsample", "layer1.0.downsample.1"),
        rung=f.TRAIN,
    ),
    Fault(
        name="stride in the block's second convolution",
        changes=(
            ("conv(inputs, outputs, 3, strides, rngs)", "conv(inputs, outputs, 3, 1, rngs)"),
            ("conv(outputs, outputs, 3, 1, rngs)", "conv(outputs, outputs, 3, strides, rngs)"),
        ),
        module="layer2.0.conv1",
        rung=f.TRAIN,
    ),
    Fault(
        name="blocks share a BatchNorm",
        changes=(("self.bn2 = BatchNorm(outputs, rngs)", "self.bn2 = self.bn1"),),
        module=("layer1.0.bn2", "layer1.0.bn1"),
        rung=f.STRUCTURE,
        misnamed=True,  # the shared leaf is paired, and another one of its shape is left over
    ),
    Fault(
        name="He's fan_in for fan_out",
        changes=(('"fan_out"', '"fan_in"'),),
        module="conv1",
        rung=f.FRESH,
    ),
    Fault(
        name="truncated normal for normal",
        changes=(('"fan_out", "normal"', '"fan_out", "truncated_normal"'),),
        module="conv1",
        rung=f.FRESH,
    ),
    Fault(
        name="classifier drawn as Flax does",
        changes=((", kernel_init=uniform, bias_init=uniform", ""),),
        module="fc",
        rung=f.FRESH,
    ),
    Fault(
        name="Adam's epsilon inside the root",
        changes=adam("optax.adam(1e-3, eps=0, eps_root=1e-8)"),
        module=None,
        rung=f.OPTIMIZER,
        seen="optax 571",
    ),
    Fault(name="Adam's epsilon of Keras", changes=adam("optax.adam(1e-3, eps=1e-7)"), module=None, rung=f.OPTIMIZER),
    Fault(
        name="Adam without bias correction",
        changes=adam(
            "optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate("
            "lambda t: 1e-3 * (1 - 0.9 ** (t + 1.0)) / (1 - 0.999 ** (t + 1.0)) ** 0.5))"
        ),
        module=None,
        rung=f.OPTIMIZER,
        seen="mlx PR 1640",
    ),
    Fault(name="betas exchanged", changes=adam("optax.adam(1e-3, b1=0.999, b2=0.9)"), module=None, rung=f.OPTIMIZER),
    Fault(name="learning rate a tenth", changes=adam("optax.adam(1e-4)"), module=None, rung=f.OPTIMIZER),
]
