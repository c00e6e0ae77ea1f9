"""Mishkin & Matas 2015: layer-sequential unit variance (LSUV) lets 30 layers train with any activation."""

from typing import Any

import numpy as np

from jax_impl.study.presets.measures import scaled, sgd_recipe
from jax_impl.study.presets.preset import Check, Data, Figure, Part, Preset, check, last
from jax_impl.study.verdicts import CHANCE

DASHES = {"tanh": "-", "relu": (0, (4, 2)), "selu": (0, (1.2, 1.6))}  # by activation
INITS = ("small_normal", "orthogonal", "lsuv")


def _checks(data: Data) -> list[Check]:
    algorithm = "Mishkin & Matas 2015, algorithm 1: 1"
    trains, stalls = "it trains: below half the loss of chance, ln 10", "it does not train: the loss of chance, ln 10"
    after = "loss after an epoch"
    checks = []
    for name in DASHES:
        unscaled, rescaled = data[f"{name} small_normal"], data[f"{name} lsuv"]
        variances = rescaled["pre_variance"]
        checks += [
            check(f"{name}: variance of every layer's pre-activations", variances, 0.95, 1.05, published=algorithm),
            check(f"{name}, lsuv: {after}", last(rescaled["loss"]), 0, CHANCE / 2, published=trains),
            check(f"{name}, unscaled N(0, 0.01²): {after}", last(unscaled["loss"]), 0.99 * CHANCE, published=stalls),
        ]
    return checks


def _draw(figure: Figure, data: Data, narrow: bool) -> None:
    from jax_impl.study.presets import drawing

    variance, training = drawing.two_axes(figure, narrow)
    for activation, dash in DASHES.items():
        for init in INITS:
            part = data[f"{activation} {init}"]
            style: dict[str, Any] = {"color": drawing.color_of(init), "ls": dash, "lw": 1.3}
            variances = drawing.log_mean(part["pre_variance"])
            variance.plot(np.arange(1, len(variances) + 1), variances, label=f"_{activation} {init}", **style)
            drawing.loss_curve(training, part["loss"], label=f"_{activation} {init}", **style)
        training.plot([], [], color=drawing.MUTED, ls=dash, label=activation)
    for init in INITS:
        variance.plot([], [], color=drawing.color_of(init), label=init)
    drawing.published_line(variance, 1.0, "published: 1")
    drawing.log_axis(variance)
    variance.set(xlabel="layer (the last is the output)", ylabel="variance of pre-activations")
    drawing.loss_axes(training)
    drawing.legend(figure, variance, narrow)


PRESET = Preset(
    name="lsuv",
    title="Layer-sequential unit variance",
    source="Mishkin & Matas 2015, All you need is a good init",
    claim="Divide each layer's weights by the standard deviation of its pre-activations on some images, and 30 layers "
    "of tanh, relu or selu train.",
    parts={
        f"{activation} {init}": Part(sgd_recipe("lsuv", 30, 64, init, activation=activation), scaled)
        for activation in DASHES
        for init in INITS
    },
    checks=_checks,
    draw=_draw,
    caption="Left: 30 layers before training, on images that LSUV did not use. Right: their first epoch.",
)
