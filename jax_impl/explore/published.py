"""The published results of the study as small charts: from the numbers of the long runs to means and ranges."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jax_impl.study.cells import POINTS

Chart = dict[str, Any]  # id, x and kind of the axes, series, and perhaps level and high
Series = dict[str, Any]  # name, the initialiser whose colour it has, points, and perhaps look and opacity
Rows = Sequence[Any] | np.ndarray  # numbers by seed and point
Parts = Mapping[str, Mapping[str, Any]]  # the data of a preset's parts by their labels

CHANCE = math.log(10)  # the loss of guessing, in nats
LARGEST_CLASS = 0.1135  # share of the test images
ABOVE = "above"  # in place of a number above the chart's `high`


def results(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return id, command and charts of each published result that the numbers have.

    The points of a series have x, and y with the low and high ends of the range over the seeds. An x of kind log2,
    log10, depth or gibbs is a logarithm.

    Args:
        numbers: The content of docs/study/numbers.json.
    """
    found = numbers["presets"]
    of_presets = [
        {"id": name, "command": found[name]["command"], "charts": charts(found[name]["parts"])}
        for name, charts in CHARTS.items()
        if name in found
    ]
    machines = numbers.get("machines", {})
    return of_presets + ([_machines(machines)] if MACHINES.keys() <= machines.keys() else [])


def series(name: str, x: Iterable[float | int], rows: Rows, color: str = "", logarithmic: bool = False) -> Series:
    """Return a line of means over the seeds, with the range.

    Args:
        name: Of the line's text.
        x: Of the points.
        rows: Numbers by seed and point.
        color: The initialiser whose colour the line has; by default `name`.
        logarithmic: Whether the mean is the geometric one.
    """
    values = np.array(rows, np.float64)
    with np.errstate(divide="ignore"):
        means = np.exp(np.log(values).mean(axis=0)) if logarithmic else values.mean(axis=0)
    points = [
        {"x": _short(place), "y": _short(mean), "low": _short(low), "high": _short(high)}
        for place, mean, low, high in zip(x, means, values.min(axis=0), values.max(axis=0), strict=True)
    ]
    return {"name": name, "color": color or name, "points": points}


def by_epoch(parts: Parts, names: Mapping[str, str], field: str = "test_accuracy") -> list[Series]:
    """Return a line for each part, by the parts' labels and the lines' names."""
    rows = {label: parts[label][field] for label in names}
    return [series(name, range(1, len(rows[label][0]) + 1), rows[label]) for label, name in names.items()]


def losses(parts: Parts, names: Mapping[str, str]) -> list[Series]:
    """Return a line of the training loss for each part, without dots. Its x are parts of an epoch."""
    lines = []
    for label, name in names.items():
        rows = parts[label]["loss"]
        x = (np.arange(len(rows[0])) + 0.5) / POINTS
        lines.append(series(name, x, rows) | {"look": "line"})
    return lines


def by_layer(names: Mapping[str, Rows], first: int = 1) -> list[Series]:
    """Return a line of geometric means for each name, over layers counted from `first`."""
    return [series(name, range(first, first + len(rows[0])), rows, logarithmic=True) for name, rows in names.items()]


def _not_all_zero(parts: Parts) -> list[Chart]:
    inits = ("zeros", "constant")
    gradients = {init: np.array(parts[init]["kernel_gradient"], np.float64)[:, 1] for init in inits}
    lines = [series(init, range(1, rows.shape[1] + 1), rows) for init, rows in gradients.items()]
    accuracy = by_epoch(parts, {init: init for init in inits})
    return [
        {"id": "gradient", "x": "layer", "kind": "log", "series": lines},
        {"id": "accuracy", "x": "epoch", "kind": "share", "series": accuracy, "level": LARGEST_CLASS},
    ]


def _only_the_weights_changed(parts: Parts) -> list[Chart]:
    names = {init: init for init in ("normal", "xavier_uniform")}
    return [
        {"id": "cost", "x": "epoch", "kind": "log", "series": by_epoch(parts, names, "cost")},
        {"id": "accuracy", "x": "epoch", "kind": "share", "series": by_epoch(parts, names)},
    ]


def _glorot_2010(parts: Parts) -> list[Chart]:
    lines = []
    for init in ("xavier_uniform", "linear_default"):
        for activation in ("linear", "tanh"):  # every second line is dashed
            rows = np.array(parts[f"{activation} {init}"]["measured"]["jacobian"], np.float64)[:, 1:-1]  # square layers
            lines.append(series(f"{activation}_{init}", range(2, 2 + rows.shape[1]), rows, color=init))
    sigmoid = parts["sigmoid linear_default"]
    means = np.array(sigmoid["mean"], np.float64)  # (seeds, probes, layers)
    hidden = means.shape[2] - 1
    layers = [
        series(f"layer_{layer + 1}", sigmoid["steps"], means[:, :, layer], color="linear_default")
        | {"opacity": 0.4 + 0.6 * layer / (hidden - 1)}
        for layer in range(hidden)
    ]
    return [
        {"id": "jacobian", "x": "layer", "kind": "linear", "series": lines},
        {"id": "sigmoid", "x": "step", "kind": "linear", "series": layers},
    ]


def _he_2015(parts: Parts) -> list[Chart]:
    inits = ("xavier_normal", "kaiming_normal")
    signal = {init: np.array(parts[f"signal {init}"]["measured"]["variance"], np.float64)[:, :-1] for init in inits}
    return [
        {"id": "signal", "x": "layer", "kind": "log", "series": by_layer(signal)},
        {
            "id": "loss",
            "x": "epoch",
            "kind": "loss",
            "series": losses(parts, {f"30 layers {init}": init for init in inits}),
            "level": CHANCE,
        },
    ]


def _orthogonal(parts: Parts) -> list[Chart]:
    lines, limit = [], 0
    for init in ("orthogonal", "lecun_normal"):
        of_init = {int(label.split()[0]): part for label, part in parts.items() if label.endswith(init)}
        steps = np.array([part["steps"] for part in of_init.values()], np.float64)  # (depths, seeds); None becomes NaN
        line = series(init, np.log2(list(of_init)), np.nan_to_num(steps).T)
        for point, missed in zip(line["points"], map(np.any, np.isnan(steps)), strict=True):
            point.update({"y": ABOVE, "low": ABOVE, "high": ABOVE} if missed else {})
        lines.append(line)
        limit = max(part["limit"] for part in of_init.values())
    return [{"id": "steps", "x": "depth", "kind": "log", "series": lines, "high": limit}]


def _lsuv(parts: Parts) -> list[Chart]:
    inits = ("small_normal", "orthogonal", "lsuv")
    return [
        {
            "id": "variance",
            "x": "layer",
            "kind": "log",
            "series": by_layer({init: parts[f"relu {init}"]["pre_variance"] for init in inits}),
            "level": 1.0,
        },
        {
            "id": "loss",
            "x": "epoch",
            "kind": "loss",
            "series": losses(parts, {f"relu {init}": init for init in inits}),
            "level": CHANCE,
        },
    ]


def _pretraining(parts: Parts) -> list[Chart]:
    lines = [
        series(init, np.log10(parts[init]["labels"]), parts[init]["test_accuracy"])
        for init in ("dbn", "xavier_uniform", "kaiming_uniform")
    ]
    deep = by_epoch(parts, {f"deep {init}": init for init in ("dbn", "xavier_uniform", "small_normal")})
    return [
        {"id": "labels", "x": "log10", "kind": "share", "series": lines},
        {"id": "deep", "x": "epoch", "kind": "share", "series": deep},
    ]


def _machines(machines: Parts) -> dict[str, Any]:
    """Return the charts of the restricted Boltzmann machines: a good recreation is not a good model."""
    errors, likelihoods = [], []
    for (name, color), label in zip(MACHINES.items(), ("rbm_cd1", "rbm_persistent"), strict=True):
        one = machines[name]
        epochs = [epoch["epoch"] for epoch in one["epochs"]]
        errors.append(series(label, epochs, [[epoch["reconstruction_error"] for epoch in one["epochs"]]], color))
        steps, likelihood = one["settings"]["k"], one["log_likelihood"]["test"]
        likelihoods.append(series(label, [math.log2(steps)], [[-likelihood]], color))
    published = series("rbm_published", map(math.log2, PUBLISHED), [list(PUBLISHED.values())], "linear_default")
    return {
        "id": "rbm",
        "command": "python -m jax_impl rbm",
        "charts": [
            {"id": "recreation", "x": "epoch", "kind": "linear", "series": errors},
            {"id": "likelihood", "x": "gibbs", "kind": "linear", "series": [*likelihoods, published]},
        ],
    }


MACHINES = {"rbm-cd1": "xavier_uniform", "rbm-persistent": "dbn"}  # by name, with the initialiser that has its colour
# Negative log-likelihoods of machines with 500 hidden units, by Gibbs steps per update: Salakhutdinov & Murray 2008
PUBLISHED = {1: 125.5, 3: 105.5, 25: 86.3}
CHARTS: dict[str, Callable[[Parts], list[Chart]]] = {
    "pretraining": _pretraining,
    "not-all-zero": _not_all_zero,
    "only-the-weights-changed": _only_the_weights_changed,
    "glorot-2010": _glorot_2010,
    "he-2015": _he_2015,
    "orthogonal": _orthogonal,
    "lsuv": _lsuv,
}


def _short(value: float | int) -> float | None:
    """Return a number with six digits, as the records have it; None for NaN, which JSON does not have."""
    return None if math.isnan(value) else float(f"{value:.6g}")
