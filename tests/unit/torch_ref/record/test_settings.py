"""What a record says about modules, leaves and the machine."""

import math

import torch
from torch import nn

from torch_ref.record import settings


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(4, 3)
        self.head = nn.Linear(3, 4, bias=False)
        self.head.weight = self.embed.weight
        self.again = self.head
        self.register_buffer("mask", torch.eye(2), persistent=False)
        self.register_buffer("twin", self.mask)
        self.register_buffer("nothing", None)
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.scale, self.limit, self.names, self.hidden = 2, math.inf, ("a", 1), nn.functional.relu


def test_leaves_are_listed_under_all_their_names() -> None:
    found = {leaf.name: leaf for leaf in settings.leaves(Tied())}
    assert list(found) == ["frozen", "embed.weight", "head.weight", "again.weight", "mask", "twin"]
    assert [leaf.tied for leaf in found.values()] == [None, None, "embed.weight", "embed.weight", None, "mask"]
    assert [leaf.trainable for leaf in found.values()] == [False, True, True, True, False, False]
    assert found["again.weight"].as_json() == {
        "name": "again.weight", "kind": "parameter", "shape": [4, 3], "dtype": "float32", "module": "again",
        "trainable": True, "tied": "embed.weight",
    }  # fmt: skip


def test_parameters_that_share_their_memory_are_tied() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight.data = first.weight.data
    found = settings.leaves(nn.Sequential(first, second))
    assert [leaf.tied for leaf in found] == [None, None, "0.weight", None]


def test_modules_have_plain_settings_and_their_calls() -> None:
    found = settings.modules(Tied(), {"": 1, "head": 3})
    assert [(module["path"], module["calls"], module.get("tied")) for module in found] == [
        ("", 1, None), ("embed", 0, None), ("head", 3, None), ("again", 3, "head"),
    ]  # fmt: skip
    assert found[0]["settings"] == {"scale": 2, "limit": "inf", "names": ["a", 1]}
    assert settings.modules(nn.Conv2d(3, 6, 3, groups=3), {})[0]["settings"]["kernel_size"] == [3, 3]


def test_the_machine_and_the_versions_are_named() -> None:
    assert torch.__version__.startswith(settings.versions()["torch"])
    machine = settings.machine(torch.device("cpu"))
    assert machine["device"] == "cpu"
    assert machine["processor"]
    assert machine["threads"] == 1
