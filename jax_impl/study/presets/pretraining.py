"""Hinton et al. 2006 and Erhan et al. 2010: a deep belief network (DBN) as the initialisation of a classifier."""

import math

import numpy as np
from jaxtyping import Float

from jax_impl import recipes
from jax_impl.study.presets.measures import FINE_TUNING_STEPS, accuracies, fine_tuned, sgd_recipe
from jax_impl.study.presets.preset import Check, Data, Figure, Part, Preset, check, last

INITS = {"dbn": "DBN", "xavier_uniform": "Xavier", "kaiming_uniform": "He"}
DEEP_INITS = {"dbn": "DBN", "xavier_uniform": "Xavier", "small_normal": "N(0, 0.01²)"}
NEAR_CHANCE = 0.15  # accuracy; chance is 0.1


def _checks(data: Data) -> list[Check]:
    erhan = "Erhan et al. 2010: pretraining helps; our band says by how much"
    hinton = "Hinton, Osindero & Teh 2006, and Bengio et al. 2007"
    stalls, trains = f"{hinton}: it does not train", f"{hinton}: it trains; our band says how well"
    deep = "5 layers of sigmoid units, plain SGD from"
    normal, dbn = (last(data[f"deep {init}"]["test_accuracy"]) for init in ("small_normal", "dbn"))
    gains = [
        check(
            f"{labels:,} labels: gain over {INITS[init]}, percentage points",
            _gains(data, init, labels),
            *band,
            published=erhan,
        )
        for labels, band in ((1_000, (2.0, math.inf)), (60_000, (-0.3, 0.8)))
        for init in ("xavier_uniform", "kaiming_uniform")
    ]
    return [
        *gains,
        check(f"{deep} N(0, 0.01²): test accuracy", normal, 0, NEAR_CHANCE, published=stalls),
        check(f"{deep} the DBN: test accuracy", dbn, 0.9, published=trains),
    ]


def _gains(data: Data, init: str, labels: int) -> Float[np.ndarray, " seeds"]:
    """Return each seed's test accuracy from the DBN minus that from `init`, in percentage points."""
    column = list(FINE_TUNING_STEPS).index(labels)
    dbn, other = (np.array(data[start]["test_accuracy"], np.float64)[:, column] for start in ("dbn", init))
    return 100 * (dbn - other)


def _draw(figure: Figure, data: Data, narrow: bool) -> None:
    from jax_impl.study.presets import drawing

    few, deep = drawing.two_axes(figure, narrow)
    for init, label in INITS.items():
        color, marker = drawing.color_of(init), drawing.marker_of(init)
        errors = 100 * (1 - drawing.floats(data[init]["test_accuracy"]))
        drawing.mean_and_range(few, data[init]["labels"], errors, color, f"{marker}-", ms=4.5, label=label)
    drawing.log_axis(few)
    few.set(xscale="log", xlabel="labelled images")
    drawing.fixed_ticks(few.xaxis, data["dbn"]["labels"], "{:,.0f}")
    drawing.percent_axis(few, "test error")

    for init, label in DEEP_INITS.items():
        color, marker = drawing.color_of(init), drawing.marker_of(init)
        for seed, shares in enumerate(data[f"deep {init}"]["test_accuracy"]):
            hidden = seed or init in INITS  # the left half explains these
            name = f"_{label}, run {seed + 1}" if hidden else label
            percent = 100 * drawing.floats(shares)
            deep.plot(range(1, len(shares) + 1), percent, f"{marker}-", color=color, ms=4, lw=1.2, label=name)
    drawing.published_line(deep, 10.0, "chance")
    drawing.epoch_axis(deep)
    deep.set(ylim=(0, 100))
    drawing.percent_axis(deep, "test accuracy")
    deep.legend(loc="center left")
    drawing.legend(figure, few, narrow)


PRESET = Preset(
    name="pretraining",
    title="Pretraining",
    source="Erhan et al. 2010, Why does unsupervised pre-training help deep learning?; Hinton, Osindero & Teh 2006, A "
    "fast learning algorithm for deep belief nets",
    claim="A classifier that starts from a deep belief network beats Xavier and He if labels are few, and hardly if "
    "they are many. Deep sigmoid networks train from a deep belief network, but not from small random weights.",
    parts={init: Part(recipes.named("mnist_dbn").with_changes(init=init), fine_tuned) for init in INITS}
    | {
        f"deep {init}": Part(
            sgd_recipe("pretraining", 4, 256, init, activation="sigmoid", learning_rate=0.1, epochs=3), accuracies
        )
        for init in DEEP_INITS
    },
    checks=_checks,
    draw=_draw,
    caption="Left: a 784-500-500-10 sigmoid network trained by Adam, mean and range over the seeds. Right: five layers "
    "of sigmoid units trained by plain SGD, one line per seed.",
)
