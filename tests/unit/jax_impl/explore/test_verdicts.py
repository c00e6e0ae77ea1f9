"""A plain verdict and its reason, from measurements that are made up."""

from typing import Any

import numpy as np
import pytest

from jax_impl.explore.verdicts import REASONS, Evidence, Verdict, judge

ONES = np.ones(4)
LEVEL = {
    "accuracy": np.array([0.9, 0.92, 0.91]),
    "diverged": np.zeros(3, bool),
    "variance": ONES,
    "gradient": ONES,
    "flat_before": 0 * ONES,
    "saturated": 0.5 * ONES,
    "flat_after": 0 * ONES,
    "update": 0.01 * ONES,
    "optimizer": "sgd",
    "activation": "relu",
}
CHANCE = np.array([0.11, 0.1, 0.12])
FALLING = 0.05 ** np.arange(4)
NONE, SOME, ALL = np.zeros(3, bool), np.array([False, True, False]), np.ones(3, bool)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, ("trains", "level", 0)),
        ({"variance": FALLING}, ("trains", "level", 0)),
        ({"variance": FALLING, "optimizer": "adam"}, ("trains", "rescaled", 0)),
        ({"accuracy": 0.5 * ONES[:3], "update": 1e-5 * ONES}, ("learns slowly", "rate too small", 0)),
        ({"accuracy": 0.5 * ONES[:3]}, ("learns slowly", "unclear", 0)),
        ({"accuracy": CHANCE, "variance": FALLING}, ("dead", "lost", 4)),
        ({"accuracy": CHANCE, "gradient": 1e-3 ** np.arange(3, -1, -1)}, ("dead", "faded", 1)),
        ({"accuracy": CHANCE, "gradient": 1e-9 * ONES ** np.arange(4) + [0, 0, 0, 1]}, ("dead", "faded", 3)),
        ({"accuracy": CHANCE, "flat_before": np.array([0, 0.95, 0, 1])}, ("dead", "flat", 2)),
        ({"accuracy": CHANCE, "saturated": 0.95 * ONES}, ("dead", "unclear", 0)),
        ({"accuracy": CHANCE, "saturated": 0.95 * ONES, "activation": "tanh"}, ("dead", "flat", 1)),
        ({"accuracy": CHANCE, "flat_after": np.array([0, 0, 1, 1])}, ("dead", "died", 3)),
        ({"accuracy": CHANCE, "variance": 0 * ONES, "gradient": 0 * ONES}, ("dead", "zeros", 0)),
        ({"accuracy": CHANCE, "variance": 0 * ONES, "gradient": np.nan * ONES}, ("dead", "zeros", 0)),
        ({"diverged": SOME}, ("partly diverged", "rate too large", 0)),
        ({"diverged": ALL}, ("diverged", "rate too large", 0)),
        ({"diverged": ALL, "variance": 50.0 ** np.arange(4)}, ("diverged", "exploded", 3)),
        ({"diverged": ALL, "variance": np.array([1, np.nan, np.nan, np.nan])}, ("diverged", "exploded", 2)),
        ({"diverged": ALL, "variance": np.array([1, 10, np.inf, np.inf])}, ("diverged", "exploded", 3)),
    ],
)
def test_the_verdict_names_the_reason_and_the_layer(changes: dict[str, Any], verdict: tuple[str, str, int]) -> None:
    assert judge(Evidence(**LEVEL | changes)) == Verdict(*verdict)
    assert verdict[1] in REASONS
