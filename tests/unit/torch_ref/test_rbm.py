"""Tiny machines, enumerated in float64, say what the functions must give; and the pretraining keeps to itself."""

from itertools import pairwise, product
from pathlib import Path

import pytest
import torch

from torch_ref import data, dbn, model, rbm, recipes, train
from torch_ref.errors import ArgumentError, DivergedError

N_VISIBLE, N_HIDDEN = 5, 4
V = torch.tensor(list(product([0.0, 1.0], repeat=N_VISIBLE)), dtype=torch.float64)
H = torch.tensor(list(product([0.0, 1.0], repeat=N_HIDDEN)), dtype=torch.float64)
TINY = recipes.named("mnist_dbn").with_changes(layers=(12, 6, 4, 3))


def machine(seed: int = 0, n_visible: int = N_VISIBLE, n_hidden: int = N_HIDDEN) -> rbm.Rbm:
    one, generator = rbm.Rbm(n_visible, n_hidden, torch.float64), torch.Generator().manual_seed(seed)
    for parameter in one.parameters():
        parameter.normal_(generator=generator)
    return one


def joint(one: rbm.Rbm) -> torch.Tensor:
    """p(v, h) of every pair of states, by the definition."""
    negative_energies = V @ one.visible_bias[:, None] + (H @ one.hidden_bias)[None] + V @ one.weight.T @ H.T
    return torch.softmax(negative_energies.ravel(), 0).view(len(V), len(H))


def images(n: int = 200) -> torch.Tensor:
    return torch.rand(n, 12, generator=torch.Generator().manual_seed(1))


def test_energies_free_energies_and_conditionals_are_the_definition_s() -> None:
    one, p = machine(), joint(machine())
    pairs = torch.cartesian_prod(torch.arange(len(V)), torch.arange(len(H)))
    log_p = -one.energy(V[pairs[:, 0]], H[pairs[:, 1]])
    torch.testing.assert_close(log_p - log_p.logsumexp(0), p.log().ravel(), atol=1e-12, rtol=0)
    free = one.free_energy(V)
    torch.testing.assert_close(-free + free.neg().logsumexp(0).neg(), p.sum(dim=1).log(), atol=1e-12, rtol=0)
    torch.testing.assert_close(one.hidden_given_visible(V), p @ H / p.sum(dim=1)[:, None], atol=1e-12, rtol=0)
    torch.testing.assert_close(one.visible_given_hidden(H), p.T @ V / p.sum(dim=0)[:, None], atol=1e-12, rtol=0)


def test_a_free_energy_is_exact_for_large_inputs_too() -> None:
    one = rbm.Rbm(1, 1, torch.float64)
    one.hidden_bias.fill_(21.0)
    exact = -21 - torch.tensor(-21.0, dtype=torch.float64).exp().log1p()
    assert one.free_energy(torch.zeros(1, 1, dtype=torch.float64)).item() == pytest.approx(exact.item(), abs=1e-14)


def test_the_pseudo_likelihood_is_of_the_conditionals() -> None:
    one, p = machine(), joint(machine()).sum(dim=1)
    for unit in range(N_VISIBLE):
        flipped = torch.arange(len(V)) ^ (1 << (N_VISIBLE - 1 - unit))  # unit 0 counts slowest
        expected = N_VISIBLE * (p / (p + p[flipped])).log().mean()
        found = one.pseudo_log_likelihood(V, torch.full((len(V),), unit))
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_initial_weights_and_biases_are_hinton_s() -> None:
    one = rbm.initial(torch.Generator().manual_seed(0), torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64), 4000)
    assert one.weight.std().item() == pytest.approx(0.01, rel=0.05)
    expected = torch.tensor([1e-4 / (1 - 1e-4), 1 / 3, (1 - 1e-4) / 1e-4], dtype=torch.float64).log()
    torch.testing.assert_close(one.visible_bias.data, expected)
    assert not one.hidden_bias.any()


def test_training_lowers_the_exact_divergence() -> None:
    states = [3, 7, 24, 28]
    cases = V[states].repeat(25, 1)
    settings = rbm.Settings(hidden=8, epochs=200, batch_size=50, learning_rate=0.2, dtype="float64")

    def divergence(one: rbm.Rbm) -> float:
        """KL(data ‖ model): each of the four states has a quarter of the data."""
        log_p = (-one.free_energy(V)).log_softmax(0)
        return (torch.tensor(0.25).log() - log_p[states].mean()).item()

    found = [divergence(one) for _, one in rbm.fit(settings, cases, cases, torch.Generator().manual_seed(0))]
    assert found[-1] < 0.25 * found[0]


def test_every_draw_comes_from_the_generator() -> None:
    before, runs = torch.get_rng_state(), []
    for seed in (0, 0, 1):
        generator = torch.Generator().manual_seed(seed)
        runs.append(list(rbm.fit(rbm.Settings(hidden=6, epochs=2), images(), images(), generator)))
    (none, _), *epochs = runs[0]
    assert none is None
    assert [value for value, _ in epochs] == [value for value, _ in runs[1][1:]]
    first, again, other = (run[-1][1].weight for run in runs)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_learning_rate_falls_linearly(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []
    monkeypatch.setattr(rbm, "update_", lambda *arguments: rates.append(arguments[-1]))
    list(rbm.fit(rbm.Settings(epochs=4, batch_size=150), images(), images(), torch.Generator()))
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])


def test_a_stack_learns_from_what_the_machine_below_makes() -> None:
    settings = rbm.Settings(epochs=1, batch_size=100)
    first, second = dbn.fit_stack((6, 4), settings, images(), images(), torch.Generator().manual_seed(0))
    assert (first.weight.shape, second.weight.shape) == ((6, 12), (4, 6))
    generator = torch.Generator().manual_seed(0)
    *_, (_, one) = rbm.fit(rbm.Settings(hidden=6, epochs=1, batch_size=100), images(), images(), generator)
    below = one.hidden_given_visible(images())
    *_, (_, two) = rbm.fit(rbm.Settings(hidden=4, epochs=1, batch_size=100), below, below, generator)
    for found, expected in ((first, one), (second, two)):
        assert all(map(torch.equal, found.parameters(), expected.parameters()))


@pytest.mark.parametrize("sizes", [(12, 6), (12, 6, 5), (11, 6, 4), (12, 6, 4, 3), ()])
def test_a_stack_of_other_sizes_is_refused_and_changes_nothing(sizes: tuple[int, ...]) -> None:
    network = model.build(TINY)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    stack = [rbm.Rbm(*pair) for pair in pairwise(sizes)]
    with pytest.raises(ArgumentError, match=r"does not fit a network of 12-6-4-3: its hidden layers need 6-4$") as told:
        dbn.unroll_(stack, network)
    assert "\n" not in str(told.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_pretraining_leaves_the_generator_and_the_output_layer_alone() -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(TINY.seed)
        networks.append(model.build(TINY))
    untouched, network = networks
    before = torch.get_rng_state()
    dbn.pretrain_(network, images(), TINY)
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, untouched.state_dict()[name]) == name.startswith("linear3"), name
    assert all(parameter.requires_grad for parameter in network.parameters())
    other = model.build(TINY)
    dbn.pretrain_(other, images(), TINY.with_changes(seed=1))
    assert not torch.equal(other.state_dict()["linear1.weight"], network.state_dict()["linear1.weight"])


def test_a_run_starts_from_the_pretrained_network(mnist_dir: Path) -> None:
    mnist_train, mnist_test = data.load(mnist_dir)
    mnist_train.data, mnist_train.targets = mnist_train.data[:300], mnist_train.targets[:300]
    recipe = recipes.named("mnist_dbn").with_changes(layers=(784, 8, 6, 10), epochs=0)
    ((_, network),) = train.fit(recipe, mnist_train, mnist_test, loader="tensor")
    torch.manual_seed(recipe.seed)
    expected = model.build(recipe)
    dbn.pretrain_(expected, train.scaled(mnist_train, recipe.dtype), recipe)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name


def test_a_network_without_hidden_layers_has_nothing_to_pretrain() -> None:
    recipe = TINY.with_changes(layers=(12, 3))
    with pytest.raises(ArgumentError, match="a DBN needs at least one hidden layer, got none"):
        dbn.pretrain_(model.build(recipe), images(), recipe)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 0}, "hidden must be an integer from 1 to 2147483647, got 0"),
        ({"k": 0}, "k must be an integer from 1 to 2147483647"),
        ({"batch_size": 0}, "batch size must be an integer from 1 to 2147483647"),
        ({"epochs": -1}, "epochs must be an integer from 0 to 2147483647"),
        ({"learning_rate": float("nan")}, "learning rate must be a number from 1e-30 to 1e\\+30"),
        ({"momentum": 1.0}, "momentum must be a number from 0 to below 1"),
        ({"sparsity_target": 0.0}, "sparsity target must be a number between 0 and 1"),
        ({"sparsity_cost": -0.1}, "sparsity cost must be a number >= 0"),
        ({"weight_decay": float("inf")}, "weight decay must be a number >= 0"),
        ({"seed": 2**32}, "seed must be an integer from 0 to 4294967295"),
    ],
)
def test_settings_out_of_range_are_told(change: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        rbm.Settings(**change)  # type: ignore[arg-type]


def test_what_cannot_be_trained_is_told() -> None:
    settings, generator = rbm.Settings(epochs=1), torch.Generator()
    with pytest.raises(ArgumentError, match=r"pixels must lie in \[0, 1\], got 0 to 255: divide bytes by 255"):
        next(rbm.fit(settings, torch.tensor([[0.0, 255.0]]), images(), generator))
    with pytest.raises(ArgumentError, match="batch size must be at most the 50 training images, got 100"):
        next(rbm.fit(settings, images(50), images(), generator))
    with pytest.raises(DivergedError, match=r"the RBM diverged in epoch 1, .*: the learning rate 1e\+30 is probably"):
        list(rbm.fit(rbm.Settings(epochs=2, learning_rate=1e30), images(), images(), generator))
