"""He et al. 2015: a ReLU halves the variance, so the weights need twice the variance that Xavier gives them."""

import numpy as np

from jax_impl.study.cells import POINTS
from jax_impl.study.presets.measures import scaled, sgd_recipe, signal_of_five
from jax_impl.study.presets.preset import Check, Data, Figure, Part, Preset, check, last

INITS = ("xavier_normal", "kaiming_normal")


def _checks(data: Data) -> list[Check]:
    # Of the last hidden layer. Both initialisers scale the same normal numbers of a seed, and a ReLU network without
    # biases is homogeneous. So the ratio depends on the two formulas only, and is the same for every seed.
    with np.errstate(divide="ignore"):
        xavier, he = (
            np.log2(np.array(data[f"signal {init}"]["measured"]["variance"], np.float64)[:, -2]) / 2 for init in INITS
        )
    stalls, converges, *both = (last(data[f"{layers} layers {init}"]["loss"]) for layers in (30, 10) for init in INITS)
    curves = (np.array(data[f"10 layers {init}"]["loss"], np.float64) for init in INITS)  # (seeds, points)
    xavier_cost, he_cost = (curve[:, :POINTS].mean(axis=1) for curve in curves)  # of the first epoch
    halves = "He et al. 2015, section 2.2: a factor of 1/√2 per layer, 2^-15"
    ten = "He et al. 2015, figure 2: both converge, He sooner"
    thirty = "He et al. 2015, figure 3: 30 layers stall from Xavier and converge from He"
    scale = "log2 of the scale of activations, Xavier relative to He"
    return [
        check(f"30 layers: {scale}", xavier - he, -15.5, -14.5, published=halves),
        check("30 layers, Xavier: loss after an epoch", stalls, 2.29, 2.31, published=thirty),
        check("30 layers, He: loss after an epoch", converges, 0, 0.6, published=thirty),
        check("10 layers: loss after three epochs, both", both, 0, 1.0, published=ten),
        check("10 layers: cost of epoch 1, Xavier minus He", xavier_cost - he_cost, 0, published=ten),
    ]


def _draw(figure: Figure, data: Data, narrow: bool) -> None:
    from jax_impl.study.presets import drawing

    signal, training = drawing.two_axes(figure, narrow)
    dashes = {30: "-", 10: (0, (4, 2))}  # by the number of layers
    for init in INITS:
        color, marker = drawing.color_of(init), drawing.marker_of(init)
        scale = np.log2(drawing.log_mean(data[f"signal {init}"]["measured"]["variance"])[:-1]) / 2
        signal.plot(np.arange(1, len(scale) + 1), scale - scale[0], f"{marker}-", color=color, ms=4, lw=1.2, label=init)
        for layers, dash in dashes.items():
            name = f"{layers} layers {init}"
            drawing.loss_curve(training, data[name]["loss"], color=color, ls=dash, lw=1.4, label=f"_{name}")
    layer = np.arange(1, 31)
    signal.plot(layer, -(layer - 1) / 2, **drawing.PUBLISHED, label="published: a factor of 1/√2 a layer")
    signal.set(xlabel="hidden layer", ylabel="log2 of the activations' scale over layer 1's")
    for layers, dash in dashes.items():
        training.plot([], [], color=drawing.MUTED, ls=dash, label=f"{layers} layers")
    drawing.loss_axes(training)
    drawing.legend(figure, signal, narrow)


PRESET = Preset(
    name="he-2015",
    title="He's initialisation for the ReLU",
    source="He, Zhang, Ren & Sun 2015, Delving deep into rectifiers",
    claim="A ReLU halves the variance of the signal. Xavier does not compensate for it: after 30 layers 2^-15 of "
    "the activations' scale is left, and the network does not train. With twice the weight variance it trains.",
    parts={
        **{f"signal {init}": Part(sgd_recipe("he-2015", 30, 128, init, epochs=0), signal_of_five) for init in INITS},
        **{f"30 layers {init}": Part(sgd_recipe("he-2015", 30, 128, init), scaled) for init in INITS},
        **{f"10 layers {init}": Part(sgd_recipe("he-2015", 10, 128, init, epochs=3), scaled) for init in INITS},
    },
    checks=_checks,
    draw=_draw,
    caption="Left: the scale of the signal in 30 ReLU layers before training. Right: training by plain SGD.",
)
