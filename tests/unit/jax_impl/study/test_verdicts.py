import math
from typing import Any

import pytest

from jax_impl.study import verdicts


def record(init: str, *accuracies: float, depth: int = 2, **changes: Any) -> dict[str, Any]:
    """A cell of one epoch whose seeds have these test accuracies, and a loss of 0.5 at its end."""
    seeds = len(accuracies)
    plain = {
        "recipe": {
            "name": "study", "init": init, "layers": [784, *[8] * depth, 10], "activation": "relu",
            "optimizer": "sgd", "epochs": 1,
        },
        "seeds": list(range(seeds)),
        "cost": [[0.7]] * seeds,
        "loss": [[2.3, 0.5]] * seeds,
        "test_accuracy": [[accuracy] for accuracy in accuracies],
        "diverged_in": [None] * seeds,
        "seconds": 1.5,
    }  # fmt: skip
    return plain | changes


@pytest.mark.parametrize(
    ("losses", "accuracies", "verdict"),
    [
        ([0.3, 1.15], [0.9, 0.6], "trains"),
        ([0.3, 1.16], [0.9, 0.6], "crawls"),  # half of ln 10 is 1.151
        ([4.5, 4.6], [0.87, 0.86], "crawls"),
        ([2.3, 2.3], [0.1135, 0.199], "dead"),
        ([2.3, 2.3], [0.1135, 0.2], "crawls"),
        ([None, 0.3], [0.9], "crawls"),
        ([None, None], [], "dead"),
    ],
)
def test_the_verdict_depends_on_loss_and_accuracy(
    losses: list[float | None], accuracies: list[float], verdict: str
) -> None:
    assert verdicts.verdict(losses, accuracies) == verdict


def test_a_diverged_seed_is_counted_but_not_averaged() -> None:
    row = verdicts.row(
        record("normal", 0.9, 0.098, 0.8, cost=[[0.4], [None], [0.6]], loss=[[0.4], [None], [0.6]])
        | {"diverged_in": [None, 1, None]}
    )
    assert (row.seeds, row.diverged, row.verdict, row.depth) == (3, 1, "crawls", 2)
    assert row.accuracies == (0.9, 0.8)
    assert row.accuracy == pytest.approx((0.85, math.sqrt(0.005)))
    assert row.cost == pytest.approx((0.5, math.sqrt(0.02)))


def test_epochs_to_the_target_count_the_seeds_that_reach_it() -> None:
    accuracies = [[0.96, 0.97, 0.98], [0.96, 0.96, 0.97], [0.97, 0.5, 0.5], [0.1, 0.99, 0.99]]
    row = verdicts.row(record("a", *[0.0] * 4, test_accuracy=accuracies, diverged_in=[None, None, None, 2]))
    assert row.to_target == (2, 3, 1, None)
    assert row.epochs_to_target() == "2 (3 of 4 seeds)"
    assert verdicts.row(record("a", 0.97, 0.98)).epochs_to_target() == "1"
    assert verdicts.row(record("a", 0.96)).epochs_to_target() == "not reached"


def test_a_cell_without_epochs_has_no_verdict_on_training() -> None:
    empty = record("a", 0.0, 0.0, cost=[[], []], loss=[[], []], test_accuracy=[[], []])
    empty["recipe"]["epochs"] = 0
    row = verdicts.row(empty)
    assert row.verdict == "not trained"
    assert math.isnan(row.accuracy.mean)
    assert verdicts.advise([row]) == []


def test_advice_names_the_best_the_equal_and_the_worse_ones() -> None:
    rows = [
        verdicts.row(one)
        for one in (
            record("worse", 0.900, 0.901, 0.902),
            record("best", 0.930, 0.931, 0.932),
            record("alike", 0.929, 0.930, 0.932),
            record("dead", 0.1135, 0.1135, 0.1135, loss=[[2.3]] * 3),
            record("elsewhere", 0.99, 0.99, 0.99, depth=3),
        )
    ]
    here, there = verdicts.advise(rows)
    assert (here.best.label, [row.label for row in here.alike]) == ("best", ["alike"])
    assert [row.label for row in here.rest] == ["worse", "dead"]
    assert there.best.label == "elsewhere"
    assert verdicts.words(here) == (
        "best trains best: 93.10 ± 0.10 % (3 seeds). Not significantly different: alike 93.03 ± 0.15 %. "
        "Worse: worse 90.10 ± 0.10 %. Failed to train: dead."
    )


def test_a_seed_that_diverged_in_its_last_step_has_not_trained() -> None:
    row = verdicts.row(record("a", 0.9, 0.9, diverged_in=[None, 1]))  # whose last loss was still a number
    assert (row.verdict, row.diverged) == ("crawls", 1)


def test_a_cell_that_trains_ranks_above_one_with_a_higher_accuracy_that_does_not() -> None:
    rows = [
        verdicts.row(record("crawls", 0.885, 0.885, loss=[[4.6]] * 2)),
        verdicts.row(record("trains", 0.880, 0.881)),
    ]
    (advice,) = verdicts.advise(rows)
    assert verdicts.words(advice) == "trains trains best: 88.05 ± 0.07 % (2 seeds). Failed to train: crawls."


def test_one_seed_cannot_show_a_difference() -> None:
    rows = [verdicts.row(record("a", 0.9001)), verdicts.row(record("b", 0.9000))]
    (advice,) = verdicts.advise(rows)
    assert verdicts.words(advice) == "a trains best: 90.01 % (1 seed). Not significantly different: b 90.00 %."


def test_a_named_recipe_is_labelled_with_its_name() -> None:
    cell = record("kaiming_uniform", 0.9)
    cell["recipe"]["name"] = "mnist_nn_he"
    assert verdicts.row(cell).label == "mnist_nn_he, kaiming_uniform"


def test_a_cell_with_a_diverged_seed_is_not_the_best() -> None:
    rows = [
        verdicts.row(record("steady", 0.80, 0.80)),
        verdicts.row(record("wild", 0.99, 0.1, loss=[[0.1], [None]], diverged_in=[None, 1])),
    ]
    assert verdicts.advise(rows)[0].best.label == "steady"


@pytest.mark.parametrize(
    ("accuracies", "diverged_in", "words"),
    [
        ([0.098, 0.098], [1, 1], "None trains. zeros gets furthest: 11.35 ± 0.00 %."),
        ([0.9, 0.098], [None, 1], "None trains. normal gets furthest: 90.00 %, but 1 of 2 seeds diverged."),
    ],
)
def test_advice_if_nothing_trains(accuracies: list[float], diverged_in: list[int | None], words: str) -> None:
    rows = [
        verdicts.row(record("zeros", 0.1135, 0.1135, loss=[[2.3]] * 2)),
        verdicts.row(record("normal", *accuracies, loss=[[4.0], [None]], diverged_in=diverged_in)),
    ]
    (advice,) = verdicts.advise(rows)
    assert verdicts.words(advice) == words
    (advice,) = verdicts.advise([verdicts.row(record("normal", 0.1, loss=[[None]], diverged_in=[1]))])
    assert verdicts.words(advice) == "None trains: every seed diverged."
