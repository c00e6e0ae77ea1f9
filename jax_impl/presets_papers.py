"""Four papers' results: Glorot & Bengio 2010, He et al. 2015, Saxe et al. 2013, Mishkin & Matas 2015."""

import math
from collections.abc import Iterable
from itertools import chain, pairwise
from statistics import fmean

from jax_impl import measures
from jax_impl.evidence import Check, Data, Part, Preset, check
from jax_impl.findings import CHANCE
from jax_impl.recipes import Recipe
from jax_impl.study import POINTS


def _recipe(name: str, hidden: int, width: int, init: str, **more: object) -> Recipe:
    settings = {"bias_init": "zeros", "optimizer": "sgd", "learning_rate": 0.01, "epochs": 1} | more
    return Recipe(name=name, layers=(784, *[width] * hidden, 10), init=init, **settings)  # type: ignore[arg-type]


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
    hidden = [row[:-1][::-1] if back else row[:-1] for row in rows]
    return [fmean(after / before for before, after in layer) for layer in zip(*map(pairwise, hidden), strict=True)]


GLOROT_2010 = Preset(
    name="glorot-2010",
    title="The normalised initialisation",
    source="Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
    claim="With a variance of 2 / (fan_in + fan_out) every layer hands on the variance of signal and gradient; with "
    "U(±1/√fan_in), a third of it. A sigmoid's top layer is driven into saturation.",
    parts={
        **{
            f"{activation} {init}": Part(
                _recipe("glorot-2010", 5, 1000, init, activation=activation, epochs=0), measures.signal
            )
            for activation in ("linear", "tanh")
            for init in GLOROT_INITS
        },
        "sigmoid linear_default": Part(
            _recipe("glorot-2010", GLOROT_SIGMOID, 256, "linear_default", activation="sigmoid", learning_rate=1.0),
            measures.saturation,
        ),
    },
    checks=_glorot,
)


HE_INITS = ("xavier_normal", "kaiming_normal")


def _he(data: Data) -> list[Check]:
    # Of the last hidden layer; the same seed draws the same normal numbers for both, so that only the scale differs.
    scales = [[math.log2(seed[-2]) / 2 for seed in data[f"signal {init}"]["measured"]["variance"]] for init in HE_INITS]
    ends = {label: [seed[-1] for seed in data[label]["loss"]] for label in data if not label.startswith("signal")}
    xavier, he = (ends[f"30 layers {init}"] for init in HE_INITS)

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
            [ours - theirs for ours, theirs in zip(*scales, strict=True)],
            -15.5,
            -14.5,
            published="He et al. 2015, section 2.2: a factor of 1/√2 a layer, 2^-15",
        ),
        check("30 layers, Xavier: loss after an epoch", xavier, 2.29, 2.31, published=figure),
        check("30 layers, He: loss after an epoch", he, 0, 0.6, published=figure),
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
            f"signal {init}": Part(_recipe("he-2015", 30, 128, init, epochs=0), measures.signal_of_five)
            for init in HE_INITS
        },
        **{f"30 layers {init}": Part(_recipe("he-2015", 30, 128, init), measures.scaled) for init in HE_INITS},
        **{
            f"10 layers {init}": Part(_recipe("he-2015", 10, 128, init, epochs=3), measures.scaled) for init in HE_INITS
        },
    },
    checks=_he,
)

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
    claim="A deep linear network reaches a loss in a number of steps that grows with depth from scaled Gaussian "
    "matrices, and does not from orthogonal ones.",
    parts={
        f"{depth} layers {init}": Part(
            _recipe("orthogonal", depth, 64, init, activation="linear"), measures.steps_to_loss
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
    "train, whatever the activation.",
    parts={
        f"{activation} {init}": Part(_recipe("lsuv", 30, 64, init, activation=activation), measures.scaled)
        for activation in LSUV_ACTIVATIONS
        for init in LSUV_INITS
    },
    checks=_lsuv,
)
