"""torchvision's models against themselves under other programs' names: the truth is known for every leaf."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn

from jax_impl.parity.mapping import Leaf, propose
from tests.unit.jax_impl.parity.mapping.models import torch_leaves

TYPES = {
    "Conv2d": "Conv", "Linear": "Dense", "NonDynamicallyQuantizableLinear": "Dense", "BatchNorm2d": "BatchNorm",
    "LayerNorm": "LayerNorm", "LayerNorm2d": "LayerNorm",
}  # fmt: skip
LAST = {"running_mean": "mean", "running_var": "var"}


def kind(module: nn.Module) -> str:
    return TYPES.get(type(module).__name__, type(module).__name__)


def nested(model: nn.Module) -> dict[str, str]:
    """Linen's automatic names: each module counts its children by their types."""
    names = {"": ""}
    for path, module in model.named_modules():
        count = Counter[str]()
        for name, child in module.named_children():
            if child.state_dict():
                number = count[kind(child)]
                count[kind(child)] += 1
                names[f"{path}.{name}".lstrip(".")] = f"{names[path]}.{kind(child)}_{number}".lstrip(".")
    return names


def flat(model: nn.Module) -> dict[str, str]:
    """All layers in one module, counted by their types."""
    count, names = Counter[str](), {"": ""}
    for path, module in model.named_modules():
        if path and module.state_dict():
            names[path] = f"{kind(module)}_{count[kind(module)]}"
            count[kind(module)] += 1
    return names


def wrapped(model: nn.Module) -> dict[str, str]:
    return {path: f"net.core.{path}".rstrip(".") for path, _ in model.named_modules()}


def in_flax(leaf: Leaf, path: str) -> Leaf:
    """The leaf as Flax has it, in the module of this path."""
    name, shape = leaf.name.rpartition(".")[2], leaf.shape
    if leaf.module_type in TYPES:
        name = LAST.get(name, name) if name != "weight" else "scale" if "Norm" in leaf.module_type else "kernel"
        if name == "kernel":
            shape = (*shape[2:], shape[1], shape[0])
    module_type = TYPES.get(leaf.module_type, leaf.module_type)
    return replace(
        leaf, name=f"{path}.{name}".lstrip("."), shape=shape, module=path, module_type=module_type, framework="linen"
    )


@pytest.mark.parametrize("order", ["registered", "sorted"])
@pytest.mark.parametrize("names", [nested, flat, wrapped])
@pytest.mark.parametrize(
    "model",
    ["resnet50", *(pytest.param(one, marks=pytest.mark.slow) for one in ("inception_v3", "convnext_tiny", "vit_b_16"))],
)
def test_every_leaf_finds_its_own(model: str, names: Callable[[nn.Module], dict[str, str]], order: str) -> None:
    settings = {"init_weights": False} if model == "inception_v3" else {}
    with torch.device("meta"):
        network = getattr(torchvision.models, model)(**settings)
    leaves, paths = torch_leaves(network), names(network)
    pairs = [(leaf, in_flax(leaf, paths[leaf.module])) for leaf in leaves if not leaf.name.endswith("tracked")]
    ours = [leaf for _, leaf in pairs]
    if order == "sorted":
        ours.sort(key=lambda leaf: leaf.name.split("."))
    proposal = propose(leaves, ours)
    assert proposal.unmatched_theirs == proposal.unmatched_ours == ()
    found = {pair.theirs[0]: pair.ours[0] for pair in proposal.convention()}
    assert found == {theirs.name: mine.name for theirs, mine in pairs}
