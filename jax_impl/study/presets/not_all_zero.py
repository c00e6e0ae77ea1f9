"""The notebook's first claim: weights must not all be 0. Nor may they all be equal."""

import numpy as np

from jax_impl import recipes
from jax_impl.study.presets.measures import symmetry
from jax_impl.study.presets.preset import Check, Data, Figure, Part, Preset, check, last

INITS = ("zeros", "constant")
LARGEST_CLASS = 0.1135  # of the 10,000 test images, 1,135 are ones
ROUNDING = 1e-6  # of the largest weight: two units with equal weights may be summed in a different order


def _checks(data: Data) -> list[Check]:
    zeros, constant = data["zeros"], data["constant"]
    biases = np.array(zeros["bias_gradient"], np.float64)  # norms, (seeds, epochs, layers)
    hidden, output = biases[..., :-1], biases[:, 0, -1]
    # Without the gradients before training: all classes start with the same weights, so their errors, which sum to 0,
    # cancel in backpropagation. In float32 a rounding error of 2e-6 remains.
    kernels = np.array(constant["kernel_gradient"], np.float64)[:, 1:]
    accuracies, largest, more = zeros["test_accuracy"], LARGEST_CLASS, LARGEST_CLASS + 0.03
    notebook = "the notebook: “Not all 0's”"
    output_rule = "the chain rule: it is softmax minus label, whatever the weights"
    rule = "the chain rule: none is 0 once the classes differ"
    share = "the share of the largest class"
    trains = "it trains: more than the largest class"
    return [
        check("zeros: norm of every kernel's gradient", zeros["kernel_gradient"], 0, 0, published=notebook),
        check("zeros: norm of hidden biases' gradients", hidden, 0, 0, published=notebook),
        check("zeros: norm of the output bias's gradient before training", output, 1e-3, published=output_rule),
        check("zeros: test accuracy after every epoch", accuracies, largest, largest, published=share),
        check("constant: norm of every kernel's gradient after every epoch", kernels, 1e-5, published=rule),
        check("constant: test accuracy after the last epoch", last(constant["test_accuracy"]), more, published=trains),
        check(
            "constant: difference between units of a layer, relative to the largest weight",
            constant["unit_spread"],
            0,
            ROUNDING,
            published="symmetry: equal units get equal gradients",
        ),
    ]


def _draw(figure: Figure, data: Data, narrow: bool) -> None:
    from jax_impl.study.presets import drawing

    gradients, accuracy = drawing.two_axes(figure, narrow)
    names = [f"{name} {layer}" for name in ("kernel", "bias") for layer in (1, 2, 3)]
    for shift, init in zip((-0.18, 0.18), INITS, strict=True):
        color, marker = drawing.color_of(init), drawing.marker_of(init)
        norms = [drawing.floats(data[init][f"{name}_gradient"])[:, 1] for name in ("kernel", "bias")]
        means = np.concatenate(norms, axis=1).mean(axis=0)
        gradients.bar(np.arange(len(means)) + shift, means, 0.34, color=color, label=init)
        zeros = np.flatnonzero(means == 0)
        gradients.plot(zeros + shift, 0 * zeros, marker, color=color, ms=5)
        for seed, shares in enumerate(data[init]["test_accuracy"], start=1):
            percent, line = [100 * share for share in shares], f"{marker}-"
            name = f"_{init}, run {seed}"
            accuracy.plot(range(1, len(shares) + 1), percent, line, color=color, ms=4.5, lw=1.2, label=name)
    gradients.set_xticks(range(6), names, rotation=30 if narrow else 0)
    drawing.log_axis(gradients)
    gradients.set_ylabel("gradient's norm after the first epoch")
    drawing.published_line(accuracy, 100 * LARGEST_CLASS, "the largest class, 11.35\u00a0%")
    drawing.epoch_axis(accuracy)
    accuracy.set(ylim=(0, 40))
    drawing.percent_axis(accuracy, "test accuracy")
    drawing.legend(figure, gradients, narrow)


PRESET = Preset(
    name="not-all-zero",
    title="Not all zeros",
    source="the notebook",
    claim="If all weights and biases are 0, only the output bias learns. If all weights are another constant, the "
    "network learns, but all units of a layer stay identical.",
    parts={
        init: Part(recipes.named("mnist_nn").with_changes(init=init, bias_init="zeros", epochs=3), symmetry)
        for init in INITS
    },
    checks=_checks,
    draw=_draw,
    caption="Left: from zeros, only the output bias has a gradient. Right: from another constant, the network learns "
    "as well as a network with one unit per layer.",
)
