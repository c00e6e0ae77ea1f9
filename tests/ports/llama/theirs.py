"""The torch program: one decoder layer between an embedding and a linear layer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

WORDS, WIDTH, HEADS, KEY_HEADS, HEAD, WINDOW = 29, 24, 6, 2, 4, 3


def rotate(x: Tensor) -> Tensor:
    """Rotate x (n, heads, length, head) by its positions. Feature i is paired with feature i + head / 2."""
    length, head = x.shape[-2:]
    frequencies = 100.0 ** (-torch.arange(0, head, 2, dtype=x.dtype) / head)
    angles = torch.arange(length)[:, None] * torch.cat([frequencies, frequencies])
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


class Attention(nn.Module):
    """Each position attends to itself and the two before. Three heads share a key and a value."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, HEADS * HEAD, bias=False)
        self.k_proj = nn.Linear(WIDTH, KEY_HEADS * HEAD, bias=False)
        self.v_proj = nn.Linear(WIDTH, KEY_HEADS * HEAD, bias=False)
        self.o_proj = nn.Linear(HEADS * HEAD, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        query, key, value = (
            part(x).view(n, length, -1, HEAD).transpose(1, 2) for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query), rotate(key)
        key, value = (part.repeat_interleave(HEADS // KEY_HEADS, dim=1) for part in (key, value))
        scores = query @ key.transpose(-2, -1) / HEAD**0.5
        distance = torch.arange(length)[:, None] - torch.arange(length)
        scores = scores.masked_fill((distance < 0) | (distance >= WINDOW), torch.finfo(scores.dtype).min)
        y = functional.softmax(scores, dim=-1) @ value
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, 40, bias=False)
        self.up_proj = nn.Linear(WIDTH, 40, bias=False)
        self.down_proj = nn.Linear(40, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Decoder(nn.Module):
    """Tokens (n, length) to logits (n, length, words)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(WORDS, WIDTH)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        self.input_layernorm = nn.RMSNorm(WIDTH)
        self.self_attn = Attention()
        self.post_attention_layernorm = nn.RMSNorm(WIDTH, eps=1e-6)
        self.mlp = Mlp()
        self.norm = nn.RMSNorm(WIDTH, eps=1e-6)
        self.lm_head = nn.Linear(WIDTH, WORDS, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed_tokens(tokens)
        x = x + self.self_attn(self.input_layernorm(x))
        x = x + self.mlp(self.post_attention_layernorm(x))
        return self.lm_head(self.norm(x))


def loss(model: nn.Module, batch: Any) -> Tensor:
    x, y = batch
    return functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


def data(seed: int = 0, batch_size: int = 3, length: int = 8) -> DataLoader[Any]:
    """Return six batches of random tokens, and the same shifted by one."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(WORDS, (6 * batch_size, length + 1), generator=generator)
    return DataLoader(TensorDataset(tokens[:, :-1], tokens[:, 1:]), batch_size=batch_size)


def theirs(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    net = Decoder()
    adamw = torch.optim.AdamW(net.parameters(), lr=2e-3)
    return {"model": net, "loss": loss, "optimizer": adamw, "batches": data(), "steps": 6, "fresh": Decoder}
