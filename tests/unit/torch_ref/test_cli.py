import pytest

from torch_ref import cli
from torch_ref.errors import ArgumentError

HELP = "; see python -m torch_ref train --help"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--epochs 2.5", "--epochs must be a whole number, got '2.5'"),
        ("--learning-rate x", "--learning-rate must be a number, got 'x'"),
        ("--epochs", "--epochs: expected one argument"),
        ("--epoch 2", "unknown argument --epoch (did you mean --epochs?)"),
        ("--resume", "unknown argument --resume"),
        ("mnist_nn mnist_nn", "unknown argument mnist_nn"),
    ],
)
def test_a_wrong_option_of_train_is_named(words: str, message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        cli.parse(["train", *words.split()])
    assert str(error.value) == message + HELP


def test_options_are_not_abbreviated() -> None:
    """An abbreviation would change its meaning when a similar option is added."""
    with pytest.raises(ArgumentError, match=r"unknown argument --learning \(did you mean --learning-rate\?\)"):
        cli.parse(["train", "--learning", "0.1"])


def test_without_options_the_recipe_is_the_notebooks() -> None:
    parsed = vars(cli.parse(["train"]))
    assert parsed.pop("recipe") == "mnist_nn_xavier"
    assert (parsed.pop("command"), parsed.pop("loader"), parsed.pop("threads")) == ("train", "dataloader", 1)
    assert parsed.pop("debug") is parsed.pop("overwrite") is False
    assert set(parsed.values()) == {None}
