"""The torch programs: word embeddings, a recurrent network, and a linear layer over the mean of its outputs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

WORDS, WIDTH, HIDDEN, CLASSES = 23, 6, 7, 4


class Lstm(nn.Module):
    """Words (n, length) to logits (n, 4). Word 0 is padding: its vector is zero and gets no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH, padding_idx=0)
        self.lstm = nn.LSTM(WIDTH, HIDDEN, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * HIDDEN, CLASSES)

    def forward(self, words: Tensor) -> Tensor:
        outputs, _ = self.lstm(self.embedding(words))
        return self.linear(outputs.mean(1))


class Gru(nn.Module):
    """The same with one GRU that reads forwards."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH, padding_idx=0)
        self.gru = nn.GRU(WIDTH, HIDDEN, batch_first=True)
        self.linear = nn.Linear(HIDDEN, CLASSES)

    def forward(self, words: Tensor) -> Tensor:
        outputs, _ = self.gru(self.embedding(words))
        return self.linear(outputs.mean(1))


def loss(model: nn.Module, batch: Any) -> Tensor:
    words, labels = batch
    return functional.cross_entropy(model(words), labels)


def data(seed: int = 0, batch_size: int = 5) -> DataLoader[Any]:
    """Return six batches of random words, padded at the end, and labels."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(1, WORDS, (6 * batch_size, 9), generator=generator)
    lengths = torch.randint(4, 10, (6 * batch_size, 1), generator=generator)
    labels = torch.randint(CLASSES, (6 * batch_size,), generator=generator)
    return DataLoader(TensorDataset(words * (torch.arange(9) < lengths), labels), batch_size=batch_size)


def theirs(new: Any = Lstm, seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    net = new()
    rmsprop = torch.optim.RMSprop(net.parameters(), lr=1e-2, alpha=0.9, eps=1e-4)
    return {"model": net, "loss": loss, "optimizer": rmsprop, "batches": data(), "steps": 6, "fresh": new}
