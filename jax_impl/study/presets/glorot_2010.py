"""Glorot & Bengio 2010: the normalised (Xavier) initialisation preserves the variance of signal and gradient."""

from itertools import chain
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jax_impl.study.presets.measures import saturation, sgd_recipe, signal
from jax_impl.study.presets.preset import Check, Data, Figure, Part, Preset, check


class Expected(NamedTuple):
    """What the paper and random matrix theory say about one initialiser."""

    word: str  # the paper's name for it
    linear: float  # mean singular value of a square layer's Jacobian in a linear network
    tanh: float  # the same in a tanh network, as the paper rounds it
    tanh_band: tuple[float, float]
    ratio: float  # a layer's variance relative to the layer before


# A square n × n matrix of variance v has the mean singular value 8 / (3 pi) * sqrt(n v), by the quarter circle law.
INITS = {
    "xavier_uniform": Expected("normalised", 0.849, 0.8, (0.70, 0.85), 1),
    "linear_default": Expected("standard", 0.490, 0.5, (0.43, 0.50), 1 / 3),
}
SIGMOID_LAYERS = 4  # hidden layers of the sigmoid network


def _checks(data: Data) -> list[Check]:
    return [*chain(*(_signal_checks(data, init) for init in INITS)), *_saturation_checks(data)]


def _signal_checks(data: Data, init: str) -> list[Check]:
    linear, tanh = (data[f"{activation} {init}"]["measured"] for activation in ("linear", "tanh"))
    # Mean singular values of the hidden layers except the first, whose matrix is not square
    linear_scales, tanh_scales = (np.array(side["jacobian"], np.float64)[:, 1:-1] for side in (linear, tanh))
    expected = INITS[init]
    word, ratio = expected.word, expected.ratio
    near, near_ratio = (expected.linear - 0.01, expected.linear + 0.01), (0.9 * ratio, 1.1 * ratio)
    scale = "mean singular value of a layer's Jacobian"
    forward = f"linear, {word}: variance of activations, relative to the layer before"
    backward = f"linear, {word}: variance of back-propagated gradients, relative to the layer after"
    law = f"quarter circle law: {expected.linear:.3f}"
    about = f"Glorot & Bengio 2010, section 4.2: about {expected.tanh}"
    five, six = (f"Glorot & Bengio 2010, equation {number}: {ratio:.3g}" for number in (5, 6))
    return [
        check(f"linear, {word}: {scale}", linear_scales, *near, published=law),
        check(f"tanh, {word}: {scale}", tanh_scales, *expected.tanh_band, published=about),
        check(forward, _ratios(linear["variance"]), *near_ratio, published=five),
        check(backward, _ratios(linear["gradient_variance"], back=True), *near_ratio, published=six),
    ]


def _saturation_checks(data: Data) -> list[Check]:
    means = np.array(data["sigmoid linear_default"]["mean"], np.float64)[:, -1]  # (seeds, layers), after training
    top, below = means[:, SIGMOID_LAYERS - 1], means[:, : SIGMOID_LAYERS - 1]
    figure = "Glorot & Bengio 2010, figure 2"
    return [
        check("sigmoid: mean activation of the top hidden layer", top, 0, 0.1, published=figure),
        check("sigmoid: mean activation of the hidden layers below it", below, 0.3, 0.9, published=figure),
    ]


def _ratios(rows: list[list[float]], back: bool = False) -> Float[np.ndarray, " ratios"]:
    """Return each hidden layer's number relative to the layer before it (`back`: after it), averaged over seeds."""
    hidden = np.array(rows, np.float64)[:, :-1]  # (seeds, layers); None becomes NaN
    before, after = (hidden[:, 1:], hidden[:, :-1]) if back else (hidden[:, :-1], hidden[:, 1:])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((after / before).mean(axis=0))


def _draw(figure: Figure, data: Data, narrow: bool) -> None:
    from jax_impl.study.presets import drawing

    jacobians, sigmoid = drawing.two_axes(figure, narrow)
    for init, expected in INITS.items():
        color = drawing.color_of(init)
        for activation, marker in (("linear", "s"), ("tanh", "o")):
            values = drawing.floats(data[f"{activation} {init}"]["measured"]["jacobian"])[:, 1:-1]  # square layers
            layers = np.arange(2, 2 + values.shape[1])
            label = f"{expected.word}, {activation}"
            jacobians.plot(layers, values.mean(axis=0), f"{marker}-", color=color, ms=4.5, lw=1.0, label=label)
        drawing.published_line(jacobians, expected.linear, f"quarter circle law, {expected.linear}")
    for expected in INITS.values():
        jacobians.axhline(expected.tanh, color=drawing.MUTED, lw=1, ls=":")
    jacobians.plot([], [], color=drawing.MUTED, lw=1, ls=":", label="published for tanh: about 0.8 and 0.5")
    jacobians.set(ylim=(0.4, 0.95), xlabel="hidden layer", ylabel="mean singular value of the Jacobian")
    drawing.integer_ticks(jacobians.xaxis)

    steps = data["sigmoid linear_default"]["steps"]
    means = drawing.floats(data["sigmoid linear_default"]["mean"]).mean(axis=0)  # (probes, layers)
    heights = drawing.apart(means[-1, :-1].tolist(), 0.05)
    for layer, height in enumerate(heights):
        color, marker = drawing.SHADES[layer], drawing.MARKERS[layer]
        sigmoid.plot(steps, means[:, layer], marker, ls="-", color=color, lw=1.5, ms=4, label=f"_layer {layer + 1}")
        end = (steps[-1], height)
        sigmoid.annotate(f"layer {layer + 1}", end, (6, -3), textcoords="offset points", color=color)
    sigmoid.set(ylim=(0, 1), xlabel="training step", ylabel="mean activation, sigmoid")
    sigmoid.set_xlim(0, 1.14 * steps[-1])
    drawing.legend(figure, jacobians, narrow)


PRESET = Preset(
    name="glorot-2010",
    title="The normalised initialisation",
    source="Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
    claim="With a weight variance of 2 / (fan_in + fan_out), each layer preserves the variance of signal and gradient. "
    "With U(±1/√fan_in), each layer reduces it to a third. The top hidden layer of a sigmoid network saturates.",
    parts={
        f"{activation} {init}": Part(sgd_recipe("glorot-2010", 5, 1000, init, activation=activation, epochs=0), signal)
        for activation in ("linear", "tanh")
        for init in INITS
    }
    | {
        "sigmoid linear_default": Part(
            sgd_recipe("glorot-2010", SIGMOID_LAYERS, 256, "linear_default", activation="sigmoid", learning_rate=1.0),
            saturation,
        ),
    },
    checks=_checks,
    draw=_draw,
    caption="Left: by how much a layer scales a small change of its input, before training. Right: within one epoch "
    "the activations of a sigmoid network's top hidden layer fall to 0; those of the layers below do not.",
)
