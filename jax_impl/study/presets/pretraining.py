"""Pretraining as an initialisation: a deep belief network against Xavier and He, with few labels and with many."""

from jax_impl import recipes
from jax_impl.study.presets import measures
from jax_impl.study.presets.measures import BUDGETS, recipe
from jax_impl.study.presets.preset import Check, Data, Part, Preset, check

PRETRAINING_INITS = {"dbn": "DBN", "xavier_uniform": "Xavier", "kaiming_uniform": "He"}
DEEP_INITS = {"dbn": "DBN", "xavier_uniform": "Xavier", "small_normal": "N(0, 0.01²)"}
NEAR_CHANCE = 0.15  # of ten classes


def _pretraining(data: Data) -> list[Check]:
    erhan = "Erhan et al. 2010: pretraining helps"
    checks = [
        check(
            f"{labels:,} labels: gain over {PRETRAINING_INITS[init]}, points",
            _gains(data, init, labels),
            low,
            high,
            published=f"{erhan}; how far is our band",
        )
        for labels, low, high in ((1_000, 2.0, float("inf")), (60_000, -0.3, 0.8))
        for init in ("xavier_uniform", "kaiming_uniform")
    ]
    hinton = "Hinton, Osindero & Teh 2006, and Bengio et al. 2007"
    return [
        *checks,
        check(
            "5 layers of sigmoid units, plain SGD from N(0, 0.01²): test accuracy",
            [seed[-1] for seed in data["deep small_normal"]["test_accuracy"]],
            0,
            NEAR_CHANCE,
            published=f"{hinton}: it does not train",
        ),
        check(
            "the same from the DBN: test accuracy",
            [seed[-1] for seed in data["deep dbn"]["test_accuracy"]],
            0.9,
            published=f"{hinton}: it trains; how far is our band",
        ),
    ]


def _gains(data: Data, init: str, labels: int) -> list[float]:
    """Return by how many points each seed's accuracy from the DBN is above that from another start."""
    place = list(BUDGETS).index(labels)
    pairs = zip(data["dbn"]["test_accuracy"], data[init]["test_accuracy"], strict=True)
    return [100 * (with_dbn[place] - without[place]) for with_dbn, without in pairs]


PRETRAINING_PRESET = Preset(
    name="pretraining",
    title="Pretraining",
    source="Erhan et al. 2010, Why does unsupervised pre-training help deep learning?; Hinton, Osindero & Teh 2006, A "
    "fast learning algorithm for deep belief nets",
    claim="A start from a deep belief network beats Xavier and He where labels are few and hardly where there are "
    "many; and it trains deep sigmoid networks that do not train from small random weights.",
    parts={init: Part(recipes.named("mnist_dbn").but(init=init), measures.fine_tuned) for init in PRETRAINING_INITS}
    | {
        f"deep {init}": Part(
            recipe("pretraining", 4, 256, init, activation="sigmoid", learning_rate=0.1, epochs=3), measures.accuracies
        )
        for init in DEEP_INITS
    },
    checks=_pretraining,
)
