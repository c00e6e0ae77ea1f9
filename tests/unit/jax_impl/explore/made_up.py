"""Measurements with known numbers, in place of trainings."""

import zlib
from dataclasses import asdict

import numpy as np

from jax_impl.explore import start, training
from jax_impl.explore.grid import Measured
from jax_impl.explore.settings import RATES, SEEDS, Network, starts
from jax_impl.explore.start import Before
from jax_impl.explore.training import Course
from jax_impl.study.propagation import shown_layers


def measured(network: Network) -> Measured:
    """Return numbers that differ between networks, starts, rates, seeds and layers."""
    rng = np.random.default_rng(zlib.crc32(str(network).encode()))
    n_starts, layers, shown = len(starts()), network.depth + 1, len(shown_layers(network.depth, start.SHOWN))

    def numbers(*shape: int) -> np.ndarray:
        return rng.uniform(0.01, 1, shape).astype(np.float32)

    def shares(*shape: int) -> np.ndarray:
        values = numbers(*shape)
        return values / values.sum(axis=-1, keepdims=True)

    histograms = {name: shares(n_starts, shown, start.BINS) for name in ("pre", "weights", "gradients")}
    reaches = {f"{name}_reach": numbers(n_starts, shown) for name in histograms}
    by_layer = ("variance", "variance_theory", "gradient", "gradient_theory", "flat", "saturated")
    before = Before(
        loss=2 + numbers(n_starts),
        rank=1 + 30 * numbers(n_starts, layers),
        singular=np.sort(numbers(n_starts, layers, 3), axis=-1),
        **{name: numbers(n_starts, layers) for name in by_layer},
        **histograms,
        **reaches,
    )
    courses = {}
    for optimizer, rates in RATES.items():
        runs = (n_starts, len(rates), len(SEEDS))
        courses[optimizer] = Course(
            loss=2 * numbers(*runs, training.TESTS * training.POINTS),
            accuracy=numbers(*runs, training.TESTS),
            diverged=rng.uniform(size=runs) < 0.1,
            update=numbers(*runs, layers),
            sizes=numbers(*runs, training.FIRST_STEPS + 1, layers),
            flat=numbers(*runs, network.depth),
        )
    facts = {"network": asdict(network), "seconds": 1.5, "made": "2026-11-28", "where": "a made-up machine"}
    return Measured(before, courses, facts)
