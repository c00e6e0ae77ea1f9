"""Small programs that the recorder's tests record, and how they read a record."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from torch import nn
from torch.nn import functional

from torch_ref import record

Loss = Callable[[nn.Module, Any], Any]


@dataclass
class Program:
    model: nn.Module
    loss: Loss
    batches: list[Any]
    optimizer: Callable[..., torch.optim.Optimizer]

    def save(self, folder: Path, **options: Any) -> dict[str, Any]:
        optimizer = self.optimizer(self.model.parameters())
        options = {"steps": len(self.batches)} | options
        record.save(folder, model=self.model, loss=self.loss, optimizer=optimizer, batches=self.batches, **options)
        return read(folder)


def classify(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])


def square(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return model(batch).pow(2).mean()


def mlp() -> Program:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    return Program(model, square, [torch.randn(4, 3) for _ in range(3)], torch.optim.SGD)


def cnn() -> Program:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout2d(0.2),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1, inplace=True), nn.Linear(32, 5),
    )  # fmt: skip
    batches = [(torch.randn(4, 3, 8, 8), torch.randint(0, 5, (4,))) for _ in range(3)]
    return Program(model, classify, batches, torch.optim.AdamW)


def encoder() -> Program:
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True)
    return Program(model, lambda model, batch: model(batch)[0].sum(), [torch.randn(2, 5, 8)] * 2, torch.optim.RMSprop)


class Tagger(nn.Module):
    """A bidirectional LSTM that makes its own first state, as many do."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 4, 2, bidirectional=True, batch_first=True, dropout=0.3)
        self.head = nn.Linear(8, 3)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(4, len(words), 4)
        return self.head(self.lstm(self.embed(words), (state, state))[0][:, -1])


def tagger() -> Program:
    torch.manual_seed(0)
    batches = [(torch.randint(0, 20, (3, 7)), torch.randint(0, 3, (3,))) for _ in range(3)]
    return Program(Tagger(), classify, batches, torch.optim.Adam)


PROGRAMS = {"mlp": mlp, "cnn": cnn, "encoder": encoder, "tagger": tagger}


def read(folder: Path) -> dict[str, Any]:
    """Return record.json with each reference replaced by its array, and whole references under `<name>.reference`."""
    files = {path.stem: safetensors.numpy.load_file(path) for path in folder.glob("*.safetensors")}

    def filled(value: Any) -> Any:
        if isinstance(value, dict) and {"file", "key"} <= value.keys():
            return Stored(**value, value=files[value["file"]][value["key"]])
        if isinstance(value, dict):
            return {key: filled(part) for key, part in value.items()}
        return [filled(part) for part in value] if isinstance(value, list) else value

    content = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    return filled(content) | {"arrays": files}


@dataclass
class Stored:
    file: str
    key: str
    shape: list[int]
    dtype: str
    norm: float
    largest: float
    noise: float
    sampled: bool
    value: np.ndarray


def stored(value: Any) -> Iterator[Stored]:
    """Yield all arrays of a part of a record."""
    if isinstance(value, Stored):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from stored(part)
