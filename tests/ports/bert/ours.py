"""The port: FlaxBertForSequenceClassification, with the two initialisers that differ put right."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from transformers import BertConfig, FlaxBertForSequenceClassification

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
    "num_labels": 3,
}


def bert(attention_dropout: float = 0.0) -> FlaxBertForSequenceClassification:
    config = BertConfig(**SIZES, hidden_dropout_prob=0.1, attention_probs_dropout_prob=attention_dropout)
    with jax.enable_x64(True):
        return FlaxBertForSequenceClassification(config, dtype=jnp.float64, _do_init=False)


def loss(model: Any, batch: Any, train: bool) -> jax.Array:
    positions = jnp.arange(batch["input_ids"].shape[1])[None]
    inputs = (batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], positions)
    logits = model(*inputs, head_mask=None, deterministic=not train).logits
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]).mean()


def fresh(seed: int) -> Any:
    """Return the module and newly drawn variables.

    torch's BERT draws its classifier like all other matrices, and the padding token's vector is zero.
    """
    key, classifier_key = jax.random.split(jax.random.key(seed))
    with jax.enable_x64(True):
        params = bert().init_weights(key, (1, 11))
    kernel = params["classifier"]["kernel"]
    params["classifier"]["kernel"] = 0.02 * jax.random.normal(classifier_key, kernel.shape)
    words = params["bert"]["embeddings"]["word_embeddings"]
    words["embedding"] = words["embedding"].at[0].set(0)
    return bert().module, {"params": params}


def ours() -> dict[str, Any]:
    adamw = optax.adamw(5e-4, weight_decay=0.01)
    return {"model": bert().module, "loss": loss, "optimizer": adamw, "fresh": fresh}
