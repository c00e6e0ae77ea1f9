"""The guide to initialisation: its tables are the study's, its pictures are there, its commands are commands."""

import re
import shlex
from pathlib import Path

import pytest

from jax_impl import recipes
from jax_impl.commands import cli
from jax_impl.study import grid as study
from jax_impl.study.presets import registry

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "weight-initialization.md").read_text(encoding="utf-8")
MEASURED = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "study").glob("*.md"))
HEADINGS = ("Why good initialization?", "Not all 0's", "RBM and DBN", "Xavier / He", "Code: mnist_nn_xavier")


def cells(text: str) -> list[list[str]]:
    """The rows of every table, cell by cell."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_the_headings_are_the_notebook_s() -> None:
    found = re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)
    assert found[:6] == [*HEADINGS, "Code: mnist_nn_deep"]


def test_accuracies_in_tables_are_those_that_the_study_printed() -> None:
    quoted = {part for row in cells(GUIDE) for cell in row for part in re.findall(r"\d+\.\d+ ± \d+\.\d+ %", cell)}
    assert len(quoted) > 15
    assert [one for one in quoted if one not in MEASURED] == []


def test_the_first_table_is_the_study_s_grid() -> None:
    first, _, _ = GUIDE.partition("## Not all 0's")
    grid = (DOCS / "study" / "study.md").read_text(encoding="utf-8")
    measured = {(row[0], row[1]): row for row in cells(grid) if row[2:4] == ["relu", "sgd"]}
    rows = {row[0].split("`")[1]: row[2:] for row in cells(first) if row[0].startswith("`")}
    assert list(rows) == list(study.AXES["inits"])
    for init, places in rows.items():
        for depth, place in zip(study.AXES["depths"], places, strict=True):
            _, _, _, _, verdict, accuracy, _, _, diverged, _ = measured[init, str(depth)]
            assert place == f"{verdict}, {'every seed diverged' if diverged == '3 of 3' else accuracy}"


def test_the_recommendations_are_those_that_the_study_printed() -> None:
    """Each place of the last table: the best, its accuracy, and in brackets those not told apart from it."""
    printed = (DOCS / "study" / "activations.md").read_text(encoding="utf-8")
    _, _, last = GUIDE.partition("## Which one to take")
    rows = cells(last)[2:]
    assert len(rows) == 6
    for row in rows:
        activation, optimizer = row[0].lower().split(", ")
        for depth, place in zip(study.AXES["depths"], row[1:], strict=True):
            head = rf"^- \*\*{depth} hidden layers, {activation}, {optimizer}\*\*: "
            (line,) = re.findall(rf"{head}(.*)\.$", printed, re.MULTILINE)
            if place.startswith("none trains"):
                assert line.startswith("None of 5 trains; ")
                continue
            best, accuracy, alike = re.match(r"`(\w+)` (\S+ ± \S+ %)(.*)", place).groups()  # type: ignore[union-attr]
            assert line.startswith(f"{best}: {accuracy} over 3 seeds")
            _, _, found = line.partition("not told apart from it: ")
            assert re.findall(r"`(\w+)`", alike) == re.findall(r"([a-z_]+) \d", found.partition(";")[0])


@pytest.mark.parametrize(
    "text", [GUIDE, (DOCS.parent / "README.md").read_text(encoding="utf-8")], ids=["guide", "readme"]
)
def test_every_link_and_picture_is_there(text: str) -> None:
    root = DOCS if text is GUIDE else DOCS.parent
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert len(links) > 3
    assert [link for link in links if not (root / link).exists()] == []


def test_every_command_is_one() -> None:
    study_arguments = re.findall(r"make study(?: ARGS=\"([^\"]*)\")?", GUIDE)
    commands = [f"study {arguments}" for arguments in study_arguments]
    commands += re.findall(
        r"python -m jax_impl ((?:study|train)[^`\n#]*)", GUIDE.replace("jax_impl train\n", "jax_impl train ")
    )
    assert len(commands) > 8
    named = set()
    for command in commands:
        match cli.parse(shlex.split(command)):
            case cli.Study() as parsed:
                named |= (
                    {preset.name for preset in registry.named(parsed.presets())} if parsed.preset != "all" else set()
                )
                study.Grid(**parsed.axes()).cells()
            case cli.Train() as parsed:
                recipes.named(parsed.recipe)
    assert named == set(registry.PRESETS)
