"""The page's numbers: from the measurements of all networks to one array per field, with an axis per setting."""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from jax_impl.explore import settings, start, verdicts
from jax_impl.explore.grid import Measured
from jax_impl.explore.pack import ACCURACY, LOSS, SHARE, SIZE, Scale
from jax_impl.explore.settings import Network
from jax_impl.explore.start import Before
from jax_impl.explore.training import Course

COUNT = Scale("linear", 0.0, 252.0, 8)  # whole numbers: code 1 is 0, and the code of n is n + 2
OF_START = {
    "loss_before": ("loss", LOSS),
    "variance": ("variance", SIZE),
    "variance_theory": ("variance_theory", SIZE),
    "gradient": ("gradient", SIZE),
    "gradient_theory": ("gradient_theory", SIZE),
    "flat_before": ("flat", SHARE),
    "saturated": ("saturated", SHARE),
    "rank": ("rank", Scale("log", 1.0, 1e3)),
    "singular": ("singular", Scale("log", 1e-12, 1e12)),
    "pre": ("pre", SHARE),
    "pre_reach": ("pre_reach", SIZE),
    "weights": ("weights", SHARE),
    "weights_reach": ("weights_reach", SIZE),
    "gradients": ("gradients", SHARE),
    "gradients_reach": ("gradients_reach", SIZE),
}
OF_TRAINING = {
    "loss": LOSS,
    "accuracy": ACCURACY,
    "diverged": COUNT,
    "update": SIZE,
    "sizes": SIZE,
    "flat_after": SHARE,
    "kind": COUNT,
    "reason": COUNT,
    "layer": COUNT,
}
BY_LAYER = {
    *("variance", "variance_theory", "gradient", "gradient_theory", "flat_before", "saturated", "rank", "singular"),
    *("update", "flat_after"),
}
BY_SHOWN_LAYER = {"pre", "pre_reach", "weights", "weights_reach", "gradients", "gradients_reach"}
Fields = dict[str, tuple[np.ndarray, Scale]]


def axes(networks: Iterable[Network]) -> dict[str, list[Any]]:
    """Return the values of each setting, in the order of the fields' axes. A rule is an optimizer and a rate."""
    chosen = list(networks)
    return {
        "init": list(settings.INITS),
        "gain": list(settings.GAINS),
        "depth": sorted({network.depth for network in chosen}),
        "width": sorted({network.width for network in chosen}),
        "activation": [name for name in settings.ACTIVATIONS if name in {network.activation for network in chosen}],
        "rule": [list(rule) for rule in settings.RULES],
    }


def build(measured: Mapping[Network, Measured]) -> Fields:
    """Return the fields by name, each with its scale.

    The first axes are init, gain, depth, width, activation; those of trainings also have rule. An axis of layers is
    filled up with NaN to the deepest network's layers.

    Raises:
        KeyError: A combination of depth, width and activation is missing.
    """
    by_axis = axes(measured)
    rows = {begun: row for row, begun in enumerate(settings.starts())}
    cells: dict[str, list[Any]] = {}
    layers = max(by_axis["depth"]) + 1
    first = (by_axis[name] for name in ("init", "gain", "depth", "width", "activation"))
    for init, gain, *shape in product(*first):
        network = Network(*shape)
        of_network, row = measured[network], rows[settings.start_at(init, gain)]
        before = Before(*(np.asarray(leaf[row]) for leaf in of_network.before))
        found = {name: _filled(name, getattr(before, field), layers) for name, (field, _) in OF_START.items()}
        by_rule = [
            training_fields(
                Course(*(leaf[row, place] for leaf in of_network.courses[optimizer])), before, network, optimizer
            )
            for optimizer, rates in settings.RATES.items()
            for place in range(len(rates))
        ]
        for name in by_rule[0]:
            found[name] = np.stack([_filled(name, one[name], layers) for one in by_rule])
        for name, value in found.items():
            cells.setdefault(name, []).append(value)
    sizes = [len(values) for name, values in by_axis.items() if name != "rule"]
    scales = {name: scale for name, (_, scale) in OF_START.items()} | OF_TRAINING
    return {
        name: (np.stack(values).reshape(*sizes, *np.shape(values[0])), scales[name]) for name, values in cells.items()
    }


def training_fields(course: Course, before: Before, network: Network, optimizer: str) -> dict[str, np.ndarray]:
    """Return the fields of one setting from its seeds' trainings.

    `loss` and `accuracy` have a last axis of mean, smallest and largest over the seeds: those whose loss is finite at
    the point, and those that did not diverge. `flat_after` is over the latter, too. `sizes` are those of the first, the
    middle and the last hidden layer, and of the output; they and `update` are NaN where float32 overflows.
    """
    hidden, diverged = network.depth, np.asarray(course.diverged)
    update = _finite(np.asarray(course.update).mean(axis=0))
    evidence = verdicts.Evidence(
        accuracy=np.asarray(course.accuracy),
        diverged=diverged,
        variance=before.variance[:hidden],
        gradient=before.gradient[:hidden],
        flat_before=before.flat[:hidden],
        saturated=before.saturated[:hidden],
        rank=before.rank[:hidden],
        flat_after=_mean(np.asarray(course.flat), ~diverged),
        update=update[:hidden],
        optimizer=optimizer,
        activation=network.activation,
    )
    verdict = verdicts.judge(evidence)
    return {
        "loss": _band(np.asarray(course.loss)),
        "accuracy": _band(np.where(diverged[:, None], np.nan, np.asarray(course.accuracy))),
        "diverged": np.array(diverged.sum()),
        "update": update,
        "sizes": _finite(np.asarray(course.sizes).mean(axis=0))[:, followed_layers(hidden)].T,
        "flat_after": np.append(evidence.flat_after, np.nan),  # the output has no activation
        "kind": np.array(verdicts.KINDS.index(verdict.kind)),
        "reason": np.array(verdicts.REASONS.index(verdict.reason)),
        "layer": np.array(verdict.layer),
    }


def followed_layers(depth: int) -> list[int]:
    """Return the indices of the layers whose sizes are shown: first, middle and last hidden one, and the output."""
    return [0, (depth - 1) // 2, depth - 1, depth]


def _mean(
    values: Float[np.ndarray, "seeds layers"], chosen: Bool[np.ndarray, " seeds"]
) -> Float[np.ndarray, " layers"]:
    """Return the mean over the chosen seeds; NaN if there is none."""
    return np.asarray(values[chosen].mean(axis=0)) if chosen.any() else np.full(values.shape[1], np.nan)


def _finite(values: np.ndarray) -> np.ndarray:
    """Return the values, with NaN in place of infinity."""
    return np.where(np.isfinite(values), values, np.nan)


def _band(values: Float[np.ndarray, "seeds points"]) -> Float[np.ndarray, "points 3"]:
    """Return mean, smallest and largest over the finite seeds; NaN where there is none."""
    finite = np.isfinite(values)
    none = ~finite.any(axis=0)
    filled = np.where(finite, values, np.nan)
    filled[:, none] = 0  # NumPy would warn of a mean of nothing
    band = np.stack([np.nanmean(filled, 0, np.float64), np.nanmin(filled, 0), np.nanmax(filled, 0)], axis=1)
    band[none] = np.nan
    return band


def _filled(name: str, values: np.ndarray, most_layers: int) -> np.ndarray:
    """Return the values of a field, with NaN for the layers that only deeper networks have."""
    values = np.asarray(values, np.float64)
    length = most_layers if name in BY_LAYER else start.SHOWN if name in BY_SHOWN_LAYER else None
    if length is None:
        return values
    return np.concatenate([values, np.full((length - len(values), *values.shape[1:]), np.nan)])
