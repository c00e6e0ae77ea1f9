"""Rung 14: what both command lines print and save, and how each evaluates networks that the other trained.

The commands `train` and `evaluate` run in this process, on the first training images.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import safetensors.numpy

from jax_impl import compare
from jax_impl.data import Mnist
from jax_impl.recipes import RECIPES
from tests.parity import commands, jax_side, torch_side
from tests.parity.commands import Trained
from tests.parity.ladder import QUICK, Measured, Size
from tests.tiers import slow

TITLE = "cross-evaluation"
QUESTION = "Do both command lines print and save the same results, and give a trained network the same accuracy?"
RECIPE = "mnist_nn_xavier"

# Test images on which two sides may differ: float32 rounding may swap two logits that are equal to six digits.
# Measured 0.
SWAPPED = 1

# Float64, and the defaults of everything else: three epochs of the notebook's training.
DEFAULTS = ("--epochs", "3", "--dtype", "float64")
INTERRUPTED = ("--epochs", "2", "--dtype", "float64"), (*DEFAULTS, "--resume")
# Two correct float64 trainings of up to 1,800 steps differ by 1e-12 in a cost (rung 12). Nine printed decimals of each
# add half a unit of the last one.
COST, PRINTED_COST, STATE = 1e-12, 1.1e-9, 1e-9
if not torch_side.FUSED:
    # Then torch's own weights differ from the replayed ones by a unit in the last place of float32 (rung 6), and the
    # commands start from two networks. Pre-activations cross a ReLU's kink as in float32: rung 12's tolerance.
    COST = PRINTED_COST = STATE = 1e-3

# Float32, and another value of everything that can be chosen. SGD and tanh: without Adam and kinks, rounding does not
# grow, and two correct float32 trainings agree: measured 6e-7 relative L2 in the parameters, 5e-7 in a cost. The last
# epoch is 3 percentage points worse than the one before, so a file that keeps the best epoch is seen.
CHOSEN_RECIPE = "mnist_nn_zeros"
CHOSEN = (
    *(CHOSEN_RECIPE, "--epochs", "4", "--seed", "2", "--init", "kaiming_uniform", "--init-passes", "2"),
    *("--activation", "tanh", "--optimizer", "sgd", "--learning-rate", "0.3", "--batch-size", "50"),
)
CHOSEN_IMAGES, CHOSEN_TOLERANCE = 1_000, 5e-5


def measure(size: Size) -> Measured:
    return Measured(comparisons=[comparison for part in PARTS for comparison in part(size)])


def trained_on_either_side(size: Size) -> list[compare.Comparison]:
    """Compare the accuracies of networks that either side trained, and of made-up ones."""
    mnist = jax_side.load_part(size.cross_images, size.test_images)
    found = []
    for recipe in size.cross_recipes:
        for trainer in (jax_side, torch_side):
            tensors = trainer.fit(recipe, mnist, epochs=size.cross_epochs, seed=14).tensors
            ours, theirs = (
                np.array(side.accuracy(tensors, mnist.test_images, mnist.test_labels))
                for side in (jax_side, torch_side)
            )
            name = f"{recipe}, trained by {trainer.__name__.rpartition('.')[2]}: accuracy {float(theirs):.4f}"
            found.append(compare.max_abs(ours, theirs, tolerance=1.01 * SWAPPED / size.test_images, name=name))
    return [*found, constant_answers(mnist), float64_answer(mnist)]


def constant_answers(mnist: Mnist) -> compare.Comparison:
    """Evaluate networks that always answer one class. Their accuracies are its shares of the labels, unrounded."""
    shares = []
    for label in range(10):
        tensors = {
            "linear1.weight": np.zeros((10, 784), np.float32),
            "linear1.bias": np.eye(10, dtype=np.float32)[label],
        }
        shares.append(jax_side.accuracy(tensors, mnist.test_images, mnist.test_labels))
    expected = np.bincount(mnist.test_labels, minlength=10) / len(mnist.test_labels)
    return compare.exact(np.array(shares), expected, name="networks that always answer one class")


def float64_answer(mnist: Mnist) -> compare.Comparison:
    """Evaluate a network that always answers 7, by a bias larger by 1e-12: in float32 it would answer 0."""
    shapes = {"linear1": (256, 784), "linear2": (256, 256), "linear3": (10, 256)}
    tensors = {f"{name}.weight": np.zeros(shape) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": np.ones(shape[0]) for name, shape in shapes.items()}
    tensors["linear3.bias"][7] += 1e-12
    accuracy = np.array(commands.jax_evaluate(mnist, safetensors.numpy.save(tensors), RECIPE))
    share = np.array(float((mnist.test_labels == 7).mean()))
    return compare.exact(accuracy, share, name="evaluate computes a float64 file in float64")


def defaults(size: Size) -> list[compare.Comparison]:
    """Compare the commands in float64, and the same training interrupted and resumed."""
    mnist = jax_side.load_part(size.cross_images, size.test_images)
    n_images = len(mnist.train_images)
    ours = commands.jax_train(mnist, DEFAULTS)
    theirs = commands.torch_train(n_images, size.test_images, DEFAULTS)
    resumed = commands.jax_train(mnist, *INTERRUPTED)
    tensors = jax_side.initial(RECIPE, dtype="float64")  # as the command: without AVX2 torch draws others
    orders = torch_side.orders(RECIPE, n_images, 3).astype(np.int32)
    epochs, _ = jax_side.epochs(RECIPE, mnist, tensors, orders, epochs=3)
    return [
        *same_results(ours, theirs, cost=COST, printed=PRINTED_COST, params=STATE),
        compare.exact(ours.tensors, epochs[-1].params, name="train: the saved parameters are those of the last epoch"),
        compare.exact(resumed.tensors, ours.tensors, name="train --resume: saved parameters"),
        compare.exact(numbers(resumed.printed), numbers(ours.printed), name="train --resume: printed"),
        compare.exact(numbers(resumed.metrics), numbers(ours.metrics), name="train --resume: metrics.jsonl"),
        *same_evaluations(mnist, ours, theirs, (RECIPE,), (RECIPE, "--activation", "tanh"), images=0),
    ]


def chosen(size: Size) -> list[compare.Comparison]:
    """Compare the commands in float32, with every option."""
    mnist = jax_side.load_part(CHOSEN_IMAGES, size.test_images)
    ours = commands.jax_train(mnist, CHOSEN)
    theirs = commands.torch_train(CHOSEN_IMAGES, size.test_images, CHOSEN)
    tolerances = dict.fromkeys(("cost", "printed", "params"), CHOSEN_TOLERANCE) | {
        "accuracy": 1.01 * SWAPPED / size.test_images
    }
    return [
        *same_results(ours, theirs, **tolerances, what="all options"),
        *same_evaluations(mnist, ours, theirs, (CHOSEN_RECIPE, "--activation", "tanh"), images=SWAPPED),
    ]


def own_draws(size: Size) -> list[compare.Comparison]:
    """Compare the command with JAX's own random numbers, in float32, with what `fit` computes from them (rung 13)."""
    mnist = jax_side.load_part(size.cross_images, size.test_images)
    ours = commands.jax_train(mnist, ("--stream", "jax", "--epochs", "1", "--seed", "14"))
    run = jax_side.fit(RECIPE, mnist, epochs=1, seed=14)
    expected = {"cost": np.array(run.cost), "test_accuracy": np.array(run.accuracy)}
    return [
        compare.exact({name: ours.metrics[name] for name in expected}, expected, name="train --stream jax: metrics"),
        compare.exact(ours.tensors, run.tensors, name="train --stream jax: saved parameters"),
    ]


def numbers(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns that do not depend on the machine's speed."""
    return {name: column for name, column in columns.items() if name != "seconds"}


def same_results(
    ours: Trained,
    theirs: Trained,
    *,
    cost: float,
    printed: float,
    params: float,
    accuracy: float = 0.0,
    what: str = "train",
) -> list[compare.Comparison]:
    """Compare what both sides printed and saved, with a tolerance for each kind of number."""
    formats = {"epoch": (1, ".0f"), "cost": (1, ".9f"), "test_accuracy": (100, ".2f"), "seconds": (1, ".2f")}
    as_printed = {
        name: np.array([float(f"{factor * value:{form}}") for value in ours.metrics[name].astype(object)])
        for name, (factor, form) in formats.items()
    }
    settings = {name: np.array(value == theirs.config.get(name)) for name, value in ours.config.items()}
    bits = [{name: np.array(8 * tensor.itemsize) for name, tensor in one.tensors.items()} for one in (ours, theirs)]

    def close(files: str, column: str, tolerance: float) -> compare.Comparison:
        pair = [getattr(one, files)[column] for one in (ours, theirs)]
        return compare.max_abs(*pair, tolerance=tolerance, name=f"{what}: {column}, {files}")

    return [
        close("printed", "epoch", 0),
        close("printed", "cost", printed),
        close("printed", "test_accuracy", 100 * accuracy),
        close("metrics", "epoch", 0),
        close("metrics", "cost", cost),
        close("metrics", "test_accuracy", accuracy),
        compare.exact(ours.printed, as_printed, name=f"{what}: printed as in metrics.jsonl"),
        compare.exact(settings, dict.fromkeys(theirs.config, np.array(True)), name=f"{what}: config.json"),
        compare.exact(*bits, name=f"{what}: bits of the saved parameters"),
        compare.relative_l2(ours.tensors, theirs.tensors, tolerance=params, name=f"{what}: saved parameters"),
    ]


def same_evaluations(
    mnist: Mnist, ours: Trained, theirs: Trained, *arguments: tuple[str, ...], images: int
) -> list[compare.Comparison]:
    """Compare what `evaluate` prints for both files, on both sides, and with the last accuracy that `train` recorded.

    The first arguments are those that the files were trained with. Accuracies may differ by `images` test images.
    """
    last = ours.metrics["test_accuracy"][-1]
    found = []
    for (name, trained), options in product((("jax", ours), ("torch", theirs)), arguments):
        pair = (
            commands.jax_evaluate(mnist, trained.params, *options),
            commands.torch_evaluate(len(mnist.test_labels), trained.params, *options),
        )
        what = f"evaluate {' '.join(options)}, trained by {name}"
        tolerance = 1.01 * images / len(mnist.test_labels)
        found.append(compare.max_abs(*map(np.array, pair), tolerance=tolerance, name=what))
        if options == arguments[0]:
            title = f"{what}: the last accuracy of `train`"
            found.append(compare.max_abs(np.array(pair[0]), np.array(last), tolerance=tolerance, name=title))
    return found


PARTS = (trained_on_either_side, defaults, chosen, own_draws)
FAST = {chosen, own_draws}


@pytest.mark.parametrize("part", [one if one in FAST else slow(one) for one in PARTS])
def test_rung(part: Callable[[Size], list[compare.Comparison]]) -> None:
    Measured(comparisons=part(QUICK)).require()


@pytest.mark.slow
def test_every_recipe_is_evaluated_alike() -> None:
    Measured(comparisons=trained_on_either_side(replace(QUICK, cross_recipes=tuple(RECIPES)))).require()
