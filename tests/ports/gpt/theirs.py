"""The torch program: a small GPT in the style of nanoGPT."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

VOCABULARY, CONTEXT, LAYERS, HEADS, WIDTH = 31, 16, 2, 4, 32


class CausalSelfAttention(nn.Module):
    """Each position attends to itself and to those before."""

    def __init__(self) -> None:
        super().__init__()
        self.c_attn = nn.Linear(WIDTH, 3 * WIDTH)
        self.c_proj = nn.Linear(WIDTH, WIDTH)
        self.attn_dropout = nn.Dropout(0.1)
        self.resid_dropout = nn.Dropout(0.1)
        self.register_buffer("bias", torch.tril(torch.ones(CONTEXT, CONTEXT)).view(1, 1, CONTEXT, CONTEXT))

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        heads = [part.view(n, length, HEADS, -1).transpose(1, 2) for part in self.c_attn(x).split(width, dim=2)]
        query, key, value = heads  # (n, heads, length, width / heads)
        scores = query @ key.transpose(-2, -1) / math.sqrt(key.size(-1))
        scores = scores.masked_fill(self.bias[:, :, :length, :length] == 0, float("-inf"))
        weights = self.attn_dropout(functional.softmax(scores, dim=-1))
        y = (weights @ value).transpose(1, 2).contiguous().view(n, length, width)
        return self.resid_dropout(self.c_proj(y))


class MLP(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self) -> None:
        super().__init__()
        self.c_fc = nn.Linear(WIDTH, 4 * WIDTH)
        self.gelu = nn.GELU()
        self.c_proj = nn.Linear(4 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.c_proj(self.gelu(self.c_fc(x))))


class Block(nn.Module):
    """Attention and MLP, each behind its LayerNorm and beside its residual."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.attn = CausalSelfAttention()
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.mlp = MLP()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Tokens (n, length) to logits (n, length, vocabulary)."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(VOCABULARY, WIDTH),
                "wpe": nn.Embedding(CONTEXT, WIDTH),
                "drop": nn.Dropout(0.1),
                "h": nn.ModuleList([Block() for _ in range(LAYERS)]),
                "ln_f": nn.LayerNorm(WIDTH),
            }
        )
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        self.apply(self.init_weights)
        for name, parameter in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * LAYERS))

    def init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1])
        x = self.transformer.drop(self.transformer.wte(tokens) + self.transformer.wpe(positions))
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))


def loss(model: nn.Module, batch: Any) -> Tensor:
    x, y = batch
    return functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


def data(seed: int = 0, batch_size: int = 3, length: int = 10) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of random tokens, and the same shifted by one."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        tokens = torch.randint(VOCABULARY, (batch_size, length + 1), generator=generator)
        yield tokens[:, :-1], tokens[:, 1:]


def schedule(step: int, warmup: int = 2, decay: int = 6, floor: float = 0.1) -> float:
    """Return the factor of the learning rate: up in a line, and down along a cosine to a tenth."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if step > decay:
        return floor
    return floor + 0.5 * (1 - floor) * (1 + math.cos(math.pi * (step - warmup) / (decay - warmup)))


def configure_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """Return AdamW, which decays matrices and leaves biases and norms alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8)


def theirs(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    net = GPT()
    adamw = configure_optimizer(net)
    scheduler = torch.optim.lr_scheduler.LambdaLR(adamw, schedule)
    run = {"model": net, "loss": loss, "optimizer": adamw, "batches": data(), "steps": 9, "fresh": GPT}
    return run | {"scheduler": scheduler, "clip_norm": 1.0}
