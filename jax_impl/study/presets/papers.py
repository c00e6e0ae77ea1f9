"""The two papers that the notebook names: Glorot & Bengio 2010 (Xavier) and He et al. 2015."""

import math
from collections.abc import Iterable
from itertools import chain
from statistics import fmean

import numpy as np

from jax_impl.study.cells import POINTS
from jax_impl.study.presets import measures
from jax_impl.study.presets.measures import recipe
from jax_impl.study.presets.preset import Check, Data, Part, Preset, check

GLOROT_INITS = {"xavier_uniform": "normalised", "linear_default": "standard"}
GLOROT_SIGMOID = 4  # hidden layers of the sigmoid network
# Mean singular value of a square matrix of variance 1/n: 8 / (3 pi), the mean of the quarter circle law.
QUARTER_CIRCLE = {"xavier_uniform": 0.849, "linear_default": 0.490}
GLOROT_TANH = {"xavier_uniform": (0.70, 0.85), "linear_default": (0.43, 0.50)}


def _glorot(data: Data) -> list[Check]:
    checks = []
    for init, word in GLOROT_INITS.items():
        linear, tanh = (data[f"{activation} {init}"]["measured"] for activation in ("linear", "tanh"))
        value, band, ratio = QUARTER_CIRCLE[init], GLOROT_TANH[init], 1 if init == "xavier_uniform" else 1 / 3
        about = "0.8" if init == "xavier_uniform" else "0.5"
        checks += [
            check(
                f"linear, {word}: mean singular value of a layer's Jacobian",
                _square_layers(linear["jacobian"]),
                value - 0.01,
                value + 0.01,
                published=f"quarter circle law: {value:.3f}",
            ),
            check(
                f"tanh, {word}: the same",
                _square_layers(tanh["jacobian"]),
                *band,
                published=f"Glorot & Bengio 2010, section 4.2: about {about}",
            ),
            check(
                f"linear, {word}: variance of activations, layer to layer",
                _ratios(linear["variance"]),
                0.9 * ratio,
                1.1 * ratio,
                published=f"Glorot & Bengio 2010, equation 5: {ratio:.3g}",
            ),
            check(
                f"linear, {word}: variance of back-propagated gradients, layer to layer",
                _ratios(linear["gradient_variance"], back=True),
                0.9 * ratio,
                1.1 * ratio,
                published=f"Glorot & Bengio 2010, equation 6: {ratio:.3g}",
            ),
        ]
    last = [seed[-1] for seed in data["sigmoid linear_default"]["mean"]]  # by layer, after training
    top, below = GLOROT_SIGMOID - 1, slice(0, GLOROT_SIGMOID - 1)
    figure = "Glorot & Bengio 2010, figure 2"
    return [
        *checks,
        check("sigmoid: mean activation of the top hidden layer", [s[top] for s in last], 0, 0.1, published=figure),
        check("sigmoid: of the ones below it", chain(*(s[below] for s in last)), 0.3, 0.9, published=figure),
    ]


def _square_layers(rows: Iterable[list[float]]) -> Iterable[float]:
    """Return the numbers of the hidden layers but the first, whose matrix is not square."""
    return chain(*(row[1:-1] for row in rows))


def _ratios(rows: list[list[float]], back: bool = False) -> list[float]:
    """Return by layer, over seeds, the mean ratio of a hidden layer's number to that of the one before (or behind)."""
    hidden = np.array(rows, np.float64)[:, :-1]  # (seeds, layers); None is NaN
    before, after = (hidden[:, 1:], hidden[:, :-1]) if back else (hidden[:, :-1], hidden[:, 1:])
    with np.errstate(divide="ignore", invalid="ignore"):
        return [float(ratio) for ratio in (after / before).mean(axis=0)]


GLOROT_2010 = Preset(
    name="glorot-2010",
    title="The normalised initialisation",
    source="Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
    claim="With a variance of 2 / (fan_in + fan_out) every layer hands on the variance of signal and gradient; with "
    "U(±1/√fan_in), a third of it. A sigmoid's top layer is driven into saturation.",
    parts={
        **{
            f"{activation} {init}": Part(
                recipe("glorot-2010", 5, 1000, init, activation=activation, epochs=0), measures.signal
            )
            for activation in ("linear", "tanh")
            for init in GLOROT_INITS
        },
        "sigmoid linear_default": Part(
            recipe("glorot-2010", GLOROT_SIGMOID, 256, "linear_default", activation="sigmoid", learning_rate=1.0),
            measures.saturation,
        ),
    },
    checks=_glorot,
)


HE_INITS = ("xavier_normal", "kaiming_normal")


def _he(data: Data) -> list[Check]:
    # Of the last hidden layer. The same seed draws the same normal numbers for both, and a ReLU network without biases
    # is homogeneous, so that nothing but the two formulae decides and every seed gives the same.
    with np.errstate(divide="ignore"):
        xavier, he = (
            np.log2(np.array(data[f"signal {init}"]["measured"]["variance"], np.float64)[:, -2]) / 2
            for init in HE_INITS
        )
    scales = [float(difference) for difference in xavier - he]
    ends = {label: [seed[-1] for seed in data[label]["loss"]] for label in data if not label.startswith("signal")}
    stalls, converges = (ends[f"30 layers {init}"] for init in HE_INITS)

    def first_costs(init: str) -> list[float]:
        return [
            fmean(math.nan if loss is None else loss for loss in seed[:POINTS])
            for seed in data[f"10 layers {init}"]["loss"]
        ]

    figure = "He et al. 2015, figure 3: Xavier's 30 layers stall, He's converge"
    ten = "He et al. 2015, figure 2: both converge, He's sooner"
    return [
        check(
            "30 layers: log2 of the scale of activations, Xavier over He",
            scales,
            -15.5,
            -14.5,
            published="He et al. 2015, section 2.2: a factor of 1/√2 a layer, 2^-15",
        ),
        check("30 layers, Xavier: loss after an epoch", stalls, 2.29, 2.31, published=figure),
        check("30 layers, He: loss after an epoch", converges, 0, 0.6, published=figure),
        check(
            "10 layers: loss after three epochs, both",
            [*ends["10 layers xavier_normal"], *ends["10 layers kaiming_normal"]],
            0,
            1.0,
            published=ten,
        ),
        check(
            "10 layers: cost of epoch 1, Xavier minus He",
            [ours - theirs for ours, theirs in zip(*map(first_costs, HE_INITS), strict=True)],
            0,
            published=ten,
        ),
    ]


HE_2015 = Preset(
    name="he-2015",
    title="He's initialisation for the ReLU",
    source="He, Zhang, Ren & Sun 2015, Delving deep into rectifiers",
    claim="A ReLU halves the variance, which Xavier does not make good: after 30 layers 2^-15 of the scale is left and "
    "the network does not train; with twice the variance it does.",
    parts={
        **{
            f"signal {init}": Part(recipe("he-2015", 30, 128, init, epochs=0), measures.signal_of_five)
            for init in HE_INITS
        },
        **{f"30 layers {init}": Part(recipe("he-2015", 30, 128, init), measures.scaled) for init in HE_INITS},
        **{f"10 layers {init}": Part(recipe("he-2015", 10, 128, init, epochs=3), measures.scaled) for init in HE_INITS},
    },
    checks=_he,
)
