"""Mistakes around Hugging Face's Flax BERT: flags, inputs, configuration, initial weights."""

from functools import partial

from tests.ports import faults as f

Fault = partial(f.Fault, model="bert")
CONFIG = "config = BertConfig(**SIZES, "
MODE = "deterministic=not train"
LAYER = "bert.encoder.layer.0"


def configured(setting: str) -> tuple[tuple[str, str], ...]:
    return ((CONFIG, f"{CONFIG}{setting}, "),)


FAULTS = [
    Fault(
        name="deterministic in training",
        changes=((MODE, "deterministic=True"),),
        module="bert.embeddings.dropout",
        rung=f.SETTINGS,
    ),
    Fault(
        name="dropout in evaluation",
        changes=((MODE, "deterministic=False"),),
        module=("bert.embeddings.dropout", "bert.embeddings"),
        rung=f.EVAL,
    ),
    Fault(
        name="dropout 0.2 for 0.1",
        changes=(("hidden_dropout_prob=0.1", "hidden_dropout_prob=0.2"),),
        module="bert.embeddings.dropout",
        rung=f.SETTINGS,
    ),
    Fault(
        name="attention's dropout on, and shared",
        changes=(("attention_dropout: float = 0.0", "attention_dropout: float = 0.1"),),
        module=(f"{LAYER}.attention.self", f"{LAYER}.attention.self.dropout"),
        rung=f.SETTINGS,
    ),
    Fault(
        name="segments forgotten",
        changes=(('batch["token_type_ids"], positions', 'jnp.zeros_like(batch["token_type_ids"]), positions'),),
        module=("bert.embeddings.token_type_embeddings", "bert.embeddings", "bert", ""),
        rung=f.TRAIN,
    ),
    Fault(
        name="attention mask forgotten",
        changes=(('batch["attention_mask"], batch', 'jnp.ones_like(batch["attention_mask"]), batch'),),
        module=(f"{LAYER}.attention.self", "bert", ""),
        rung=f.TRAIN,
    ),
    Fault(
        name="positions behind the padding token, as in RoBERTa",
        changes=(('jnp.arange(batch["input_ids"].shape[1])', '1 + jnp.arange(batch["input_ids"].shape[1])'),),
        module=("bert.embeddings.position_embeddings", "bert.embeddings", "bert", ""),
        rung=f.TRAIN,
    ),
    Fault(
        name="GELU by tanh",
        changes=configured('hidden_act="gelu_new"'),
        module=(f"{LAYER}.intermediate", f"{LAYER}.intermediate.intermediate_act_fn"),
        rung=f.TRAIN,
        seen="jax 4428",
    ),
    Fault(
        name="LayerNorm's epsilon",
        changes=configured("layer_norm_eps=1e-5"),
        module="bert.embeddings.LayerNorm",
        rung=f.SETTINGS,
    ),
    Fault(
        name="two heads for four",
        changes=(('"num_attention_heads": 4', '"num_attention_heads": 2'),),
        module=(f"{LAYER}.attention.self", f"{LAYER}.attention.self.dropout"),
        rung=f.TRAIN,
    ),
    Fault(
        name="computed in bfloat16",
        changes=(("dtype=jnp.float64", "dtype=jnp.bfloat16"),),
        module=("bert.embeddings.word_embeddings", "bert.embeddings", "bert.embeddings.LayerNorm"),
        rung=f.TRAIN,
        seen="openpi 989",
    ),
    Fault(
        name="sum for mean", changes=(('batch["labels"]).mean()', 'batch["labels"]).sum()'),), module=None, rung=f.LOSS
    ),
    Fault(
        name="optax's weight decay",
        changes=((", weight_decay=0.01", ""),),
        module=None,
        rung=f.OPTIMIZER,
        seen="optax 417",
    ),
    Fault(
        name="classifier drawn as the package does",
        changes=(('    params["classifier"]["kernel"] =', "    _ ="),),
        module="classifier",
        rung=f.FRESH,
        seen="transformers, FlaxBertForSequenceClassification",
    ),
    Fault(
        name="padding drawn as the package does",
        changes=(('words["embedding"].at[0].set(0)', 'words["embedding"]'),),
        module="bert.embeddings.word_embeddings",
        rung=f.FRESH,
        seen="transformers, FlaxBertEmbeddings",
    ),
]
