"""Default run folders and titles: different experiments have different names, which every system accepts."""

import re
from itertools import pairwise

import pytest

from jax_impl import recipes
from jax_impl.commands.options import naming, rbm
from jax_impl.commands.options.parser import parse
from jax_impl.commands.options.train import Train, recipe_of

CHANGES: dict[str, object] = {
    "init": "kaiming_uniform",
    "bias_init": "zeros",
    "init_passes": 2,
    "activation": "leaky_relu",
    "optimizer": "sgd",
    "learning_rate": 1.2345678901234567e-05,
    "batch_size": 50,
    "dtype": "float64",
    "layers": (784, 30, 10),
}
XAVIER = recipes.named("mnist_nn_xavier")


def test_a_recipe_s_own_settings_are_not_in_the_name() -> None:
    for name, recipe in recipes.RECIPES.items():
        assert naming.run_folder(recipe.with_changes(seed=5)).as_posix() == f"runs/jax_impl-{name}-5"
        assert naming.title(recipe) == f"{name}, seed 777"


def test_every_setting_changes_the_name_and_the_title() -> None:
    changed = [XAVIER.with_changes(**{name: value}) for name, value in CHANGES.items()]
    folders = [*map(naming.run_folder, (XAVIER, XAVIER.with_changes(seed=1), *changed))]
    folders += [naming.run_folder(XAVIER, stream="jax"), naming.run_folder(XAVIER, dbn="0123abcd")]
    assert len(set(folders)) == len(folders)
    assert len({naming.title(recipe) for recipe in (XAVIER, *changed)}) == 1 + len(changed)


def test_names_are_short_and_in_words() -> None:
    words = "train --init kaiming_uniform --optimizer sgd --learning-rate 0.5 --epochs 1 --activation relu"
    command = parse(words.split())
    assert isinstance(command, Train)
    recipe = recipe_of(command)
    settings = "init=kaiming_uniform-optimizer=sgd-learning_rate=0.5"
    assert naming.run_folder(recipe).as_posix() == f"runs/jax_impl-mnist_nn_xavier-777-{settings}"
    shown = "init kaiming_uniform, optimizer sgd, learning rate 0.5, epochs 1, stream jax"
    assert naming.title(recipe, stream="jax") == f"mnist_nn_xavier, seed 777, {shown}"
    assert naming.run_folder(XAVIER.with_changes(layers=(784, 30, 10))).name.endswith("-layers=784-30-10")


def test_more_epochs_are_in_the_same_folder() -> None:
    assert naming.run_folder(XAVIER.with_changes(epochs=99)) == naming.run_folder(XAVIER)


def test_long_names_are_cut_and_stay_different() -> None:
    """As file names on Windows, too: neither a forbidden character, nor a dot or a space at the end."""
    rates = (1.25e-05, 1.5e-05)
    long = [
        XAVIER.with_changes(
            **CHANGES | {"learning_rate": rate, "bias_init": "linear_default", "layers": (784, *[512] * 40, 10)}
        )
        for rate in rates
    ]
    names = [naming.run_folder(recipe, stream="jax", dbn="0123abcd").name for recipe in (XAVIER, *long)]
    assert len(set(names)) == 3
    assert [len(name) for name in names[1:]] == [naming.LONGEST] * 2
    assert naming.LONGEST < 200
    for name in names:
        assert re.fullmatch(r"[\w=.+-]+[\w-]", name)


@pytest.mark.parametrize(
    ("words", "folder", "title"),
    [
        ("rbm", "rbm", "RBM, 500 hidden units, seed 777"),
        ("rbm --hidden 500 --k 1", "rbm", "RBM, 500 hidden units, seed 777"),
        ("rbm --hidden 16 --epochs 3", "rbm-hidden=16-epochs=3", "RBM, 16 hidden units, seed 777, epochs 3"),
        ("rbm --persistent --seed 3", "rbm-persistent=True-seed=3", "RBM, 500 hidden units, seed 3, persistent True"),
        ("dbn", "dbn", "DBN, 500-500 hidden units, seed 777"),
        ("dbn --hidden 500,500, --epochs 5", "dbn", "DBN, 500-500 hidden units, seed 777"),
        ("dbn --hidden 6,5 --k 2", "dbn-hidden=6-5-k=2", "DBN, 6-5 hidden units, seed 777, k 2"),
    ],
)
def test_machines_are_called_by_the_settings_that_are_not_defaults(words: str, folder: str, title: str) -> None:
    command = parse(words.split())
    assert isinstance(command, rbm.TrainRbm | rbm.TrainDbn)
    assert rbm.run_folder(command).as_posix() == f"runs/{folder}"
    assert rbm.title(command) == title
    assert rbm.run_folder(parse([*words.split(), "--out", "x"])).as_posix() == "x"  # type: ignore[arg-type]


def test_every_setting_of_a_machine_is_in_its_name() -> None:
    options = ["--k 2", "--persistent", "--epochs 9", "--batch-size 7", "--learning-rate 0.2", "--momentum 0.5"]
    options += ["--weight-decay 0.1", "--sparsity-cost 0.1", "--sparsity-target 0.2", "--seed 3", "--hidden 4"]
    assert len(options) == len(rbm.NAMES)
    folders = sorted(
        rbm.run_folder(parse(["rbm", *option.split()])).name  # type: ignore[arg-type]
        for option in ("", *options)
    )
    assert all(one != other for one, other in pairwise(folders))
