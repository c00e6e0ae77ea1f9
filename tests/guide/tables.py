"""The tables of docs/weight-initialization.md as docs/study/numbers.json gives them: rows of formatted cells."""

import re
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from jax_impl.study.grid import AXES
from tests.guide import numbers

NUMBERS = numbers.load()
GRIDS: dict[str, list[dict[str, Any]]] = {name: one["cells"] for name, one in NUMBERS["grids"].items()}


def cell(grid: str, *, depth: int, optimizer: str, init: str, activation: str = "relu") -> dict[str, Any]:
    wanted = [init, str(depth), activation, optimizer]
    return next(one for one in GRIDS[grid] if list(one.values())[:4] == wanted)


def parts(preset: str) -> dict[str, Any]:
    return NUMBERS["presets"][preset]["parts"]


def measured(preset: str, check: str) -> str:
    (found,) = [one["measured"] for one in NUMBERS["presets"][preset]["checks"] if one["check"] == check]
    return found


def between(values: list[float], digits: int, factor: float = 1, unit: str = "") -> str:
    """Return the smallest and the largest number as the guide writes them."""
    low, high = (f"{factor * value:.{digits}f}" for value in (min(values), max(values)))
    return (low if low == high else f"{low} to {high}") + unit


def last(by_seed: list[list[float]]) -> list[float]:
    return [seed[-1] for seed in by_seed]


def of_initialisers() -> Iterator[list[str]]:
    for init in AXES["inits"]:
        cells = [cell("study", depth=depth, optimizer="sgd", init=init) for depth in AXES["depths"]]
        yield [f"{one['verdict']}, {one['test accuracy']}".removesuffix(", –") for one in cells]


def of_pretraining() -> Iterator[list[str]]:
    of_init = [parts("pretraining")[init] for init in ("dbn", "xavier_uniform", "kaiming_uniform")]
    for place, (labels, steps) in enumerate(zip(of_init[0]["labels"], of_init[0]["steps"], strict=True)):
        shares = [[seed[place] for seed in one["test_accuracy"]] for one in of_init]
        yield [f"{labels:,}", f"{steps:,}", *(between(share, 2, 100, " %") for share in shares)]


def of_glorot() -> Iterator[list[str]]:
    for activation, what in (
        ("linear", "mean singular value of a layer's Jacobian"),
        ("tanh", "mean singular value of a layer's Jacobian"),
        ("linear", "variance of activations, relative to the layer before"),
        ("linear", "variance of back-propagated gradients, relative to the layer after"),
    ):
        yield [measured("glorot-2010", f"{activation}, {word}: {what}") for word in ("normalised", "standard")]


def of_orthogonal() -> Iterator[list[str]]:
    for init in ("orthogonal", "lecun_normal"):
        of_depth = [parts("orthogonal")[f"{depth} layers {init}"] for depth in (4, 8, 16, 32, 64)]
        yield [
            f"not within {one['limit']}" if None in one["steps"] else f"{fmean(one['steps']):.0f}" for one in of_depth
        ]


def of_lsuv() -> Iterator[list[str]]:
    for activation in ("tanh", "relu", "selu"):
        losses = [parts("lsuv")[f"{activation} {init}"]["loss"] for init in ("small_normal", "orthogonal", "lsuv")]
        yield [activation, *(between(last(loss), 2) for loss in losses)]


def of_the_notebook() -> Iterator[list[str]]:
    normal, xavier = (parts("only-the-weights-changed")[init] for init in ("normal", "xavier_uniform"))
    costs = (between([seed[0] for seed in one["cost"]], digits) for one, digits in ((normal, 1), (xavier, 4)))
    yield ["cost of epoch 1", next(costs), f"{next(costs)} (the notebook prints 0.2440)"]
    yield [
        "test accuracy after 15 epochs",
        *(between(last(one["test_accuracy"]), 2, 100, " %") for one in (normal, xavier)),
    ]


def of_deep_networks() -> Iterator[list[str]]:
    columns = [(depth, optimizer) for depth in (10, 30) for optimizer in ("adam", "sgd")]
    for init in dict.fromkeys(one["initialiser"] for one in GRIDS["activations"]):
        cells = [cell("activations", depth=depth, optimizer=optimizer, init=init) for depth, optimizer in columns]
        yield [f"`{init}`", *(one["test accuracy"] for one in cells)]


def of_recommendations() -> Iterator[list[str]]:
    advice = dict(line.split(": ", 1) for line in NUMBERS["grids"]["activations"]["advice"])
    for activation, name in (("relu", "ReLU"), ("tanh", "tanh"), ("sigmoid", "sigmoid")):
        for optimizer, title in (("adam", "Adam"), ("sgd", "SGD")):
            of_depth = [advice[f"{depth} hidden layers, {activation}, {optimizer}"] for depth in AXES["depths"]]
            yield [f"{name}, {title}", *map(recommended, of_depth)]


def recommended(advice: str) -> str:
    """Return a cell of the guide's last table from the report's words."""
    if advice.startswith("None trains."):
        return "none trains"
    best, accuracy = re.findall(r"(\w+) (?:trains best|gets furthest): (\S+ ± \S+ %)", advice)[0]
    if advice.startswith("None reaches 70 %."):
        return f"none reaches 70 % in two epochs; `{best}` gets furthest, {accuracy}"
    _, _, alike = advice.partition("Not significantly different: ")
    names = ", ".join(f"`{name}`" for name in re.findall(r"(\w+) \d", alike.partition(" %. ")[0]))
    return f"`{best}` {accuracy}" + (f" ({names})" if names else "")


# The tables in the order of the guide, and how many of their first columns hold words only.
EXPECTED = {
    "initialisers by depth": (of_initialisers, 2),
    "pretraining": (of_pretraining, 0),
    "Glorot & Bengio": (of_glorot, 1),
    "orthogonal matrices": (of_orthogonal, 1),
    "LSUV": (of_lsuv, 0),
    "the notebook": (of_the_notebook, 0),
    "deep networks": (of_deep_networks, 0),
    "recommendations": (of_recommendations, 0),
}
