"""One figure for each published result: what was measured, and the published value drawn in."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from jax_impl.figures.axes import COLORS, legend, log_axis, log_mean, plain_log_ticks
from jax_impl.figures.canvas import INK, MUTED, Picture, floats, picture
from jax_impl.study.cells import POINTS
from jax_impl.study.presets.notebook import LARGEST_CLASS
from jax_impl.study.presets.papers import GLOROT_INITS, HE_INITS, QUARTER_CIRCLE
from jax_impl.study.presets.preset import Data, Preset
from jax_impl.study.presets.pretraining import DEEP_INITS, PRETRAINING_INITS
from jax_impl.study.presets.starts import LSUV_ACTIVATIONS, LSUV_INITS, SAXE_DEPTHS, SAXE_INITS
from jax_impl.study.verdicts import CHANCE

# Printed under the notebook's training cell, epochs 1 to 12.
NOTEBOOK_COSTS = (
    0.243988752, 0.091930427, 0.059369326, 0.042475790, 0.033861812, 0.025505863,
    0.022579098, 0.017337879, 0.016488504, 0.014489295, 0.014997463, 0.010930263,
)  # fmt: skip
PUBLISHED: dict[str, Any] = {"color": INK, "lw": 1.0, "ls": (0, (4, 2))}


def draw_preset(preset: Preset, data: Data) -> Picture:
    """Return the figure of a preset's data."""
    draw, caption = FIGURES[preset.name]
    return picture(
        lambda figure, narrow: draw(figure, data, narrow),
        (1070, 400),
        (350, 640),
        key=preset.name,
        title=preset.title,
        caption=caption,
        alt=f"{preset.title}: "
        + "; ".join(f"{check.name}, measured {check.measured}, expected {check.band}" for check in preset.checks(data)),
    )


def _two(figure: Figure, narrow: bool) -> tuple[Axes, Axes]:
    left, right = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    return left, right


def _not_all_zero(figure: Figure, data: Data, narrow: bool) -> None:
    gradients, accuracy = _two(figure, narrow)
    floor, names = 1e-8, [f"{name} {layer}" for name in ("kernel", "bias") for layer in (1, 2, 3)]
    for place, (init, color) in enumerate(zip(("zeros", "constant"), COLORS, strict=False)):
        norms = [
            floats(data[init][f"{name}_gradient"])[:, 1, layer].mean()
            for name in ("kernel", "bias")
            for layer in range(3)
        ]
        for x, norm in enumerate(norms):
            gradients.bar(x + 0.36 * (place - 0.5), max(norm, floor), 0.34, color=color, label=init if x == 0 else None)
            if norm == 0:
                gradients.text(
                    x + 0.36 * (place - 0.5), floor * 1.4, "exactly 0", rotation=90, ha="center", color=color
                )
        for seed in data[init]["test_accuracy"]:
            accuracy.plot(range(1, len(seed) + 1), [100 * share for share in seed], "o-", color=color, ms=3.5, lw=1.2)
    gradients.set_xticks(range(6), names, rotation=30 if narrow else 0)
    plain_log_ticks(gradients)
    gradients.set(ylim=(floor, None), ylabel="gradient's norm after the first epoch")
    _line(accuracy, 100 * LARGEST_CLASS, "the largest class, 11.35 %")
    _epochs(accuracy)
    accuracy.set(ylim=(0, 40), ylabel="test accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    legend(figure, gradients, narrow)


def _only_the_weights_changed(figure: Figure, data: Data, narrow: bool) -> None:
    cost, accuracy = _two(figure, narrow)
    for (init, label), color in zip({"normal": "N(0, 1)", "xavier_uniform": "Xavier"}.items(), COLORS, strict=False):
        for place, (costs, shares) in enumerate(zip(data[init]["cost"], data[init]["test_accuracy"], strict=True)):
            epochs = range(1, len(costs) + 1)
            cost.plot(epochs, costs, color=color, lw=1.2, label=None if place else label)
            accuracy.plot(epochs, [100 * share for share in shares], color=color, lw=1.2)
    printed = range(1, len(NOTEBOOK_COSTS) + 1)
    cost.plot(printed, NOTEBOOK_COSTS, "D", mfc="white", mec=INK, ms=4, label="printed in the notebook", zorder=3)
    log_axis(cost)
    for axes in (cost, accuracy):
        _epochs(axes)
    cost.set_ylabel("training cost (nats)")
    accuracy.set_ylabel("test accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(decimals=1))
    legend(figure, cost, narrow)


def _glorot(figure: Figure, data: Data, narrow: bool) -> None:
    jacobians, sigmoid = _two(figure, narrow)
    for (init, word), color in zip(GLOROT_INITS.items(), COLORS, strict=False):
        for activation, marker in (("linear", "s"), ("tanh", "o")):
            rows = floats(data[f"{activation} {init}"]["measured"]["jacobian"])[:, 1:-1]  # the square layers
            layers = np.arange(2, 2 + rows.shape[1])
            label = f"{word}, {activation}"
            jacobians.plot(layers, rows.mean(axis=0), f"{marker}-", color=color, ms=4.5, lw=1.0, label=label)
        _line(jacobians, QUARTER_CIRCLE[init], f"quarter circle law, {QUARTER_CIRCLE[init]}")
    for published in (0.8, 0.5):
        jacobians.axhline(published, color=MUTED, lw=1, ls=":")
    jacobians.plot([], [], color=MUTED, lw=1, ls=":", label="published for tanh: about 0.8 and 0.5")
    jacobians.set(ylim=(0.4, 0.95), xlabel="hidden layer", ylabel="mean singular value of the Jacobian")
    jacobians.xaxis.set_major_locator(MaxNLocator(integer=True))
    part = data["sigmoid linear_default"]
    means = floats(part["mean"]).mean(axis=0)  # (probes, layers)
    for layer, color in zip(range(means.shape[1] - 1), COLORS[2:], strict=False):
        sigmoid.plot(part["steps"], means[:, layer], color=color, lw=1.5)
        sigmoid.annotate(
            f"layer {layer + 1}",
            (part["steps"][-1], means[-1, layer]),
            (3, -2),
            textcoords="offset points",
            color=color,
        )
    sigmoid.set(ylim=(0, 1), xlabel="training step", ylabel="mean activation, sigmoid")
    sigmoid.set_xlim(0, 1.14 * part["steps"][-1])
    legend(figure, jacobians, narrow)


def _he(figure: Figure, data: Data, narrow: bool) -> None:
    signal, training = _two(figure, narrow)
    for init, color in zip(HE_INITS, COLORS, strict=False):
        scale = np.log2(log_mean(data[f"signal {init}"]["measured"]["variance"])[:-1]) / 2
        signal.plot(np.arange(1, len(scale) + 1), scale - scale[0], "o-", color=color, ms=3, lw=1.2, label=init)
        for layers, dash in ((30, "-"), (10, (0, (4, 2)))):
            part = data[f"{layers} layers {init}"]
            losses = floats(part["loss"]).mean(axis=0)
            epochs = (np.arange(len(losses)) + 0.5) / POINTS
            training.plot(epochs, losses, color=color, ls=dash, lw=1.4)
    layers_axis = np.arange(1, 31)
    signal.plot(layers_axis, -(layers_axis - 1) / 2, **PUBLISHED, label="published: a factor of 1/√2 a layer")
    signal.set(xlabel="hidden layer", ylabel="log2 of the activations' scale over layer 1's")
    for dash, label in (("-", "30 layers"), ((0, (4, 2)), "10 layers")):
        training.plot([], [], color=MUTED, ls=dash, label=label)
    _line(training, CHANCE, "chance, ln 10")
    training.set(ylim=(0, 2.6), xlabel="epoch", ylabel="training loss (nats)")
    training.legend(loc="center right")
    legend(figure, signal, narrow)


def _orthogonal(figure: Figure, data: Data, _narrow: bool) -> None:
    axes = figure.subplots()
    for (init, label), color in zip(SAXE_INITS.items(), COLORS, strict=False):
        parts = [data[f"{depth} layers {init}"] for depth in SAXE_DEPTHS]
        steps = floats([[part["limit"] if n is None else n for n in part["steps"]] for part in parts])
        missed = [any(n is None for n in part["steps"]) for part in parts]
        axes.plot(SAXE_DEPTHS, steps.mean(axis=1), color=color, lw=1.4, label=label)
        axes.fill_between(SAXE_DEPTHS, steps.min(axis=1), steps.max(axis=1), color=color, alpha=0.18, lw=0)
        for depth, mean, lost in zip(SAXE_DEPTHS, steps.mean(axis=1), missed, strict=True):
            axes.plot(depth, mean, "^" if lost else "o", color=color, ms=8 if lost else 4)
            if lost:
                axes.annotate(
                    "not reached", (depth, mean), (-6, 4), textcoords="offset points", ha="right", color=color
                )
    axes.set(xscale="log", yscale="log", xlabel="hidden layers", ylabel="training steps to a loss of 0.6")
    axes.xaxis.set_major_locator(FixedLocator(SAXE_DEPTHS))
    axes.yaxis.set_major_locator(FixedLocator([30, 50, 100, 200, 300]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
    legend(figure, axes, False)


def _lsuv(figure: Figure, data: Data, narrow: bool) -> None:
    variance, training = _two(figure, narrow)
    for activation, dash in zip(LSUV_ACTIVATIONS, ("-", (0, (4, 2)), (0, (1.2, 1.6))), strict=True):
        for init, color in zip(LSUV_INITS, COLORS, strict=False):
            part = data[f"{activation} {init}"]
            rows, losses = log_mean(part["pre_variance"]), floats(part["loss"]).mean(axis=0)
            variance.plot(np.arange(1, len(rows) + 1), rows, color=color, ls=dash, lw=1.3)
            training.plot((np.arange(len(losses)) + 0.5) / len(losses), losses, color=color, ls=dash, lw=1.3)
        training.plot([], [], color=MUTED, ls=dash, label=activation)
    for init, color in zip(LSUV_INITS, COLORS, strict=False):
        variance.plot([], [], color=color, label=init)
    _line(variance, 1.0, "published: 1")
    log_axis(variance)
    variance.set(xlabel="layer (the last is the output)", ylabel="variance of pre-activations")
    _line(training, CHANCE, "chance, ln 10")
    training.set(ylim=(0, 2.6), xlabel="epoch", ylabel="training loss (nats)")
    training.legend(loc="center right")
    legend(figure, variance, narrow)


def _pretraining(figure: Figure, data: Data, narrow: bool) -> None:
    few, deep = _two(figure, narrow)
    for (init, label), color in zip(PRETRAINING_INITS.items(), COLORS, strict=False):
        errors = 100 * (1 - floats(data[init]["test_accuracy"]))
        labels = data[init]["labels"]
        few.plot(labels, errors.mean(axis=0), "o-", color=color, ms=4, lw=1.4, label=label)
        few.fill_between(labels, errors.min(axis=0), errors.max(axis=0), color=color, alpha=0.18, lw=0)
    few.set(xscale="log", yscale="log", xlabel="labelled images", ylabel="test error")
    few.xaxis.set_major_locator(FixedLocator(labels))
    few.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    few.yaxis.set_major_locator(FixedLocator([1, 2, 3, 5, 10, 20, 30]))
    few.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    for axis in (few.xaxis, few.yaxis):
        axis.set_minor_locator(NullLocator())
    for (init, label), color in zip(DEEP_INITS.items(), (*COLORS[:2], COLORS[3]), strict=True):
        for place, shares in enumerate(data[f"deep {init}"]["test_accuracy"]):
            shown = None if place or init in PRETRAINING_INITS else label
            deep.plot(range(1, len(shares) + 1), 100 * floats(shares), "o-", color=color, ms=3.5, lw=1.2, label=shown)
    deep.axhline(10, **PUBLISHED)
    deep.annotate("chance", (1, 10), (0, -12), textcoords="offset points", fontsize=7.5, color=INK)
    _epochs(deep)
    deep.set(ylim=(0, 100), ylabel="test accuracy")
    deep.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    deep.legend(loc="center left")
    legend(figure, few, narrow)


def _line(axes: Axes, y: float, label: str) -> None:
    """Draw a published value across, with its name at the left."""
    axes.axhline(y, **PUBLISHED)
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
    axes.annotate(label, (0.01, y), (0, 2), fontsize=7.5, color=INK, **place)


def _epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


FIGURES: dict[str, tuple[Callable[[Figure, Data, bool], None], str]] = {
    "not-all-zero": (
        _not_all_zero,
        "Left: only the output bias gets a gradient where all is 0. Right: any other constant trains, but as a network "
        "of one unit a layer.",
    ),
    "only-the-weights-changed": (
        _only_the_weights_changed,
        "The same network, data, optimizer and seeds; a line a seed.",
    ),
    "glorot-2010": (
        _glorot,
        "Left: what a layer does to the length of a small change of its input. Right: a sigmoid's top hidden layer is "
        "pushed to 0 within an epoch, the layers below it are not.",
    ),
    "he-2015": (
        _he,
        "Left: the scale of the signal through 30 ReLU layers. Right: what follows from it for training by plain SGD.",
    ),
    "orthogonal": (_orthogonal, "Mean and range over the seeds, at the best learning rate of each depth."),
    "lsuv": (_lsuv, "Left: 30 layers before training, on images that were not looked at. Right: their first epoch."),
    "pretraining": (
        _pretraining,
        "Left: a 784-500-500-10 sigmoid network under Adam, mean and range over the seeds. Right: five layers of "
        "sigmoid units under plain SGD, a line a seed.",
    ),
}
