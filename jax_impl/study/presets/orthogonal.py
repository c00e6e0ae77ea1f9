"""Saxe, McClelland & Ganguli 2013: from orthogonal matrices, the learning time hardly depends on the depth."""

import math
from statistics import fmean

from jax_impl.study.presets.measures import sgd_recipe, steps_to_loss
from jax_impl.study.presets.preset import Check, Data, Figure, Part, Preset, check

DEPTHS = (4, 8, 16, 32, 64)  # hidden layers
INITS = {"orthogonal": "orthogonal", "lecun_normal": "scaled Gaussian"}


def _checks(data: Data) -> list[Check]:
    steps = "steps to a loss of 0.6, 64 layers relative to 8"
    flat = "Saxe et al. 2013, abstract: learning times that do not depend on depth"
    growing = "Saxe et al. 2013, abstract: scaled Gaussians do not have them"
    return [
        check(f"orthogonal: {steps}", [_growth(data, "orthogonal")], 0, 1.75, published=flat),
        check(f"scaled Gaussian: {steps}, lower bound", [_growth(data, "lecun_normal")], 3, published=growing),
    ]


def _growth(data: Data, init: str) -> float:
    """Return the mean number of steps in 64 layers divided by that in 8.

    A seed that does not reach the loss counts with the limit in 64 layers, which gives a lower bound, and as NaN in 8.
    """
    shallow, deep = (data[f"{depth} layers {init}"] for depth in (8, 64))
    shallow_steps = [math.nan if steps is None else steps for steps in shallow["steps"]]
    return fmean(deep["limit"] if steps is None else steps for steps in deep["steps"]) / fmean(shallow_steps)


def _draw(figure: Figure, data: Data, _narrow: bool) -> None:
    from jax_impl.study.presets import drawing

    axes = figure.subplots()
    for init, label in INITS.items():
        color, marker = drawing.color_of(init), drawing.marker_of(init)
        parts = [data[f"{depth} layers {init}"] for depth in DEPTHS]
        steps = drawing.floats([[part["limit"] if n is None else n for n in part["steps"]] for part in parts])
        drawing.mean_and_range(axes, DEPTHS, steps.T, color, label=label)
        for depth, mean, part in zip(DEPTHS, steps.mean(axis=1), parts, strict=True):
            missed = None in part["steps"]
            axes.plot(depth, mean, marker, color=color, ms=8 if missed else 5)
            if missed:
                below = (-8, 8) if init == "lecun_normal" else (-2, -18)  # so that two such labels do not overlap
                axes.annotate("not reached", (depth, mean), below, textcoords="offset points", ha="right", color=color)
    axes.set(xscale="log", yscale="log", xlabel="hidden layers", ylabel="training steps to a loss of 0.6")
    drawing.fixed_ticks(axes.xaxis, DEPTHS)
    drawing.fixed_ticks(axes.yaxis, (30, 50, 100, 200, 300))
    drawing.legend(figure, axes, False)


PRESET = Preset(
    name="orthogonal",
    title="Orthogonal matrices",
    source="Saxe, McClelland & Ganguli 2013, Exact solutions to the nonlinear dynamics of learning in deep linear "
    "neural networks",
    claim="The number of steps that a deep linear network needs to reach a loss grows with depth when it starts from "
    "scaled Gaussian matrices, and hardly grows when it starts from orthogonal ones.",
    parts={
        f"{depth} layers {init}": Part(sgd_recipe("orthogonal", depth, 64, init, activation="linear"), steps_to_loss)
        for depth in DEPTHS
        for init in INITS
    },
    checks=_checks,
    draw=_draw,
    caption="Mean and range over the seeds, at the best learning rate for each depth.",
)
