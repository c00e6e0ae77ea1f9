"""The notebook's two claims: weights must not all be 0, and changing only the initial weights raises the accuracy."""

from itertools import chain

from jax_impl import recipes
from jax_impl.study.presets.measures import symmetry, trained
from jax_impl.study.presets.preset import Check, Data, Part, Preset, check

LARGEST_CLASS = 0.1135  # of the 10,000 test images, 1,135 are ones
ROUNDING = 1e-6  # of the largest weight: two units with the same weights may be summed in another order


def _not_all_zero(data: Data) -> list[Check]:
    zeros, constant = data["zeros"], data["constant"]
    # By seed and epoch, then layer
    kernels = [norms for seed in zeros["kernel_gradient"] for norms in seed]
    biases = [norms for seed in zeros["bias_gradient"] for norms in seed]
    # Not before training: all classes have the same weights, so that their errors, which sum to 0, cancel on the way
    # back, and float32 leaves 2e-6 of rounding.
    gradients = [norms for seed in constant["kernel_gradient"] for norms in seed[1:]]
    spreads = [spread for seed in constant["unit_spread"] for epoch in seed for spread in epoch]
    notebook = "the notebook: “Not all 0's”"
    return [
        check("zeros: norm of every kernel's gradient", chain(*kernels), 0, 0, published=notebook),
        check("zeros: norm of hidden biases' gradients", chain(*(b[:-1] for b in biases)), 0, 0, published=notebook),
        check(
            "zeros: norm of the output bias's gradient before training",
            [seed[0][-1] for seed in zeros["bias_gradient"]],
            1e-3,
            published="the chain rule: softmax minus label, whatever the weights",
        ),
        check(
            "zeros: test accuracy after every epoch",
            chain(*zeros["test_accuracy"]),
            LARGEST_CLASS,
            LARGEST_CLASS,
            published="the share of the largest class",
        ),
        check(
            "constant: norm of every kernel's gradient after every epoch",
            chain(*gradients),
            1e-5,
            published="the chain rule: none is 0 once the classes differ",
        ),
        check(
            "constant: test accuracy after the last epoch",
            [seed[-1] for seed in constant["test_accuracy"]],
            LARGEST_CLASS + 0.03,
            published="it trains: more than the largest class",
        ),
        check(
            "constant: difference between units of a layer, of the largest weight",
            spreads,
            0,
            ROUNDING,
            published="symmetry: equal units get equal gradients",
        ),
    ]


NOT_ALL_ZERO = Preset(
    name="not-all-zero",
    title="Not all zeros",
    source="the notebook",
    claim="With weights and biases 0 only the output bias learns; with any other constant the units of a layer stay "
    "one unit, many times over.",
    parts={
        init: Part(recipes.named("mnist_nn").but(init=init, bias_init="zeros", epochs=3), symmetry)
        for init in ("zeros", "constant")
    },
    checks=_not_all_zero,
)


def _only_the_weights_changed(data: Data) -> list[Check]:
    normal, xavier = data["normal"], data["xavier_uniform"]
    gains = [
        100 * (after[-1] - before[-1])
        for before, after in zip(normal["test_accuracy"], xavier["test_accuracy"], strict=True)
    ]
    return [
        check(
            "gain in test accuracy after 15 epochs, points",
            gains,
            2.5,
            published="the notebook says that it rose; how far is our band",
        ),
        check(
            "N(0, 1): cost of epoch 1",
            [seed[0] for seed in normal["cost"]],
            100,
            170,
            published="the lab before the notebook: above 100; the rest is our band",
        ),
        check(
            "Xavier: cost of epoch 1",
            [seed[0] for seed in xavier["cost"]],
            0.22,
            0.30,
            published="the notebook prints 0.243988752",
        ),
    ]


ONLY_THE_WEIGHTS_CHANGED = Preset(
    name="only-the-weights-changed",
    title="Only the weights changed",
    source="the notebook, and the lab before it",
    claim="Against N(0, 1), Xavier's weights alone raise the accuracy of the same network under the same training.",
    parts={
        "normal": Part(recipes.named("mnist_nn"), trained),
        "xavier_uniform": Part(recipes.named("mnist_nn_xavier"), trained),
    },
    checks=_only_the_weights_changed,
)
