"""Rung 7: JAX's own draws have the distributions of torch's."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from jax_impl import compare
from jax_impl.initializers import KERNELS
from tests.laws import EXACT, LAWS
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size
from tests.parity.records import judged

TITLE = "distributions"
QUESTION = "Do JAX's own initialisers draw from the same distributions as torch's?"

FAN_IN, FAN_OUT = 784, 64
ALPHA = 1e-3  # for the whole family of two-sample tests, by Holm's correction
NETWORK = "mnist_nn_deep"  # three of its kernels have the same shape, 512 × 512


def samples(side: object, init: str, size: Size) -> np.ndarray:
    """Return at least `size.samples` weights, from as many seeds as necessary."""
    seeds = math.ceil(size.samples / (FAN_IN * FAN_OUT))
    drawn = [side.sample(init, seed, FAN_IN, FAN_OUT).ravel() for seed in range(seeds)]  # type: ignore[attr-defined]
    return np.concatenate(drawn)


def measure(size: Size) -> Measured:
    comparisons, family, histograms = [], {}, []
    for init, law_of in LAWS.items():
        law, (ours, theirs) = law_of(FAN_IN, FAN_OUT), (samples(side, init, size) for side in (jax_side, torch_side))
        mean, std, skew, kurtosis = law.mean(), law.std(), *(float(x) for x in law.stats(moments="sk"))
        comparisons.append(
            compare.moments(ours, mean=mean, std=std, skew=skew, kurtosis=kurtosis, name=f"{init}: moments, ±4 SE")
        )
        low, high = law.support()
        if math.isfinite(high):
            # No value lies outside the bounds (float32 rounds them by 6e-8), and some come near both. The largest of n
            # uniform draws lies within 20/n of the bound in all but one case in e^20.
            outermost = np.array([ours.min(), ours.max()])
            near = (high - low) * max(1e-6, 20 / len(ours) if "normal" not in init else 0.02)
            comparisons.append(
                compare.max_abs(outermost, np.array([low, high]), tolerance=near, name=f"{init}: bounds")
            )
        else:
            comparisons.append(extreme(ours / std, f"{init}: largest of n, in sigma"))
        family[f"{init}: two samples"] = compare.ks_two_sample(ours, theirs)
        edges = np.linspace(*np.quantile(theirs, [0.0005, 0.9995]), 41)
        densities = {
            name: np.histogram(x, edges, density=True)[0].tolist() for name, x in (("torch", theirs), ("jax", ours))
        }
        histograms.append({"init": init, "edges": edges.tolist(), **densities})
    ours, theirs = (
        np.concatenate([side.sample_bias(seed, FAN_IN, 1000) for seed in range(20)]) for side in (jax_side, torch_side)
    )
    family["bias of nn.Linear: two samples"] = compare.ks_two_sample(ours, theirs)
    nonzero = [samples(side, "sparse", size) for side in (jax_side, torch_side)]
    family["sparse: two samples of the values other than 0"] = compare.ks_two_sample(*(x[x != 0] for x in nonzero))
    comparisons += [replace(result, name=name) for name, result in compare.holm(family, alpha=ALPHA).items()]
    comparisons += judged(size.recipes, ["float64"], 5)
    comparisons.append(independent(*(jax_side.own_initial(NETWORK, seed=seed) for seed in (0, 1))))
    return Measured(comparisons=comparisons + exact_ones(), data={"histograms": histograms})


def independent(first: jax_side.Tensors, second: jax_side.Tensors) -> compare.Comparison:
    """Check that each layer and each seed has its own draws, by the correlations of kernels of one shape."""
    kernels = [first[f"linear{number}.weight"].ravel() for number in (2, 3, 4)] + [second["linear2.weight"].ravel()]
    off = np.corrcoef(kernels) - np.eye(len(kernels))
    tolerance = 5 / math.sqrt(kernels[0].size)  # 5 standard errors of a correlation of independent numbers
    return compare.max_abs(off, np.zeros_like(off), tolerance=tolerance, name="layers and seeds are independent")


def extreme(sample: np.ndarray, name: str) -> compare.Comparison:
    """Compare the largest magnitude of n normal draws with the interval that holds it in 9,999 of 10,000 samples."""
    low, high = stats.norm.ppf((1 + np.array([5e-5, 1 - 5e-5]) ** (1 / sample.size)) / 2)
    return compare.max_abs(np.abs(sample).max(), (low + high) / 2, tolerance=(high - low) / 2, name=name)


def exact_ones() -> list[compare.Comparison]:
    """Compare the initialisers whose values or structure are not random."""
    found = []
    for init in (*EXACT, "eye"):
        ours, theirs = (side.sample(init, 0, 30, 20) for side in (jax_side, torch_side))
        found.append(compare.exact(ours, theirs, name=init))
    ours, theirs = (np.sort((side.sample("sparse", 0, 30, 20) == 0).sum(axis=0)) for side in (jax_side, torch_side))
    found.append(compare.exact(ours, theirs, name="sparse: zeros of every input unit"))
    for side in (jax_side, torch_side):
        weight = side.sample("orthogonal", 0, 60, 20).astype(np.float64)
        name = f"orthogonal: rows of {side.__name__.rpartition('.')[2]}"
        # A float32 QR decomposition of this size has an error of 3e-7.
        found.append(compare.max_abs(weight @ weight.T, np.eye(20), tolerance=2e-6, name=name))
    return found


def test_rung() -> None:
    measure(QUICK).require()


def test_this_rung_has_every_initialiser() -> None:
    assert set(KERNELS) == set(LAWS) | set(EXACT) | {"eye", "orthogonal", "sparse"}


@pytest.mark.parametrize("pair", [("kaiming_normal", "he_normal"), ("linear_default", "lecun_uniform")])
def test_another_distribution_is_seen(pair: tuple[str, str]) -> None:
    ours, theirs = samples(jax_side, pair[1], QUICK), samples(torch_side, pair[0], QUICK)
    assert not compare.holm({"pair": compare.ks_two_sample(ours, theirs)}, alpha=ALPHA)["pair"].passed
