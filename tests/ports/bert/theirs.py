"""The torch program: a small BertForSequenceClassification with random weights. Batches are dicts."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForSequenceClassification

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
    "num_labels": 3,
}


def fresh(attention: str = "eager") -> BertForSequenceClassification:
    """Return a new model. Flax's BERT shares attention's dropout among sequences and heads, so it must be off."""
    config = BertConfig(**SIZES, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0)
    config._attn_implementation = attention
    return BertForSequenceClassification(config)


def loss(model: nn.Module, batch: Any) -> Tensor:
    inputs = {name: array for name, array in batch.items() if name != "labels"}
    return functional.cross_entropy(model(**inputs).logits, batch["labels"])


def data(seed: int = 0, batch_size: int = 5, length: int = 11) -> DataLoader[Any]:
    """Return six batches of random tokens, padded at the end with token 0, in two segments, and labels."""
    generator = torch.Generator().manual_seed(seed)
    n = 6 * batch_size
    tokens = torch.randint(1, 61, (n, length), generator=generator)
    mask = (torch.arange(length) < torch.randint(5, length + 1, (n, 1), generator=generator)).long()
    segments = (torch.arange(length) >= 4).long().expand(n, -1)
    labels = torch.randint(3, (n,), generator=generator)
    names = ("input_ids", "attention_mask", "token_type_ids", "labels")
    rows = [dict(zip(names, row, strict=True)) for row in zip(tokens * mask, mask, segments, labels, strict=True)]
    return DataLoader(rows, batch_size=batch_size)


def theirs(attention: str = "eager", seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    net = fresh(attention)
    adamw = torch.optim.AdamW(net.parameters(), lr=5e-4, weight_decay=0.01)
    return {"model": net, "loss": loss, "optimizer": adamw, "batches": data(), "steps": 6, "fresh": fresh}
