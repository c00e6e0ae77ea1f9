"""Whole networks drawn without torch, by scripts of at most 25 lines, compared with torch's own to the bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from tests.ports.dcgan.theirs import weights_init
from tests.ports.gpt import theirs as gpt
from tests.ports.lstm import theirs as lstm
from tests.replay.networks import dcgan, gpt2, resnet18
from tests.replay.networks import lstm as lstm_tensors
from tests.unit.jax_impl.replay.torch_pairs import fused

Tensors = dict[str, np.ndarray]
LONGEST = 25  # lines of a script


def tutorial() -> nn.Module:
    """Return the generator of PyTorch's DCGAN tutorial, with its `weights_init`."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate([(100, 512), (512, 256), (256, 128), (128, 64), (64, 3)]):
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, 2 if number else 1, 1 if number else 0, bias=False))
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(True)] if outputs > 3 else [nn.Tanh()]
    model = nn.Module()
    model.main = nn.Sequential(*layers)
    return model.apply(weights_init)


NETWORKS: dict[str, tuple[Callable[[int], Tensors], Callable[[], nn.Module]]] = {
    "resnet18": (resnet18.tensors, torchvision.models.resnet18),
    "gpt2": (lambda seed: gpt2.tensors(seed, gpt.VOCABULARY, gpt.CONTEXT, gpt.LAYERS, gpt.WIDTH), gpt.GPT),
    "lstm": (lstm_tensors.tensors, lstm.Lstm),
    "dcgan": (dcgan.tensors, tutorial),
}


@fused
@pytest.mark.parametrize("seed", [0, 777])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_torch_s_to_the_bit(name: str, seed: int) -> None:
    ours, build = NETWORKS[name]
    torch.manual_seed(seed)
    expected = {key: value.numpy() for key, value in build().state_dict().items() if not key.endswith(".attn.bias")}
    found = ours(seed)
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_array_equal(found[key], value, err_msg=key)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_script_is_short_and_needs_no_torch(name: str) -> None:
    code = (Path(__file__).parent / "networks" / f"{name}.py").read_text(encoding="utf-8")
    assert len(code.splitlines()) <= LONGEST
    assert "import torch" not in code and "from torch" not in code
