"""Beside the ladder: RBMs and DBNs agree between the two sides, step by step and in what training reaches."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch

from jax_impl import compare, interop, model, recipes
from jax_impl.rbm import dbn, likelihood, training
from jax_impl.rbm import files as rbm_files
from jax_impl.rbm import machine as rbm
from jax_impl.rbm import settings as rbm_settings
from jax_impl.starts.replayed import replayed
from tests.parity import torch_side
from tests.parity.jax_side import x64
from tests.tiers import slow
from torch_ref import dbn as torch_dbn
from torch_ref import model as torch_model
from torch_ref import rbm as torch_rbm
from torch_ref import recipes as torch_recipes
from torch_ref import train as torch_train

N_VISIBLE, N_HIDDEN, BATCH = 784, 32, 50
TOLERANCES = {"float64": 1e-12, "float32": 1e-6}  # measured: 5e-15 and 6e-7 at most
OFF: dict[str, float] = {}  # by default
ON = {"momentum": 0.7, "weight_decay": 0.01, "sparsity_cost": 0.5, "sparsity_target": 0.2}
SEED = 3
# A uniform number between the two sides' probabilities would flip a unit, and be no fault. These differ by up to
# 6e-7 in float32, so a number as close as this to the reference's probability is moved before either side has it: none
# to three of the 39,200 of a round.
CLEAR = 1e-5

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


class Case(NamedTuple):
    machine: Arrays  # in JAX's layout: weight (visible, hidden), visible bias, hidden bias
    data: np.ndarray
    chains: np.ndarray
    drawn: tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices as small as these are slower with several threads, and many times so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def machine(rng: np.random.Generator, dtype: str, n_visible: int = N_VISIBLE, n_hidden: int = N_HIDDEN) -> Arrays:
    weight = rng.normal(0, 0.05, (n_visible, n_hidden)).astype(dtype)
    return weight, rng.normal(-1, 1, n_visible).astype(dtype), rng.normal(0, 1, n_hidden).astype(dtype)


def pixels(dtype: str, first: int, count: int) -> np.ndarray:
    return (torch_side.load().train_images[first : first + count] / 255).astype(dtype)


def case(dtype: str, kind: str, k: int = 1) -> Case:
    rng = np.random.default_rng(SEED)
    data = pixels(dtype, 100, BATCH) if kind == "mnist" else rng.random((BATCH, N_VISIBLE)).astype(dtype)
    shapes = (k, BATCH, N_HIDDEN), (k, BATCH, N_VISIBLE)
    chains = rng.random((BATCH, N_HIDDEN)).astype(dtype)
    return Case(machine(rng, dtype), data, chains, tuple(rng.random(shape, dtype) for shape in shapes))


def jax_machine(arrays: Iterable[np.ndarray]) -> rbm.Rbm:
    return rbm.Rbm(*map(jnp.asarray, arrays))


def torch_machine(arrays: Arrays) -> torch_rbm.Rbm:
    weight, visible_bias, hidden_bias = map(torch_side.tensor, arrays)
    one = torch_rbm.Rbm(*weight.shape, weight.dtype)
    one.load_state_dict({"weight": weight.T, "visible_bias": visible_bias, "hidden_bias": hidden_bias})
    return one


def as_jax(triple: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> dict[str, np.ndarray]:
    """Statistics or parameters, weight (hidden, visible) first, in JAX's layout."""
    weight, visible_bias, hidden_bias = (tensor.detach().numpy() for tensor in triple)
    return {"weight": weight.T, "visible_bias": visible_bias, "hidden_bias": hidden_bias}


def fields(triple: rbm.Rbm) -> dict[str, np.ndarray]:
    return {field: np.asarray(value) for field, value in triple._asdict().items()}


def cleared(one: torch_rbm.Rbm, h: torch.Tensor, numbers: tuple[np.ndarray, np.ndarray]) -> torch_rbm.Uniforms:
    """The numbers of this chain, with those moved that lie too close to the probability they are held against."""

    def moved(p: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.where((u - p).abs() < CLEAR, (p + 0.5) % 1, u)

    drawn = torch_rbm.Uniforms(*map(torch_side.tensor, numbers))
    for of_hidden, of_visible in zip(*drawn, strict=True):
        of_hidden.copy_(moved(h, of_hidden))
        p = one.visible_given_hidden(torch_rbm.sample(h, of_hidden))
        of_visible.copy_(moved(p, of_visible))
        h = one.hidden_given_visible(torch_rbm.sample(p, of_visible))
    return drawn


def states(one: Case, dtype: str) -> tuple[training.State, torch_rbm.State]:
    """Both sides in the middle of training: velocities, chains and activities that are not where they started."""
    rng = np.random.default_rng(SEED + 1)
    velocity, activity = machine(rng, dtype), rng.random(N_HIDDEN).astype(dtype)
    ours = training.State(jax_machine(one.machine), jax_machine(velocity), jnp.asarray(one.chains), activity)
    weight, *biases = map(torch_side.tensor, velocity)
    moving = torch_rbm.Statistics(weight.T.contiguous(), *biases)
    chains = torch_side.tensor(one.chains)
    return ours, torch_rbm.State(torch_machine(one.machine), moving, chains, torch_side.tensor(activity))


@pytest.mark.parametrize("kind", ["mnist", "random"])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_energies_and_probabilities_agree(dtype: str, kind: str) -> None:
    """Measured in float64 and float32: energies 2e-15 and 3e-7 of the largest, probabilities 1e-15 and 6e-7."""
    one = case(dtype, kind)
    theirs = torch_machine(one.machine)
    v, h = torch_side.tensor(one.data), torch_side.tensor(one.chains)
    with x64(dtype):
        ours, data, chains = jax_machine(one.machine), jnp.asarray(one.data), jnp.asarray(one.chains)
        key = jax.random.key(SEED)
        places = np.asarray(jax.random.randint(key, (BATCH,), 0, N_VISIBLE)).astype(np.int64)
        pseudo = np.asarray(likelihood.pseudo_log_likelihood(ours, jnp.round(data), key)[None])
        checks = (
            ("energy", compare.max_relative, rbm.energy(ours, data, chains), theirs.energy(v, h)),
            ("free energy", compare.max_relative, rbm.free_energy(ours, data), theirs.free_energy(v)),
            ("hidden", compare.max_abs, rbm.hidden_given_visible(ours, data), theirs.hidden_given_visible(v)),
            ("visible", compare.max_abs, rbm.visible_given_hidden(ours, chains), theirs.visible_given_hidden(h)),
        )
    for name, measure, actual, expected in checks:
        measure(np.asarray(actual), expected.numpy(), tolerance=TOLERANCES[dtype], name=name).require()
    # 784 times a difference of free energies, whose rounding stays: measured 5e-15 and 5e-6.
    expected = theirs.pseudo_log_likelihood(v.round(), torch_side.tensor(places))[None].numpy()
    compare.max_relative(pseudo, expected, tolerance=20 * TOLERANCES[dtype], name="pseudo-log-likelihood").require()


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("kind", ["mnist", "random"])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_step_agrees(dtype: str, kind: str, k: int, persistent: bool) -> None:
    one, tolerance = case(dtype, kind, k), TOLERANCES[dtype]
    theirs = torch_machine(one.machine)
    data, chains = torch_side.tensor(one.data), torch_side.tensor(one.chains) if persistent else None
    drawn = cleared(theirs, theirs.hidden_given_visible(data) if chains is None else chains, one.drawn)
    expected = theirs.divergence_step(data, drawn, chains)
    with x64(dtype):
        uniforms = rbm.Uniforms(*(jnp.asarray(numbers.numpy()) for numbers in drawn))
        starts = jnp.asarray(one.chains) if persistent else None
        found = rbm.divergence_step(jax_machine(one.machine), jnp.asarray(one.data), uniforms, starts)
    for name, ours, statistics in zip(("data", "model"), found[:2], expected[:2], strict=True):
        compare.max_abs(fields(ours), as_jax(statistics), tolerance=tolerance, name=name).require()
    compare.max_abs(np.asarray(found[2]), expected[2].numpy(), tolerance=tolerance, name="chains").require()


@pytest.mark.parametrize("options", [OFF, ON])
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_an_update_agrees(dtype: str, k: int, persistent: bool, options: dict[str, float]) -> None:
    one = case(dtype, "mnist", k)
    changes = {"hidden": N_HIDDEN, "k": k, "persistent": persistent, "dtype": dtype, **options}
    data = torch_side.tensor(one.data)
    with x64(dtype):
        ours, theirs = states(one, dtype)
        drawn = cleared(theirs.rbm, theirs.chains if persistent else theirs.rbm.hidden_given_visible(data), one.drawn)
        uniforms = rbm.Uniforms(*(jnp.asarray(numbers.numpy()) for numbers in drawn))
        ours = training.update(ours, jnp.asarray(one.data), uniforms, rbm_settings.Settings(**changes), 0.1)
    torch_rbm.update_(theirs, data, drawn, torch_rbm.Settings(**changes), 0.1)
    require_alike(ours, theirs, TOLERANCES[dtype])


def require_alike(ours: training.State, theirs: torch_rbm.State, tolerance: float) -> None:
    actual = {"rbm": fields(ours.rbm), "velocity": fields(ours.velocity), "activity": np.asarray(ours.activity)}
    expected = {"rbm": as_jax(tuple(theirs.rbm.parameters())), "velocity": as_jax(theirs.velocity)}
    expected["activity"] = theirs.activity.numpy()
    compare.max_abs(actual, expected, tolerance=tolerance, name="state").require()
    compare.max_abs(np.asarray(ours.chains), theirs.chains.numpy(), tolerance=tolerance, name="chains").require()


@pytest.mark.parametrize(
    ("options", "persistent"), [(ON, True), *(slow(*case) for case in ((OFF, False), (OFF, True), (ON, False)))]
)
def test_twenty_steps_of_an_epoch_agree(options: dict[str, float], persistent: bool) -> None:
    """The port's own scan, and the reference's loop over the same batches and numbers. Measured: 4e-15 at most."""
    images, steps, k = pixels("float64", 0, 20 * BATCH), 20, 2
    changes = {"hidden": N_HIDDEN, "k": k, "persistent": persistent, "dtype": "float64", **options}
    order = np.random.default_rng(SEED).permutation(len(images)).astype(np.int32).reshape(steps, BATCH)
    with x64("float64"):
        ours, theirs = states(case("float64", "mnist"), "float64")
        keys = jax.random.split(jax.random.key(SEED), steps)
        draws = [rbm.uniforms(key, k, BATCH, ours.rbm) for key in keys]
        epoch = jax.jit(partial(training.run_epoch, settings=rbm_settings.Settings(**changes)))
        ours = epoch(ours, jnp.asarray(images), jnp.asarray(order), keys, jnp.asarray(0.1))
    data = torch_side.tensor(images)
    for batch, drawn in zip(torch_side.tensor(order), draws, strict=True):
        uniforms = torch_rbm.Uniforms(*(torch_side.tensor(np.asarray(numbers)) for numbers in drawn))
        torch_rbm.update_(theirs, data[batch], uniforms, torch_rbm.Settings(**changes), 0.1)
    require_alike(ours, theirs, 1e-12)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_stack_unrolls_into_the_same_network(dtype: str, activation: str) -> None:
    """Measured in float64 and float32: logits 7e-16 and 2e-7 of the largest."""
    rng, sizes = np.random.default_rng(SEED), (784, 48, 32)
    stack = [machine(rng, dtype, *pair) for pair in pairwise(sizes)]
    changes = {"layers": (*sizes, 10), "init": "dbn", "dtype": dtype, "activation": activation}
    recipe = recipes.Recipe(name="ours", **changes)
    data = pixels(dtype, 0, 100)
    with x64(dtype):
        params = replayed(recipe, 60_000).params
        unrolled = jax.tree.map(jnp.asarray, dbn.unroll([rbm.Rbm(*one) for one in stack], params))
        ours = np.asarray(model.pre_activations(unrolled, jnp.asarray(data), activation)[-1])
        top = np.asarray(dbn.up([jax_machine(one) for one in stack], jnp.asarray(data)))
    theirs = torch_model.build(torch_recipes.Recipe(name="theirs", **changes))
    theirs.load_state_dict({name: torch_side.tensor(array) for name, array in interop.to_torch(params).items()})
    machines = [torch_machine(one) for one in stack]
    torch_dbn.unroll_(machines, theirs)
    compare.exact(interop.to_torch(unrolled), torch_side.tensors_of(theirs)).require()
    with torch.no_grad():
        logits = theirs(torch_side.tensor(data)).numpy()
    compare.max_relative(ours, logits, tolerance=TOLERANCES[dtype], name="logits").require()
    expected = torch_dbn.up(machines, torch_side.tensor(data))
    compare.max_abs(top, expected.numpy(), tolerance=TOLERANCES[dtype], name="up").require()


def test_either_side_reads_the_other_s_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED)
    stack = [machine(rng, "float32", *sizes) for sizes in ((20, 12), (12, 7))]
    rbm_files.save_stack(tmp_path / "jax.safetensors", [rbm.Rbm(*one) for one in stack])
    machines = [torch_rbm.Rbm(20, 12), torch_rbm.Rbm(12, 7)]
    named = torch.nn.ModuleDict({f"rbm{number}": one for number, one in enumerate(machines, start=1)})
    named.load_state_dict(safetensors.torch.load_file(tmp_path / "jax.safetensors"))
    for ours, theirs in zip(stack, machines, strict=True):
        compare.exact(dict(zip(rbm.Rbm._fields, ours, strict=True)), as_jax(tuple(theirs.parameters()))).require()
    safetensors.torch.save_file(named.state_dict(), tmp_path / "torch.safetensors")
    for ours, read in zip(stack, rbm_files.load_stack(tmp_path / "torch.safetensors"), strict=True):
        compare.exact(list(read), list(ours)).require()


def test_both_sides_have_the_same_defaults() -> None:
    assert vars(torch_rbm.Settings()) == vars(rbm_settings.Settings())
    assert vars(torch_dbn.PRETRAINING) == vars(rbm_settings.PRETRAINING)
    assert torch_rbm.INITIAL_STD == rbm.INITIAL_STD
    assert torch_rbm.LIMIT == training.LIMIT
    assert torch_train.LSUV_IMAGES == torch_dbn.MONITORED == training.MONITORED


# Measured with 30 runs a side: standard deviations of 0.52 (JAX) and 0.55 (torch) nats about -152.57 and -152.38. The
# margin is 2.2 of these, at which 8 runs a side have a power of 0.99; a learning rate 5 % lower costs 1.7 nats.
RUNS, STD, MARGIN = 8, 0.56, 1.25


@pytest.mark.slow
def test_training_reaches_the_same_likelihood() -> None:
    """Each side from seeds and draws of its own; one function with one key measures both."""
    images, held_out = pixels("float32", 0, 10_000), (torch_side.load().test_images / 255).astype("float32")
    changes, key, measure = (
        {"hidden": 64, "epochs": 3},
        jax.random.key(0),
        jax.jit(likelihood.pseudo_log_likelihood),
    )
    monitored, rounded = held_out[:100], jnp.asarray(held_out.round())
    ours, theirs = [], []
    for seed in range(RUNS):
        settings = rbm_settings.Settings(seed=seed, **changes)
        *_, (_, one) = training.fit(settings, jnp.asarray(images), jnp.asarray(monitored))
        ours.append(float(measure(jax_machine(one), rounded, key)))
        data, generator = map(torch_side.tensor, (images, monitored)), torch.Generator().manual_seed(1000 + seed)
        *_, (_, other) = torch_rbm.fit(torch_rbm.Settings(**changes), *data, generator)
        theirs.append(float(measure(jax_machine(as_jax(tuple(other.parameters())).values()), rounded, key)))
    assert compare.tost_power(STD, RUNS, MARGIN) > 0.95
    compare.tost(ours, theirs, margin=MARGIN, name="pseudo-log-likelihood").require()
    assert not compare.tost(np.array(ours) - 1.5 * MARGIN, theirs, margin=MARGIN).passed
