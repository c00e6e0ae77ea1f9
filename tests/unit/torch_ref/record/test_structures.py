"""Nested batches and outputs: their order, and that their types stay."""

import collections
import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from torch_ref.record import structures


class Point(NamedTuple):
    x: torch.Tensor
    y: None


@dataclasses.dataclass(frozen=True)
class Output:
    logits: torch.Tensor
    cache: list[torch.Tensor]
    size: int = 3


class Encoding(collections.UserDict[str, Any]):
    """As a tokenizer returns."""


def number(value: float) -> torch.Tensor:
    return torch.tensor(value)


def nested() -> dict[str, Any]:
    output = Output(number(2), [number(3), number(4)])
    return {"b": (Point(number(1), None), output), "a": [Encoding(k=number(5)), "text", np.array(6.0)]}


def test_tensors_come_in_order() -> None:
    assert [tensor.item() for tensor in structures.tensors(nested())] == [1, 2, 3, 4, 5]


def test_types_stay_and_the_original_is_unchanged() -> None:
    value = nested()
    doubled = structures.mapped(lambda part: part * 2, value)
    assert [tensor.item() for tensor in structures.tensors(doubled)] == [2, 4, 6, 8, 10]
    assert [tensor.item() for tensor in structures.tensors(value)] == [1, 2, 3, 4, 5]
    point, output = doubled["b"]
    assert (type(point), type(output), output.size, type(doubled["a"][0])) == (Point, Output, 3, Encoding)
    assert doubled["a"][1:] == ["text", 12.0]


def test_packed_sequences_stay_packed() -> None:
    packed = structures.mapped(lambda part: part * 1, pack_sequence([torch.ones(3), torch.ones(2)]))
    assert isinstance(packed, PackedSequence)
    assert packed.batch_sizes.tolist() == [2, 2, 1]


def test_batches_are_encoded_with_their_structure() -> None:
    encoded = structures.encoded({**nested(), "n": (1, 2.5, math.inf, None, object)}, lambda tensor: tensor.item())
    assert encoded["dict"]["b"]["tuple"][0] == {"tuple": [{"array": 1}, {"value": None}]}
    fields = {"logits": {"array": 2}, "cache": {"list": [{"array": 3}, {"array": 4}]}, "size": {"value": 3}}
    assert encoded["dict"]["b"]["tuple"][1] == {"dict": fields}
    assert encoded["dict"]["a"]["list"] == [{"dict": {"k": {"array": 5}}}, {"value": "text"}, {"array": 6}]
    assert [part["value"] for part in encoded["dict"]["n"]["tuple"]] == [1, 2.5, "inf", None, "<class 'object'>"]
