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
    ("accuracies", "diverged", "not_started", "verdict"),
    [
        ([0.98, 0.97], 0, 0, "trains"),
        ([0.7], 0, 0, "trains"),
        ([0.685, 0.685], 0, 0, "learns slowly"),
        ([0.95, 0.4], 0, 0, "learns slowly"),
        ([0.2], 0, 0, "learns slowly"),
        ([0.1135, 0.199], 0, 0, "dead"),
        ([0.9], 1, 0, "partly diverged"),
        ([0.9], 1, 1, "partly diverged"),
        ([], 2, 0, "diverged"),
        ([], 2, 1, "diverged"),
        ([], 2, 2, "not started"),
    ],
)
def test_the_verdict_depends_on_accuracy_and_divergence(
    accuracies: list[float], diverged: int, not_started: int, verdict: str
) -> None:
    assert verdicts.verdict(accuracies, diverged, not_started) == verdict
    assert verdict in verdicts.MEANINGS


def test_the_meanings_state_the_thresholds() -> None:
    assert "70 %" in verdicts.MEANINGS["trains"]
    assert all("20 %" in verdicts.MEANINGS[name] for name in ("learns slowly", "dead"))


@pytest.mark.parametrize("accuracy", [0.25, 0.685, 0.7, 0.86])
def test_no_cell_that_learns_is_said_to_have_failed(accuracy: float) -> None:
    rows = [verdicts.row(record("best", 0.95, 0.951)), verdicts.row(record("other", accuracy, accuracy + 0.001))]
    assert "Failed" not in verdicts.words(verdicts.advise(rows)[0])
    assert f"other {100 * accuracy + 0.05:.2f}" in verdicts.words(verdicts.advise(rows)[0])


def test_a_diverged_seed_is_counted_but_not_averaged() -> None:
    row = verdicts.row(
        record("normal", 0.9, 0.098, 0.8, cost=[[0.4], [None], [0.6]], loss=[[0.4], [None], [0.6]])
        | {"diverged_in": [None, 1, None]}
    )
    assert (row.seeds, row.diverged, row.verdict, row.depth) == (3, 1, "partly diverged", 2)
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
    assert (row.verdict, row.diverged) == ("partly diverged", 1)


def test_the_advice_lists_slow_cells_with_their_accuracy() -> None:
    rows = [
        verdicts.row(record("slow", 0.68, 0.69)),
        verdicts.row(record("good", 0.88, 0.881)),
        verdicts.row(record("zeros", 0.1135, 0.1135)),
        verdicts.row(record("wild", 0.99, 0.1, diverged_in=[None, 1])),
        verdicts.row(record("lost", 0.1, 0.1, diverged_in=[1, 1])),
        verdicts.row(record("stuck", 0.1, 0.1, diverged_in=[1, 1], not_started=["a reason"] * 2)),
    ]
    (advice,) = verdicts.advise(rows)
    assert verdicts.words(advice) == (
        "good trains best: 88.05 ± 0.07 % (2 seeds). Learning slowly: slow 68.50 ± 0.71 %. "
        "Some seeds diverged: wild 99.00 % without them. Failed to train: zeros. Diverged: lost. "
        "Could not start: stuck."
    )


def test_advice_if_all_learn_slowly() -> None:
    rows = [verdicts.row(record("a", 0.68, 0.69)), verdicts.row(record("b", 0.3, 0.31))]
    (advice,) = verdicts.advise(rows)
    assert verdicts.words(advice) == (
        "None reaches 70 %. a gets furthest: 68.50 ± 0.71 % (2 seeds). Worse: b 30.50 ± 0.71 %."
    )


def test_one_seed_is_not_tested() -> None:
    rows = [verdicts.row(record("a", 0.9001)), verdicts.row(record("b", 0.9000))]
    (advice,) = verdicts.advise(rows)
    assert verdicts.words(advice) == (
        "a trains best: 90.01 % (1 seed). Lower, but not tested with one seed: b 90.00 %."
    )


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
    stuck = record("lsuv", 0.1, loss=[[None]], diverged_in=[1], not_started=["a reason"])
    assert verdicts.words(verdicts.advise([verdicts.row(stuck)])[0]) == "None trains: every seed failed to start."
