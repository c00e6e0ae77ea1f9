"""Mistakes in the CNN: pooling, padding, dropout, loss, SGD, schedule, initial weights, conversion."""

from functools import partial

from tests.ports import faults as f

Fault = partial(f.Fault, model="cnn")
SGD = "optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(schedule, momentum=0.9))"
CONV = "padding=1, kernel_init=init, bias_init=init, rngs=rngs"
DROP1, DROP2 = "self.dropout1(x)", "self.dropout2("


def sgd(new: str) -> tuple[tuple[str, str], ...]:
    return ((SGD, new),)


FAULTS = [
    Fault(
        name="SAME at stride 2",
        changes=((CONV, CONV.replace("padding=1", 'padding="SAME"')),),
        module="conv1",
        rung=f.TRAIN,
        seen="flax 963",
    ),
    Fault(
        name="mean pooling for max pooling",
        changes=(("nnx.max_pool(", "nnx.avg_pool("),),
        module=("pool", "dropout1"),
        rung=f.TRAIN,
    ),
    Fault(
        name="resizing with antialias",
        changes=((", antialias=False", ""),),
        module=("resize", "conv1"),
        rung=f.TRAIN,
        seen="jax 15768",
    ),
    Fault(
        name="height and width exchanged",
        changes=(("(0, 2, 3, 1)", "(0, 3, 2, 1)"),),
        module=("", "resize", "conv1"),
        rung=f.TRAIN,
    ),
    Fault(
        name="dropout 0.2 for 0.1",
        changes=(("nnx.Dropout(0.1", "nnx.Dropout(0.2"),),
        module="dropout1",
        rung=f.SETTINGS,
    ),
    Fault(
        name="dropout 0.0 for 0.1",
        changes=(("nnx.Dropout(0.1", "nnx.Dropout(0.0"),),
        module="dropout1",
        rung=f.SETTINGS,
    ),
    Fault(
        name="dropout never applied",
        changes=((DROP2, "("),),
        module=("dropout2", "fc2"),
        rung=f.SETTINGS,
    ),
    Fault(
        name="one mask for the whole training",
        changes=((DROP1, "self.dropout1(x, rngs=jax.random.key(0))"),),
        module="dropout1",
        rung=f.TRAJECTORY,
    ),
    Fault(
        name="dropout in evaluation",
        changes=((DROP1, "self.dropout1(x, deterministic=False)"),),
        module="dropout1",
        rung=f.EVAL,
    ),
    Fault(
        name="activation forgotten",
        changes=(("nnx.relu(self.fc1(x))", "self.fc1(x)"),),
        module=("dropout2", "fc1"),
        rung=f.TRAIN,
    ),
    Fault(
        name="layer in bfloat16",
        changes=(
            ("nnx.Linear(inputs, outputs, kernel_init", "nnx.Linear(inputs, outputs, dtype=jnp.bfloat16, kernel_init"),
        ),
        module="fc1",
        rung=f.TRAIN,
        seen="openpi 989",
    ),
    Fault(
        name="bias left out",
        changes=(("return nnx.Linear(inputs, outputs,", "return nnx.Linear(inputs, outputs, use_bias=outputs != 10,"),),
        module="fc2",
        rung=f.SETTINGS,
    ),
    Fault(name="sum for mean", changes=((".mean()", ".sum()"),), module=None, rung=f.LOSS),
    Fault(
        name="no label smoothing",
        changes=(("optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)", "jax.nn.one_hot(y, 10)"),),
        module=None,
        rung=f.LOSS,
    ),
    Fault(
        name="smoothing over the wrong labels only",
        changes=((", 0.1)", ", 0.1 * 10 / 9)"),),
        module=None,
        rung=f.LOSS,
    ),
    Fault(
        name="gradient stopped",
        changes=(("nnx.relu(self.conv1(x))", "jax.lax.stop_gradient(nnx.relu(self.conv1(x)))"),),
        module="conv1",
        rung=f.GRADIENTS,
    ),
    Fault(
        name="Nesterov",
        changes=sgd(SGD.replace("momentum=0.9", "momentum=0.9, nesterov=True")),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(
        name="momentum with dampening",
        changes=sgd(
            "optax.chain(optax.add_decayed_weights(5e-4), optax.ema(0.9, debias=False), "
            "optax.scale_by_learning_rate(schedule))"
        ),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(name="decay missing", changes=sgd("optax.sgd(schedule, momentum=0.9)"), module=None, rung=f.OPTIMIZER),
    Fault(
        name="decay after momentum",
        changes=sgd(
            "optax.chain(optax.trace(0.9), optax.add_decayed_weights(5e-4), optax.scale_by_learning_rate(schedule))"
        ),
        module=None,
        rung=f.OPTIMIZER,
        seen="optax 417",
    ),
    Fault(
        name="schedule one step early",
        changes=(("count // 2", "(count + 1) // 2"),),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(
        name="schedule by epochs for steps",
        changes=(("count // 2", "count // 6 // 2"),),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(
        name="Flax's initial biases",
        changes=((CONV, CONV.replace("bias_init=init, ", "")),),
        module="conv1",
        rung=f.FRESH,
        seen="flax 3125",
    ),
    Fault(
        name="Flax's initial kernels",
        changes=((CONV, CONV.replace("kernel_init=init, ", "")),),
        module="conv1",
        rung=f.FRESH,
        seen="jax 4862",
    ),
    Fault(
        name="He's initial weights",
        changes=(("bound = fan_in**-0.5", "bound = (6 / fan_in) ** 0.5"),),
        module="conv1",
        rung=f.FRESH,
        seen="pytorch 15314",
    ),
    Fault(
        name="flattened rows not permuted",
        changes=((".reshape(32, 8, 4, 3).transpose(2, 3, 1, 0).reshape(96, 32)", ".T"),),
        module="fc1",
        rung=f.WEIGHTS,
        seen="MMdnn 595",
        load=False,
    ),
    Fault(
        name="inputs and outputs of kernels exchanged",
        changes=(('"conv2.kernel": (2, 3, 1, 0)', '"conv2.kernel": (2, 3, 0, 1)'),),
        module="conv2",
        rung=f.WEIGHTS,
        load=False,
    ),
]
