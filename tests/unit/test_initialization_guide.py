"""The guide to initialisation: its tables and numbers are those of docs/study/numbers.json; its commands are valid."""

import re
import shlex
from pathlib import Path

import pytest

from jax_impl import recipes
from jax_impl.commands.options import study as options
from jax_impl.commands.options.parser import Study, Train, parse
from jax_impl.study import grid as study
from jax_impl.study import presets
from tests.guide.tables import EXPECTED, GRIDS, NUMBERS, between, cell, last, measured, parts

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "weight-initialization.md").read_text(encoding="utf-8")
HEADINGS = ("Why good initialization?", "Not all 0's", "RBM and DBN", "Xavier / He", "Code: mnist_nn_xavier")
PAGES = ("study", "activations", "pretraining")


def cells(text: str) -> list[list[str]]:
    """Return the cells of every row of every table."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def tables(text: str) -> list[list[list[str]]]:
    """Return the rows of each table, without its head."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [cells(table)[2:] for table in found]


def test_the_headings_are_the_notebook_s() -> None:
    found = re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)
    assert found[:6] == [*HEADINGS, "Code: mnist_nn_deep"]


@pytest.mark.parametrize("place", range(len(EXPECTED)), ids=EXPECTED)
def test_the_tables_of_the_guide_are_made_of_the_numbers(place: int) -> None:
    found = tables(GUIDE)
    assert len(found) == len(EXPECTED)
    expected, words = list(EXPECTED.values())[place]
    assert [row[words:] for row in found[place]] == list(expected())


def test_the_first_table_has_every_initialiser() -> None:
    assert [row[0].split("`")[1] for row in tables(GUIDE)[0]] == list(study.AXES["inits"])


@pytest.mark.parametrize("name", GRIDS)
def test_the_study_s_pages_are_made_of_the_numbers(name: str) -> None:
    text = (DOCS / "study" / f"{name}.md").read_text(encoding="utf-8")
    assert tables(text)[0] == [list(cell.values())[:10] for cell in GRIDS[name]]
    advice = [line.replace("**", "") for line in re.findall(r"^- (\*\*\d.*)$", text, re.MULTILINE)]
    assert advice == NUMBERS["grids"][name]["advice"]


def test_the_checks_of_the_study_s_pages_are_those_of_the_numbers() -> None:
    shown = {}
    for name in PAGES:
        text = (DOCS / "study" / f"{name}.md").read_text(encoding="utf-8")
        for section in text.split("\n## ")[1:]:
            if found := re.match(r".* \(`([\w-]+)`\)\n", section):
                shown[found[1]] = [row[:4] for row in tables(section)[0]]
    said = {True: "pass", False: "**FAIL**"}
    assert shown == {
        name: [[one["check"], one["measured"], one["band"], said[one["passed"]]] for one in preset["checks"]]
        for name, preset in NUMBERS["presets"].items()
    }


def test_the_sentences_of_the_guide_have_the_numbers() -> None:
    text = " ".join(GUIDE.split())
    dbn, xavier = (parts("pretraining")[init]["test_accuracy"] for init in ("dbn", "xavier_uniform"))
    gains = [
        [100 * (a[place] - b[place]) for a, b in zip(dbn, xavier, strict=True)] for place in range(len(dbn[0]))
    ]  # by number of labels
    deep = {
        init: between(last(parts("pretraining")[f"deep {init}"]["test_accuracy"]), 1, 100, " %")
        for init in ("dbn", "xavier_uniform", "small_normal")
    }
    cd1, persistent = (NUMBERS["machines"][name] for name in ("rbm-cd1", "rbm-persistent"))
    lsuv = [
        value
        for init in ("tanh", "relu", "selu")
        for seed in parts("lsuv")[f"{init} lsuv"]["pre_variance"]
        for value in seed
    ]
    he, stalled = (parts("he-2015")[f"30 layers {init}"]["loss"] for init in ("kaiming_normal", "xavier_normal"))
    tanh = {
        init: cell("activations", depth=30, optimizer="adam", activation="tanh", init=init)["test accuracy"]
        for init in ("lsuv", "kaiming_normal", "xavier_normal")
    }
    of_zeros = measured("not-all-zero", "zeros: norm of the output bias's gradient before training")
    steps = [float(measured("orthogonal", one["check"])) for one in NUMBERS["presets"]["orthogonal"]["checks"]]
    expected = (
        f"its norm is {of_zeros} at the start",
        f"reaches {between(last(parts('not-all-zero')['constant']['test_accuracy']), 1, 100)} %",
        f"by {between(gains[0], 1)} points at 100 labels, {between(gains[1], 2)} at 1,000, {between(gains[2], 1)} at "
        f"10,000 and {between(gains[3], 2)} at 60,000",
        f"from N(0, 0.01²), {deep['small_normal']}, and at {deep['xavier_uniform']} from Xavier",
        f"From the DBN they reach {deep['dbn']}",
        f"a pseudo-log-likelihood of {persistent['epochs'][-1]['pseudo_log_likelihood']:.1f} nats",
        f"a log-likelihood of {persistent['log_likelihood']['test']:.1f} (lower bound "
        f"{persistent['log_likelihood']['test_low']:.1f})",
        f"(a reconstruction error of {cd1['epochs'][-1]['reconstruction_error']:.1f} instead of "
        f"{persistent['epochs'][-1]['reconstruction_error']:.1f} nats), but model them far worse: "
        f"{cd1['log_likelihood']['test']:.1f}",
        "Xavier's activations have 2^"
        + measured("he-2015", "30 layers: log2 of the scale of activations, Xavier relative to He"),
        f"a loss of {between(last(he), 2)} after one epoch (He) and one of {between(last(stalled), 3)}",
        f"grows by a factor of {steps[0]:.1f}, and by more than {steps[1]:.1f} for Gaussian matrices",
        f"between {between(lsuv, 2).replace(' to ', ' and ')} in all 30 layers",
        "The initial weights alone gain "
        + measured("only-the-weights-changed", "gain in test accuracy after 15 epochs, percentage points"),
        f"LSUV {tanh['lsuv']}, He {tanh['kaiming_normal']}, Xavier {tanh['xavier_normal']}",
        " against ".join(
            cell("study", depth=2, optimizer="sgd", init=init)["test accuracy"].split()[0]
            for init in ("xavier_normal", "kaiming_normal")
        )
        + " % after three epochs of SGD",
    )
    assert [sentence for sentence in expected if sentence not in text] == []


def test_every_command_is_valid_and_every_preset_is_shown() -> None:
    study_arguments = re.findall(r"make study(?: ARGS=\"([^\"]*)\")?", GUIDE)
    commands = [f"study {arguments}" for arguments in study_arguments]
    commands += re.findall(r"python -m jax_impl ((?:study|train)[^`\n#]*)", GUIDE)
    assert len(commands) > 8
    named = set()
    for command in commands:
        match parse(shlex.split(command)):
            case Study() as parsed:
                if parsed.preset != "all":
                    named |= {preset.name for preset in presets.named(options.presets(parsed))}
                study.Grid(**options.axes(parsed)).cells()
            case Train() as parsed:
                recipes.named(parsed.recipe)
    assert named == set(presets.PRESETS)
