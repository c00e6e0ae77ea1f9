"""Rung 13: the accuracy over seeds, shown to be equivalent (and not merely "not different").

Every run is one of `fit`, the training loop of the command `train`, on each side with its own random numbers.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from jax_impl import compare
from jax_impl.data import Mnist
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, TINY, Measured, Size
from tests.tiers import slow

TITLE = "accuracy"
QUESTION = "Is the mean accuracy over seeds the same, within a margin that was fixed beforehand?"
RECIPE = "mnist_nn_xavier"
JAX_SEED, TORCH_SEED = 100, 200  # the first ones; those of the two arms differ, so that the runs are independent

# What the notebook printed, epoch by epoch, until its output ends.
NOTEBOOK = (
    0.243988752, 0.091930427, 0.059369326, 0.042475790, 0.033861812, 0.025505863,
    0.022579098, 0.017337879, 0.016488504, 0.014489295, 0.014997463, 0.010930263,
)  # fmt: skip

Fit = Callable[..., jax_side.Run]


def arm(fit: Fit, mnist: Mnist, size: Size, first_seed: int) -> dict[str, list[list[float]]]:
    """Train once per seed."""
    runs = [fit(RECIPE, mnist, epochs=size.epochs, seed=first_seed + seed) for seed in range(size.seeds)]
    if any(len(run.accuracy) != size.epochs for run in runs):
        raise ValueError(f"runs of {size.epochs} epochs had {[len(run.accuracy) for run in runs]}")
    return {"cost": [run.cost for run in runs], "accuracy": [run.accuracy for run in runs]}


def measure(size: Size, fits: tuple[Fit, Fit] | None = None) -> Measured:
    """Compare the mean test accuracy of each run's last epochs. It scatters a third as much as the last epoch's."""
    ours_fit, theirs_fit = fits or (jax_side.fit, torch_side.fit)
    mnist = jax_side.load_part(size.train_images, size.test_images)
    ours, theirs = arm(ours_fit, mnist, size, JAX_SEED), arm(theirs_fit, mnist, size, TORCH_SEED)
    last = [np.array(runs["accuracy"])[:, -size.last_epochs :].mean(axis=1) for runs in (ours, theirs)]
    name = f"mean accuracy of the last {size.last_epochs} epochs, {size.seeds} seeds an arm"
    equivalence = compare.tost(*last, margin=size.margin, name=name)
    std = float(np.sqrt((last[0].var(ddof=1) + last[1].var(ddof=1)) / 2))
    comparisons: list[compare.Comparison] = [equivalence]
    note = f"pooled std {std:.2e}, power {compare.tost_power(std, size.seeds, size.margin) if std > 0 else 1.0:.3f}"
    if size.epochs >= len(NOTEBOOK):
        costs = np.array(ours["cost"] + theirs["cost"])
        comparisons.append(notebook_like(costs))
        note += f"; the notebook's cost lies in the seeds' range at {epochs_in_range(costs)} of {len(NOTEBOOK)} epochs"
    data = {
        "recipe": RECIPE,
        "jax": ours,
        "torch": theirs,
        "notebook": [[epoch, cost] for epoch, cost in enumerate(NOTEBOOK, start=1)],
        "last_epochs": size.last_epochs,
        "margin": size.margin,
        "interval": list(equivalence.interval),
        "difference": equivalence.difference,
    }
    return Measured(comparisons=comparisons, data=data, note=note)


def notebook_like(costs: np.ndarray) -> compare.Comparison:
    """Compare the notebook's printed costs with the seeds' costs (seeds, epochs), in standard deviations of their logs.

    The tolerance is the simultaneous 95 % prediction interval for one more run, over all epochs (Bonferroni). The range
    of the seeds would be simpler, but it is no bound: a 21st correct run leaves the range of twenty in some epoch more
    often than not. Of twenty runs measured here, three stayed inside the range of the other nineteen in every epoch,
    and nineteen inside this interval.
    """
    printed = np.log(NOTEBOOK)
    curves = np.log(costs[:, : len(printed)])
    n = len(curves)
    spread = curves.std(axis=0, ddof=1) * np.sqrt(1 + 1 / n)
    off = np.abs(printed - curves.mean(axis=0)) / spread
    tolerance = float(stats.t.ppf(1 - 0.05 / (2 * len(printed)), n - 1))
    name = f"the notebook's printed costs are those of one more seed, {n} seeds"
    return compare.max_abs(off, np.zeros_like(off), tolerance=tolerance, name=name)


def epochs_in_range(costs: np.ndarray) -> int:
    """Return at how many epochs the notebook's printed cost lies inside the range of the seeds' costs."""
    printed, curves = np.array(NOTEBOOK), costs[:, : len(NOTEBOOK)]
    return int(((curves.min(axis=0) <= printed) & (printed <= curves.max(axis=0))).sum())


@pytest.mark.parametrize("size", [TINY, slow(QUICK)], ids=("tiny", "quick"))
def test_rung(size: Size) -> None:
    measure(size).require()


def test_a_worse_arm_is_not_equivalent() -> None:
    def fake(mean: float) -> Fit:
        def fit(_recipe: str, _mnist: Mnist, *, epochs: int, seed: int) -> jax_side.Run:
            accuracy = mean + 1e-3 * np.random.default_rng(seed).standard_normal(epochs)
            return jax_side.Run(cost=[0.1] * epochs, accuracy=accuracy.tolist(), tensors={})

        return fit

    assert measure(QUICK, (fake(0.975), fake(0.975))).passed
    assert not measure(QUICK, (fake(0.975), fake(0.955))).passed


def test_a_cost_of_another_training_is_not_the_notebook_s() -> None:
    scatter = 0.08 * np.random.default_rng(0).standard_normal((20, 12))  # 0.01 to 0.13 measured, by epoch
    assert notebook_like(NOTEBOOK * np.exp(scatter)).passed
    assert epochs_in_range(NOTEBOOK * np.exp(scatter)) == 12
    assert not notebook_like(NOTEBOOK * np.exp(scatter + 0.4)).passed
    assert epochs_in_range(NOTEBOOK * np.exp(scatter + 0.4)) == 0
    one_epoch_off = scatter + 0.5 * (np.arange(12) == 7)
    assert not notebook_like(NOTEBOOK * np.exp(one_epoch_off)).passed
