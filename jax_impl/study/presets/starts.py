"""Two starts that are more than a variance: Saxe et al. 2013 (orthogonal) and Mishkin & Matas 2015 (LSUV)."""

import math
from itertools import chain
from statistics import fmean

from jax_impl.study.presets import measures
from jax_impl.study.presets.measures import recipe
from jax_impl.study.presets.preset import Check, Data, Part, Preset, check
from jax_impl.study.verdicts import CHANCE

SAXE_DEPTHS = (4, 8, 16, 32, 64)
SAXE_INITS = {"orthogonal": "orthogonal", "lecun_normal": "scaled Gaussian"}


def _orthogonal(data: Data) -> list[Check]:
    abstract = "Saxe et al. 2013, abstract"
    return [
        check(
            "orthogonal: steps to a loss of 0.6, 64 layers over 8",
            [_growth(data, "orthogonal")],
            0,
            1.75,
            published=f"{abstract}: learning times that do not depend on depth",
        ),
        check(
            "scaled Gaussian: the same, at least",
            [_growth(data, "lecun_normal")],
            3,
            published=f"{abstract}: scaled Gaussians do not have them",
        ),
    ]


def _growth(data: Data, init: str) -> float:
    """Return the ratio of the seeds' mean steps; a lower bound of it where a deep one did not reach the loss.

    A shallow one that did not reach it leaves nothing to compare with: NaN.
    """
    shallow, deep = (data[f"{depth} layers {init}"] for depth in (8, 64))
    here = [math.nan if steps is None else steps for steps in shallow["steps"]]
    return fmean(deep["limit"] if steps is None else steps for steps in deep["steps"]) / fmean(here)


ORTHOGONAL = Preset(
    name="orthogonal",
    title="Orthogonal matrices",
    source="Saxe, McClelland & Ganguli 2013, Exact solutions to the nonlinear dynamics of learning in deep linear "
    "neural networks",
    claim="The steps in which a deep linear network reaches a loss grow with depth from scaled Gaussian matrices, and "
    "hardly from orthogonal ones.",
    parts={
        f"{depth} layers {init}": Part(
            recipe("orthogonal", depth, 64, init, activation="linear"), measures.steps_to_loss
        )
        for depth in SAXE_DEPTHS
        for init in SAXE_INITS
    },
    checks=_orthogonal,
)

LSUV_ACTIVATIONS = ("tanh", "relu", "selu")
LSUV_INITS = ("small_normal", "orthogonal", "lsuv")


def _lsuv(data: Data) -> list[Check]:
    checks = []
    for activation in LSUV_ACTIVATIONS:
        unscaled, scaled = (data[f"{activation} {init}"] for init in ("small_normal", "lsuv"))
        checks += [
            check(
                f"{activation}: variance of every layer's pre-activations",
                chain(*scaled["pre_variance"]),
                0.95,
                1.05,
                published="Mishkin & Matas 2015, algorithm 1: 1",
            ),
            check(
                f"{activation}, lsuv: loss after an epoch",
                [seed[-1] for seed in scaled["loss"]],
                0,
                CHANCE / 2,
                published="it trains: below half of chance's ln 10",
            ),
            check(
                f"{activation}, unscaled N(0, 0.01²): loss after an epoch",
                [seed[-1] for seed in unscaled["loss"]],
                0.99 * CHANCE,
                published="it does not train: chance's ln 10",
            ),
        ]
    return checks


LSUV = Preset(
    name="lsuv",
    title="Layer-sequential unit variance",
    source="Mishkin & Matas 2015, All you need is a good init",
    claim="Dividing every layer's weights by the standard deviation that they give on some images lets 30 layers "
    "of tanh, relu or selu train.",
    parts={
        f"{activation} {init}": Part(recipe("lsuv", 30, 64, init, activation=activation), measures.scaled)
        for activation in LSUV_ACTIVATIONS
        for init in LSUV_INITS
    },
    checks=_lsuv,
)
