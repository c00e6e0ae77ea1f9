"""A plain verdict and its reason, from measurements that are made up."""

from typing import Any

import numpy as np
import pytest

from jax_impl.explore.verdicts import REASONS, Evidence, Verdict, judge

ONES = np.ones(4)
LEVEL = {
    "accuracy": np.array([[0.5, 0.9, 0.9], [0.5, 0.92, 0.92], [0.5, 0.91, 0.91]]),
    "diverged": np.zeros(3, bool),
    "variance": ONES,
    "gradient": ONES,
    "flat_before": 0 * ONES,
    "saturated": 0.5 * ONES,
    "rank": 20 * ONES,
    "flat_after": 0 * ONES,
    "update": 0.01 * ONES,
    "optimizer": "sgd",
    "activation": "relu",
}
CHANCE = {"accuracy": np.full((3, 3), 0.11)}
HALF = {"accuracy": np.full((3, 3), 0.5)}
RISEN = {"accuracy": np.array([[0.3, 0.47, 0.5]] * 3)}
FALLING = 0.05 ** np.arange(4)
GROWING = 100.0 ** np.arange(3, -1, -1)  # towards the first layer
SOME, ALL = np.array([False, True, False]), np.ones(3, bool)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, ("trains", "level", 0)),
        ({"variance": FALLING}, ("trains", "uneven", 0)),
        ({"gradient": FALLING[::-1]}, ("trains", "uneven", 0)),
        ({"gradient": GROWING}, ("trains", "uneven", 0)),
        ({"variance": 50.0 ** np.arange(4), "optimizer": "adam"}, ("trains", "rescaled", 0)),
        ({"variance": FALLING, "optimizer": "adam"}, ("trains", "rescaled", 0)),
        ({"optimizer": "adam"}, ("trains", "level", 0)),
        (HALF | {"update": 1e-5 * ONES}, ("learns slowly", "rate too small", 0)),
        (HALF | {"update": np.array([0.01, 0.01, 0.01, 0.05])}, ("learns slowly", "rate too large", 0)),
        (HALF, ("learns slowly", "unclear", 0)),
        (RISEN, ("learns slowly", "still learning", 0)),
        (CHANCE | {"variance": FALLING}, ("dead", "lost", 4)),
        (CHANCE | {"gradient": 1e-2 ** np.arange(3, -1, -1)}, ("dead", "faded", 2)),
        (CHANCE | {"gradient": np.array([1e-9, 1e-9, 1e-9, 1])}, ("dead", "faded", 3)),
        (CHANCE | {"rank": np.array([20, 5, 1.4, 1.1])}, ("dead", "alike", 3)),
        (CHANCE | {"flat_before": np.array([0, 0.95, 0, 1])}, ("dead", "flat", 2)),
        (CHANCE | {"saturated": 0.95 * ONES}, ("dead", "unclear", 0)),
        (CHANCE | {"saturated": 0.95 * ONES, "activation": "tanh"}, ("dead", "saturated", 1)),
        (CHANCE | {"gradient": GROWING}, ("dead", "gradient exploded", 2)),
        (CHANCE | {"flat_after": np.array([0, 0, 1, 1])}, ("dead", "died", 3)),
        (CHANCE | {"variance": 0 * ONES, "gradient": 0 * ONES}, ("dead", "zeros", 0)),
        (CHANCE | {"variance": 0 * ONES, "gradient": np.nan * ONES}, ("dead", "zeros", 0)),
        (CHANCE | {"variance": 50.0 ** np.arange(4)}, ("dead", "exploded", 3)),
        ({"diverged": SOME}, ("partly diverged", "diverged", 0)),
        ({"diverged": ALL}, ("diverged", "diverged", 0)),
        ({"diverged": ALL, "gradient": GROWING}, ("diverged", "gradient exploded", 2)),
        ({"diverged": ALL, "variance": 50.0 ** np.arange(4)}, ("diverged", "exploded", 3)),
        ({"diverged": ALL, "variance": np.array([1, np.nan, np.nan, np.nan])}, ("diverged", "exploded", 2)),
        ({"diverged": ALL, "variance": np.array([1, 10, np.inf, np.inf])}, ("diverged", "exploded", 3)),
    ],
)
def test_the_verdict_names_the_reason_and_the_layer(changes: dict[str, Any], verdict: tuple[str, str, int]) -> None:
    assert judge(Evidence(**LEVEL | changes)) == Verdict(*verdict)
    assert verdict[1] in REASONS
