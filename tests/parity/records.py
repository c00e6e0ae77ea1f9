"""Each recipe's network as two records, and the verdict on them, as `python -m jax_impl prove` gives for any port.

Rungs 4, 5 and 7 to 12 read it. The port is what its commands train: its own loss, `start` and `update`.
"""

import atexit
import itertools
import shutil
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from jax_impl import draws, model, parity, train
from jax_impl.compare import Comparison
from jax_impl.parity.measures.tolerances import LOOSE
from jax_impl.parity.records.reading import read
from jax_impl.parity.verdict import Check, Rung, Verdict
from jax_impl.recipes import Recipe, named
from tests.parity import jax_side, torch_side
from torch_ref import model as torch_model
from torch_ref import recipes as torch_recipes
from torch_ref import record
from torch_ref import train as torch_train

STEPS, BATCH = 3, 100

# A ReLU's derivative jumps at 0. If rounding decides on which side of 0 a pre-activation lies, two correct sides may
# take different derivatives, and float32 gradients of 1,000 images then differed by 9e-4. Images with such units are
# left out. A pre-activation of exactly 0 (zero weights) is not rounding, and stays.
MARGIN = 1e-5  # of the layer's largest magnitude; float32's rounding is 3e-7 of it


def judged(recipes: Iterable[str], dtypes: Iterable[str], *rungs: int) -> list[Comparison]:
    """Return these rungs of the verdicts on recipes, numbered as `prove` numbers them."""
    verdicts = {f"{name}, {dtype}": verdict(name, dtype) for name, dtype in itertools.product(recipes, dtypes)}
    return [comparison(rung, name) for name, found in verdicts.items() for rung in found.rungs if rung.number in rungs]


def comparison(rung: Rung, name: str) -> Comparison:
    """Return a rung's first failed check, or the one that comes closest to failing. Without checks it has failed."""
    title = f"{name}: {rung.title.lower()}, {len(rung.checks):,} checks"
    worst = rung.failures[0] if rung.failures else max(rung.checks, key=_share, default=None)
    if loose := [check.place for check in rung.checks if LOOSE in check.reason]:  # others' libraries may, ours may not
        return Comparison(name=title, measured=np.inf, tolerance=0.0, passed=False, where=loose[0], detail=LOOSE)
    if worst is None:
        return Comparison(name=title, measured=np.inf, tolerance=0.0, passed=False, where="nothing", detail=rung.reason)
    return Comparison(
        name=title,
        measured=float(not worst.passed) if worst.measured is None else worst.measured,
        tolerance=worst.allowed or 0.0,
        passed=worst.passed,
        where=f"{worst.place} ({worst.stage}): {worst.finding or worst.what}",
        detail="; ".join(filter(None, (worst.detail, worst.reason))),
        failing=tuple(check.place for check in rung.failures),
    )


def _share(check: Check) -> float:
    """Return how much of its tolerance a check takes."""
    return (check.measured or 0.0) / check.allowed if check.allowed else 0.0


def verdict(name: str, dtype: str) -> Verdict:
    """Return the ladder's verdict on the port of a recipe."""
    return _verdict(named(name).with_changes(dtype=dtype))


@lru_cache(maxsize=32)
def _verdict(recipe: Recipe) -> Verdict:
    theirs = reference(recipe.name, recipe.dtype)
    start = jax_side.params_of(torch_side.initial(recipe.name))
    return parity.prove(
        theirs,
        model=start,
        loss=lambda params, batch: loss(params, batch, recipe.activation),
        optimizer=rule(recipe),
        fresh=lambda seed: fresh(recipe, seed),
    )


def fresh(recipe: Recipe, seed: int) -> Any:
    """Return newly drawn parameters, as the command draws them in the recipe's dtype."""
    with jax.enable_x64(recipe.dtype == "float64"):
        return draws.native(recipe.with_changes(seed=seed), 60_000).params


def forget() -> None:
    """Drop the verdicts on code that may change."""
    _verdict.cache_clear()


@lru_cache(maxsize=32)
def reference(name: str, dtype: str) -> Path:
    """Return the reference's record of a recipe: its network, loss and optimizer on the first clear images."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = torch_recipes.named(name).with_changes(dtype=dtype)
    torch_train.seed_everything(settings.seed)
    network = torch_model.build(settings)
    mnist = torch_side.load()
    images, labels = mnist.train_images[: 2 * STEPS * BATCH], mnist.train_labels[: 2 * STEPS * BATCH]
    clear = np.flatnonzero(clear_of_kinks(torch_side.initial(name), images))
    order = clear[: STEPS * BATCH].reshape(STEPS, BATCH)
    return record.save(
        folder / "theirs",
        model=network,
        loss=lambda network, batch: torch.nn.functional.cross_entropy(network(batch[0]), batch[1]),
        optimizer=torch_train.make_optimizer(settings, network),
        batches=torch_side.Replayed(images, labels, order, dtype),
        steps=STEPS,
        precision="as it is",  # the network is built in `dtype`
        fresh=lambda: torch_model.build(settings),
    )


def reference_gradients(name: str, dtype: str) -> dict[str, float]:
    """Return the norm of each gradient in the reference's record."""
    gradients = read(reference(name, dtype)).content.gradients or {}
    return {name: one.norm for name, one in gradients.items() if one is not None}


def clear_of_kinks(tensors: jax_side.Tensors, images: np.ndarray) -> np.ndarray:
    """Return which images keep all hidden units at least `MARGIN` away from their ReLU's kink, in float64."""
    double = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    clear = np.ones(len(images), bool)
    for hidden in torch_side.layers(double, images / np.float64(255))[:-1]:
        distance = np.abs(hidden)  # (images, units)
        clear &= ((distance >= MARGIN * distance.max()) | (distance == 0)).all(axis=1)
    return clear


def loss(params: model.Params, batch: Any, activation: str) -> jax.Array:
    """Return the port's own loss. The ladder sees what each layer computes."""
    compute = model.pre_activations
    images, labels = batch

    def observed(*arguments: Any) -> list[jax.Array]:
        layers = enumerate(compute(*arguments), start=1)
        return [parity.observe(f"linear{number}", output) for number, output in layers]

    with mock.patch.object(model, "pre_activations", observed):
        return train.mean_loss(params, images, labels.astype(jnp.int32), activation)


def rule(recipe: Recipe) -> optax.GradientTransformation:
    """Return the port's own `start` and `update` as an Optax transformation."""

    def init(params: model.Params) -> Any:
        return train.start(params, recipe.learning_rate, recipe.optimizer).opt_state

    def update(gradients: model.Params, moments: Any, params: model.Params) -> tuple[model.Params, Any]:
        dtype = jax.tree.leaves(params)[0].dtype
        state = train.State(params, moments, jnp.asarray(recipe.learning_rate, dtype))
        after = train.update(state, gradients, recipe.optimizer)
        return jax.tree.map(jnp.subtract, after.params, params), after.opt_state

    return optax.GradientTransformation(init, update)
