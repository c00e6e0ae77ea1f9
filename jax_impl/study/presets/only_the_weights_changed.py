"""The notebook's second claim: changing only the initial weights raises the accuracy."""

from typing import Any

import numpy as np

from jax_impl import recipes
from jax_impl.study.presets.measures import trained
from jax_impl.study.presets.preset import Check, Data, Figure, Part, Preset, check, last

INITS = {"normal": "N(0, 1)", "xavier_uniform": "Xavier"}
# Printed under the notebook's training cell, epochs 1 to 12.
NOTEBOOK_COSTS = (
    0.243988752, 0.091930427, 0.059369326, 0.042475790, 0.033861812, 0.025505863,
    0.022579098, 0.017337879, 0.016488504, 0.014489295, 0.014997463, 0.010930263,
)  # fmt: skip


def _checks(data: Data) -> list[Check]:
    normal, xavier = data["normal"], data["xavier_uniform"]
    before, after = (np.array(last(part["test_accuracy"]), np.float64) for part in (normal, xavier))
    rose = "the notebook: “the accuracy rose”; our band says by how much"
    above = "the lab before the notebook: above 100; the upper limit is our own"
    prints = "the notebook prints 0.243988752"
    return [
        check("gain in test accuracy after 15 epochs, percentage points", 100 * (after - before), 2.5, published=rose),
        check("N(0, 1): cost of epoch 1", [seed[0] for seed in normal["cost"]], 100, 170, published=above),
        check("Xavier: cost of epoch 1", [seed[0] for seed in xavier["cost"]], 0.22, 0.30, published=prints),
    ]


def _draw(figure: Figure, data: Data, narrow: bool) -> None:
    from jax_impl.study.presets import drawing

    cost, accuracy = drawing.two_axes(figure, narrow)
    for init, label in INITS.items():
        style: dict[str, Any] = {
            "color": drawing.color_of(init),
            "marker": drawing.marker_of(init),
            "ms": 3.5,
            "lw": 1.2,
        }
        for seed, (costs, shares) in enumerate(zip(data[init]["cost"], data[init]["test_accuracy"], strict=True)):
            epochs = range(1, len(costs) + 1)
            name = f"_{label}, run {seed + 1}"
            cost.plot(epochs, costs, label=name, **style)
            accuracy.plot(epochs, [100 * share for share in shares], label=name, **style)
        cost.plot([], [], label=label, **style)
    printed = range(1, len(NOTEBOOK_COSTS) + 1)
    cost.plot(
        printed, NOTEBOOK_COSTS, "D", mfc="white", mec=drawing.INK, ms=4, label="printed in the notebook", zorder=3
    )
    drawing.log_axis(cost)
    cost.set_ylabel("training cost (nats)")
    drawing.percent_axis(accuracy, "test accuracy", decimals=1)
    for axes in (cost, accuracy):
        drawing.epoch_axis(axes)
    drawing.legend(figure, cost, narrow)


PRESET = Preset(
    name="only-the-weights-changed",
    title="Only the weights changed",
    source="the notebook, and the lab before it",
    claim="Changing only the initial weights, from N(0, 1) to Xavier, raises the test accuracy of the same network "
    "under the same training.",
    parts={
        "normal": Part(recipes.named("mnist_nn"), trained),
        "xavier_uniform": Part(recipes.named("mnist_nn_xavier"), trained),
    },
    checks=_checks,
    draw=_draw,
    caption="The same network, data, optimizer and seeds; one line per seed.",
)
