"""The guide to initialisation: its tables are those of the study, and its commands cover every preset."""

import re
import shlex
from pathlib import Path

from jax_impl import recipes
from jax_impl.commands.options import study as options
from jax_impl.commands.options.parser import Study, Train, parse
from jax_impl.study import grid as study
from jax_impl.study import presets

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "weight-initialization.md").read_text(encoding="utf-8")
MEASURED = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "study").glob("*.md"))
HEADINGS = ("Why good initialization?", "Not all 0's", "RBM and DBN", "Xavier / He", "Code: mnist_nn_xavier")


def cells(text: str) -> list[list[str]]:
    """Return the cells of every row of every table."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_the_headings_are_the_notebook_s() -> None:
    found = re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)
    assert found[:6] == [*HEADINGS, "Code: mnist_nn_deep"]


def test_accuracies_in_tables_are_those_of_the_study() -> None:
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
            assert place == (verdict if diverged == "3 of 3" else f"{verdict}, {accuracy}")


def test_the_recommendations_are_those_of_the_study() -> None:
    """Each cell of the last table: the best, its accuracy, and in brackets those not significantly different."""
    printed = (DOCS / "study" / "activations.md").read_text(encoding="utf-8")
    _, _, last = GUIDE.partition("## Which one to take")
    rows = cells(last)[2:]
    assert len(rows) == 6
    for row in rows:
        activation, optimizer = row[0].lower().split(", ")
        for depth, place in zip(study.AXES["depths"], row[1:], strict=True):
            head = rf"^- \*\*{depth} hidden layers, {activation}, {optimizer}\*\*: "
            (line,) = re.findall(rf"{head}(.*)\.$", printed, re.MULTILINE)
            if place.startswith("none "):
                assert line.startswith("None trains. " if place == "none trains" else "None reaches 70 %. ")
                continue
            best, accuracy, alike = re.match(r"`(\w+)` (\S+ ± \S+ %)(.*)", place).groups()  # type: ignore[union-attr]
            assert line.startswith(f"{best} trains best: {accuracy} (3 seeds)")
            _, _, found = line.partition("Not significantly different: ")
            assert re.findall(r"`(\w+)`", alike) == re.findall(r"([a-z_]+) \d", found.partition(" %. ")[0])


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
