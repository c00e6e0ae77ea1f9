import pytest
import torch

from torch_ref import model, recipes
from torch_ref.errors import ArgumentError


@pytest.mark.parametrize(("name", "parameters"), [("mnist_nn_xavier", 269_322), ("mnist_nn_deep", 1_195_018)])
def test_the_networks_have_the_notebook_s_sizes(name: str, parameters: int) -> None:
    network = model.build(recipes.named(name))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    layers = recipes.named(name).layers
    assert [type(module).__name__ for module in network] == ["Linear", "ReLU"] * (len(layers) - 2) + ["Linear"]
    assert list(network.state_dict())[:2] == ["linear1.weight", "linear1.bias"]


@pytest.mark.parametrize("init", model.INITS)
def test_only_the_weights_are_initialised_and_in_the_notebook_s_order(init: str) -> None:
    recipe = recipes.named("mnist_nn_xavier").with_changes(layers=(12, 10, 8), init=init)
    torch.manual_seed(3)
    network = model.build(recipe)
    torch.manual_seed(3)
    linears = [torch.nn.Linear(12, 10), torch.nn.Linear(10, 8)]
    for linear in linears:
        model.INITS[init](linear.weight)
    for number, linear in enumerate(linears, start=1):
        assert torch.equal(network.state_dict()[f"linear{number}.weight"], linear.weight)
        assert torch.equal(network.state_dict()[f"linear{number}.bias"], linear.bias)


def test_the_notebook_s_initialiser_is_xavier_uniform() -> None:
    torch.manual_seed(0)
    weight = model.build(recipes.named("mnist_nn_xavier")).state_dict()["linear1.weight"]
    torch.manual_seed(0)
    layers = [torch.nn.Linear(784, 256), torch.nn.Linear(256, 256), torch.nn.Linear(256, 10)]
    assert torch.equal(weight, torch.nn.init.xavier_uniform_(layers[0].weight))


def test_float64_starts_from_the_float32_draws() -> None:
    recipe = recipes.named("mnist_nn_xavier")
    torch.manual_seed(3)
    single = model.build(recipe).state_dict()
    torch.manual_seed(3)
    double = model.build(recipe.with_changes(dtype="float64")).state_dict()
    for name, tensor in single.items():
        assert double[name].dtype == torch.float64
        assert torch.equal(double[name], tensor.double())


def test_unknown_names_list_what_is_allowed() -> None:
    with pytest.raises(ArgumentError, match=r"unknown init 'he_normal': .*allowed are constant, dbn, eye"):
        model.build(recipes.named("mnist_nn").with_changes(init="he_normal"))
    with pytest.raises(ArgumentError, match="unknown bias init 'one'"):
        model.build(recipes.named("mnist_nn").with_changes(bias_init="one"))
