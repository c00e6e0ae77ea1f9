import dataclasses
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from torch_ref import cli, recipes
from torch_ref.errors import ArgumentError

HELP = "; see python -m torch_ref train --help"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--epochs 2.5", "--epochs must be a whole number, got '2.5'"),
        ("--learning-rate x", "--learning-rate must be a number, got 'x'"),
        ("--epochs", "--epochs needs a value, got none"),
        ("--epochs --debug", "--epochs needs a value, got none"),
        ("--epochs=", "--epochs must be a whole number, got ''"),
        ("--epoch 2", "unknown option --epoch (did you mean --epochs?)"),
        ("--batch 2", "unknown option --batch (did you mean --batch-size?)"),
        ("--resume", "unknown option --resume"),
        ("--debug=yes", "--debug takes no value, got 'yes'"),
        ("--seed 1 --seed 2", "--seed is given twice: give it once"),
        ("--dtype float16", "--dtype must be float32 or float64, got 'float16'"),
        ("--loader Tensor", "--loader must be dataloader or tensor, got 'Tensor'"),
        ("mnist_nn mnist_nn", "unexpected argument 'mnist_nn'"),
        ("--out=", "--out needs a value, got ''"),
        ("--out .", "--out must be a folder of its own, such as runs/x, got '.'"),
        ("--out ../", "--out must be a folder of its own, such as runs/x, got '../'"),
        ("--out /", "--out must be a folder of its own, such as runs/x, got '/'"),
        ("--out ~nobody-x/y", "--out must be a path, got '~nobody-x/y': ~ stands for no folder here"),
        ("--data-dir=", "--data-dir needs a value, got ''"),
    ],
)
def test_a_wrong_option_of_train_is_named(words: str, message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        cli.parse(["train", *words.split()])
    assert str(error.value) == message + HELP


def test_options_are_not_abbreviated() -> None:
    """An abbreviation would change its meaning when a similar option is added."""
    with pytest.raises(ArgumentError, match=r"unknown option --learning \(did you mean --learning-rate\?\)"):
        cli.parse(["train", "--learning", "0.1"])


def test_without_options_the_recipe_is_the_notebooks() -> None:
    parsed = vars(cli.parse(["train"]))
    assert parsed.pop("recipe") == "mnist_nn_xavier"
    assert (parsed.pop("command"), parsed.pop("loader"), parsed.pop("threads")) == ("train", "dataloader", 1)
    assert parsed.pop("debug") is parsed.pop("overwrite") is False
    assert set(parsed.values()) == {None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "a command must be given, one of train, evaluate, recipes; see python -m torch_ref --help"),
        (
            "--seed 1 train",
            "a command must come first, one of train, evaluate, recipes; see python -m torch_ref --help",
        ),
        ("trian", "unknown command 'trian': did you mean 'train'? allowed are evaluate, recipes, train; see"),
        ("evaluate", "--params must be given; see python -m torch_ref evaluate --help"),
        ("evaluate x --parms y", "unknown option --parms (did you mean --params?); see python -m torch_ref evaluate"),
        ("recipes x", "unexpected argument 'x'; see python -m torch_ref recipes --help"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(words: str, message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        cli.parse(words.split())
    assert str(error.value).startswith(message)


def test_a_negative_number_is_a_value() -> None:
    for word in ("-1", "-.5", "-1e5", "-inf"):
        assert cli.parse(["train", "--learning-rate", word]).learning_rate == float(word)


def test_a_path_may_start_at_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/reader")
    parsed = cli.parse(["train", "--out=~/x/", "--data-dir", "~"])
    assert (parsed.out, parsed.data_dir) == (Path("/home/reader/x"), Path("/home/reader"))


def printed(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.parse(words)
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_the_versions_are_those_of_the_installed_packages(capsys: pytest.CaptureFixture[str]) -> None:
    installed = [f"{name} {version(name)}" for name in ("mnist-initialization-port", "torch", "torchvision")]
    assert printed("--version", capsys=capsys).splitlines() == installed


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_the_help_has_defaults_and_examples_that_parse(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(*command, "--help", capsys=capsys)
    examples = re.findall(r"^  python -m torch_ref (.*)$", text.partition("examples:")[2], re.MULTILINE)
    assert examples
    for example in examples:
        cli.parse(example.split())
    if command == ["train"]:
        options = re.split(r"\n  (?=--)", text.partition("--help")[2].partition("examples:")[0])[1:]
        assert len(options) == 15
        assert [option for option in options if "(default:" not in " ".join(option.split())] == []
        assert "(default: the recipe's, 15)" in " ".join(text.split())


def test_the_table_has_every_setting_of_every_recipe() -> None:
    header, *rows = (re.split(r" {2,}", line) for line in list(recipes.table())[: 1 + len(recipes.RECIPES)])
    common = list(recipes.table())[-2].removeprefix("all of them: ").split(", ")
    for row, recipe in zip(rows, recipes.RECIPES.values(), strict=True):
        shown = dict(zip(header, row, strict=True))
        for field, value in dataclasses.asdict(recipe).items():
            name, text = field.replace("_", " "), "-".join(map(str, value)) if field == "layers" else str(value)
            assert shown.get(name) == text or f"{name} {text}" in common
