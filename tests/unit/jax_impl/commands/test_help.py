"""The help: every option is described once, in a group, with its default; the examples are commands that parse."""

import dataclasses
import re
from importlib.metadata import version
from typing import get_args, get_type_hints

import pytest

from jax_impl.commands.options import parser, recipes
from jax_impl.commands.options.arguments import Parser
from jax_impl.commands.options.parser import COMMANDS, EXAMPLES, parse
from jax_impl.commands.options.shared import Option
from jax_impl.recipes import DEFAULT, RECIPES
from tests.unit.jax_impl.commands.conftest import Call

GROUPS = {
    "train": [
        "network", "training", "initial weights and random numbers", "files", "stopping and resuming",
        "several devices and processes", "other",
    ],
    "evaluate": ["network", "files", "other"],
    "study": [
        "grid", "training", "limits", "files", "stopping and resuming", "several devices and processes", "other",
    ],
    "explore": ["grid", "files", "stopping and resuming", "other"],
    "rbm": ["machine", "training", "files", "stopping and resuming", "other"],
    "dbn": ["machine", "training", "files", "stopping and resuming", "other"],
    "data": ["files", "other"],
    "recipes": ["other"],
    "prove": ["files", "judging", "other"],
}  # fmt: skip


def described(command: str) -> dict[str, Option]:
    """The options of a command, by field."""
    hints = get_type_hints(COMMANDS[command], include_extras=True)
    return {field.name: get_args(hints[field.name])[1] for field in dataclasses.fields(COMMANDS[command])}


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        parse([*command.split(), "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_fits_the_terminal(
    command: str, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert max(map(len, help_of(command, capsys).splitlines())) <= int(columns)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_are_in_groups_and_the_last_one_is_the_rest(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    headings = re.findall(r"^(\w[^:\n]*):$", help_of(command, capsys), re.MULTILINE)
    assert headings == [*GROUPS[command], "examples"]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_one_sentence_with_its_default(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(help_of(command, capsys).split())
    assert "default: None" not in text
    for field, option in described(command).items():
        sentence = option.text.removesuffix(".")
        assert re.fullmatch(r"[A-Z$].*[^.]", sentence), field
        assert not re.search(r"\. [A-Z]", sentence), field
        assert text.count(sentence) >= 1, field
        if field not in {"params", "theirs", "ours"} and (command, field) != ("evaluate", "recipe"):
            assert f"{sentence} (default: " in text, field


def test_the_defaults_of_the_recipe_are_those_of_every_recipe() -> None:
    for field, option in described("train").items():
        values = {getattr(recipe, field, None) for recipe in RECIPES.values()}
        if option.default and option.default.startswith("the recipe's"):
            expected = f", {next(iter(values))}" if len(values) == 1 else "; see `recipes`"
            assert option.default == f"the recipe's{expected}"
    assert described("train")["epochs"].default == "the recipe's, 15"


def test_every_command_has_examples_that_parse() -> None:
    assert EXAMPLES.keys() == COMMANDS.keys()
    for command, examples in EXAMPLES.items():
        assert any(example.split()[0] == command for example in examples)
        for example in examples:
            parse(example.split())


def test_a_group_that_only_flags_use_is_shown() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Options:
        """Do something."""

        debug: parser.shared.Debug = False

    assert "other:" in Parser("x", Options, ()).format_help()


def test_the_versions_are_those_of_the_installed_packages(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parser, "VERSIONS", (*parser.VERSIONS, "no-such-package"))
    with pytest.raises(SystemExit) as stop:
        call("--version")
    assert stop.value.code == 0
    installed = [f"{name} {version(name)}" for name in ("mnist-initialization-port", "jax", "jaxlib", "flax", "optax")]
    assert capsys.readouterr().out.splitlines() == [*installed, "no-such-package is not installed"]


def test_recipes_prints_each_recipe_with_all_its_settings(call: Call) -> None:
    code, lines, err = call("recipes")
    assert (code, err) == (0, "")
    header, *rows = (re.split(r" {2,}", line) for line in lines[: 1 + len(RECIPES)])
    common = lines[-2].removeprefix("all of them: ")
    assert lines[-1] == f"the default: {DEFAULT}"
    for row, recipe in zip(rows, RECIPES.values(), strict=True):
        shown = dict(zip(header, row, strict=True))
        for field, value in dataclasses.asdict(recipe).items():
            name, text = field.replace("_", " "), "-".join(map(str, value)) if field == "layers" else str(value)
            assert shown.get(name) == text or f"{name} {text}" in common.split(", ")


def test_a_setting_that_differs_is_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {**RECIPES, DEFAULT: RECIPES[DEFAULT].with_changes(epochs=3)}
    monkeypatch.setattr(recipes, "RECIPES", changed)
    assert [row["epochs"] for row in recipes.table()].count("3") == 1
    assert "epochs" not in recipes.common()
