"""Mistakes in the encoders: masks, heads, dropout, copied layers, labels, Adam with L2, initial weights."""

from functools import partial

from tests.ports import faults as f

Fault = partial(f.Fault, model="encoder")
Equinox = partial(f.Fault, model="encoder_equinox")
LAYER = "encoder.layers.0"
COPY = "nnx.update(second, nnx.state(first, nnx.Param))  # TransformerEncoder copies its layer"
ATTEND = "self.self_attn(x, mask=mask)"

FAULTS = [
    Fault(
        name="layers drawn one by one",
        changes=((COPY, ""),),
        module=("encoder.layers.1", "encoder.layers.0", "encoder"),
        rung=f.FRESH,
        seen="pytorch 72253",
    ),
    Fault(
        name="layers copied with their random streams",
        changes=((COPY, "second = nnx.clone(first)"),),
        module=("encoder.layers.1", "encoder.layers.1.self_attn", "encoder.layers.1.dropout1", "encoder"),
        rung=f.TRAJECTORY,
    ),
    Fault(
        name="norm before attention",
        changes=(
            (f"self.norm1(x + self.dropout1({ATTEND}))", "x + self.dropout1(self.self_attn(self.norm1(x), mask=mask))"),
        ),
        module=(LAYER, f"{LAYER}.norm1", f"{LAYER}.self_attn"),
        rung=f.TRAIN,
    ),
    Fault(
        name="norms exchanged",
        changes=(
            (f"self.norm1(x + self.dropout1({ATTEND}))", f"self.norm2(x + self.dropout1({ATTEND}))"),
            ("return self.norm2(x", "return self.norm1(x"),
        ),
        module=(LAYER, f"{LAYER}.norm1", f"{LAYER}.norm2"),
        rung=f.TRAIN,
    ),
    Fault(
        name="residual missing",
        changes=((f"x + self.dropout1({ATTEND})", f"self.dropout1({ATTEND})"),),
        module=(LAYER, f"{LAYER}.norm1"),
        rung=f.TRAIN,
    ),
    Fault(
        name="padding attended to", changes=((ATTEND, "self.self_attn(x)"),), module=f"{LAYER}.self_attn", rung=f.TRAIN
    ),
    Fault(
        name="mask inverted",
        changes=(("jnp.arange(x.shape[1]) < lengths", "jnp.arange(x.shape[1]) >= lengths"),),
        module=(f"{LAYER}.self_attn", "encoder", ""),
        rung=f.TRAIN,
    ),
    Fault(
        name="queries masked for keys",
        changes=(("mask[:, None, None]", "mask[:, None, :, None]"),),
        module=(f"{LAYER}.self_attn", "encoder", ""),
        rung=f.TRAIN,
    ),
    Fault(
        name="two heads for four",
        changes=(("num_heads=4", "num_heads=2"),),
        module=f"{LAYER}.self_attn",
        rung=f.SETTINGS,  # by the size of the masks
    ),
    Fault(
        name="GELU for ReLU",
        changes=(("nnx.relu(self.linear1(x))", "nnx.gelu(self.linear1(x))"),),
        module=(LAYER, f"{LAYER}.linear1", f"{LAYER}.dropout"),
        rung=f.TRAIN,
    ),
    Fault(
        name="dropout shared by sequences and heads",
        changes=(("broadcast_dropout=False,", ""),),
        module=f"{LAYER}.self_attn",
        rung=f.SETTINGS,
    ),
    Fault(
        name="no dropout in attention",
        changes=(("dropout_rate=0.1", "dropout_rate=0.0"),),
        module=f"{LAYER}.self_attn",
        rung=f.SETTINGS,
    ),
    Fault(
        name="dropout 0.2 for 0.1",
        changes=(("self.dropout1 = nnx.Dropout(0.1", "self.dropout1 = nnx.Dropout(0.2"),),
        module=f"{LAYER}.dropout1",
        rung=f.SETTINGS,
    ),
    Fault(
        name="Flax's LayerNorm epsilon",
        changes=(("epsilon=1e-5, ", ""),),
        module=f"{LAYER}.norm1",
        rung=f.SETTINGS,
        seen="flax 2195",
    ),
    Fault(
        name="ignored labels counted",
        changes=((" / (y != -100).sum()", " / y.size"),),
        module=None,
        rung=f.LOSS,
    ),
    Fault(
        name="ignored labels taken for class 0",
        changes=(("jnp.where(y == -100, 0, losses).sum() / (y != -100).sum()", "losses.mean()"),),
        module=None,
        rung=f.LOSS,
    ),
    Fault(
        name="AdamW for Adam with L2",
        changes=(
            ("optax.chain(optax.add_decayed_weights(1e-2), optax.adam(1e-3))", "optax.adamw(1e-3, weight_decay=1e-2)"),
        ),
        module=None,
        rung=f.OPTIMIZER,
        seen="optax 417",
    ),
    Fault(
        name="L2 missing",
        changes=(("optax.chain(optax.add_decayed_weights(1e-2), optax.adam(1e-3))", "optax.adam(1e-3)"),),
        module=None,
        rung=f.OPTIMIZER,
    ),
    Fault(
        name="Xavier for each of q, k and v",
        changes=(("(6 / (4 * 16)) ** 0.5", "(6 / (2 * 16)) ** 0.5"),),
        module=f"{LAYER}.self_attn",
        rung=f.FRESH,
    ),
    Fault(
        name="truncated at two standard deviations",
        changes=(("key, -2 / std, 2 / std, shape", "key, -2, 2, shape"),),
        module="head",
        rung=f.FRESH,
        seen="flax 4091",
    ),
    Fault(
        name="output projection drawn as Flax does",
        changes=(("            out_kernel_init=uniform(16**-0.5),\n", ""),),
        module=(f"{LAYER}.self_attn.out_proj", f"{LAYER}.self_attn"),
        rung=f.FRESH,
        seen="jax 4862",
    ),
    Fault(
        name="query and key exchanged in the converter",
        changes=(('("query", "key", "value").index', '("key", "query", "value").index'),),
        module=f"{LAYER}.self_attn",
        rung=f.WEIGHTS,
        load=False,
    ),
    Fault(
        name="heads not cut in the converter",
        changes=((".T.reshape(16, 4, 4)", ".reshape(16, 4, 4)"),),
        module=f"{LAYER}.self_attn",
        rung=f.WEIGHTS,
        load=False,
    ),
    Equinox(
        name="no key for attention's dropout",
        changes=(("dropout_p=0.1", "dropout_p=0.0"),),
        module=f"{LAYER}.self_attn",
        rung=f.SETTINGS,
    ),
    Equinox(
        name="one key for every sequence",
        changes=(("jax.random.split(key, len(x)))", "jnp.stack([key] * len(x)))"),),
        module=(f"{LAYER}.self_attn", "encoder", LAYER, f"{LAYER}.dropout1", ""),
        rung=f.SETTINGS,
    ),
    Equinox(
        name="padding attended to",
        changes=(("mask=mask, key=keys[0]", "key=keys[0]"),),
        module=f"{LAYER}.self_attn",
        rung=f.TRAIN,
    ),
    Equinox(
        name="layers drawn with two keys",
        changes=(("EncoderLayer(keys[2]), EncoderLayer(keys[2])]", "EncoderLayer(keys[2]), EncoderLayer(keys[1])]"),),
        module=("encoder.layers.1", "encoder.layers.0", "encoder"),
        rung=f.FRESH,
        seen="pytorch 86274",
    ),
]
