"""The options of every command: in the help, named when they are wrong, and with the defaults of what they set."""

import dataclasses
from pathlib import Path

import pytest

from jax_impl.commands.options import explore, parser, rbm, shared, study, train
from jax_impl.commands.options.parser import COMMANDS, parse
from jax_impl.commands.options.study import Study
from jax_impl.commands.options.train import Train
from jax_impl.errors import ArgumentError
from jax_impl.explore import settings
from jax_impl.rbm.settings import PRETRAINING, Settings
from jax_impl.recipes import RECIPES, Recipe
from jax_impl.study import budget, grid
from jax_impl.study.presets import PRESETS

BAD = ("nan", "-inf", "-1", "-1e5", "0")  # numbers that no rate and no limit can be


def printed_help(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        parse([*words, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_help(capsys=capsys)
    assert [name for name in COMMANDS if f"\n  {name} " not in text] == []
    assert "--version" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_names_every_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = COMMANDS[name]
    assert isinstance(options, type)
    fields = {field.name for field in dataclasses.fields(options)}
    wanted = [f"--{field.replace('_', '-')}" for field in fields - {"recipe", "theirs", "ours"}]
    wanted += ["THEIRS", "OURS"] if "theirs" in fields else []
    wanted += ["RECIPE", *RECIPES] if "recipe" in fields else []
    wanted += [*study.PRESETS] if name == "study" else []
    text = printed_help(name, capsys=capsys)
    assert [word for word in wanted if word not in text] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --epochs 2.5", "--epochs must be a whole number, got '2.5'; see python -m jax_impl train --help"),
        ("rbm --k x", "--k must be a whole number, got 'x'; see python -m jax_impl rbm --help"),
        ("dbn --momentum x", "--momentum must be a number, got 'x'; see python -m jax_impl dbn --help"),
        ("study --max-hours x", "--max-hours must be a number, got 'x'; see python -m jax_impl study --help"),
        ("train --epochs", "--epochs needs a value, got none; see python -m jax_impl train --help"),
        ("train --epochs --resume", "--epochs needs a value, got none; see"),
        ("train --epochs=", "--epochs must be a whole number, got ''; see"),
        ("train --out=", "--out needs a value, got ''; see python -m jax_impl train --help"),
        ("study --out=", "--out needs a value, got ''; see python -m jax_impl study --help"),
        ("data --mirror=", "--mirror needs a value, got ''; see python -m jax_impl data --help"),
        ("train --out ~nobody-x/y", "--out must be a path, got '~nobody-x/y': ~ stands for no folder here; see"),
        ("train --dtype float16", "--dtype must be float32 or float64, got 'float16'; see python -m jax_impl train"),
        ("train --stream Torch", "--stream must be torch or jax, got 'Torch'; see python -m jax_impl train --help"),
        ("train --epoch 2", "unknown option --epoch (did you mean --epochs?); see python -m jax_impl train --help"),
        ("rbm --batch 2", "unknown option --batch (did you mean --batch-size?); see python -m jax_impl rbm --help"),
        ("train -e 2", "unknown option -e; see python -m jax_impl train --help"),
        ("evaluate x --parms y", "unknown option --parms (did you mean --params?); see python -m jax_impl evaluate"),
        ("train --no-resume", "unknown option --no-resume: --resume is off unless given, so leave it out; see"),
        ("train --resume=yes", "--resume takes no value, got 'yes'; see python -m jax_impl train --help"),
        ("train --seed 1 --seed 2", "--seed is given twice: give it once; see python -m jax_impl train --help"),
        ("train --resume --resume", "--resume is given twice: give it once; see"),
        ("train mnist_nn mnist_nn_he", "unexpected argument 'mnist_nn_he'; see python -m jax_impl train --help"),
        ("evaluate", "--params must be given; see python -m jax_impl evaluate --help"),
        ("evaluate mnist_nn", "--params must be given; see python -m jax_impl evaluate --help"),
        (
            "trian",
            "unknown command 'trian': did you mean 'train'? allowed are data, dbn, evaluate, explore, prove, rbm, "
            "recipes, study, train; see python -m jax_impl --help",
        ),
        (
            "",
            "a command must be given, one of train, evaluate, study, explore, rbm, dbn, data, recipes, prove; see ",
        ),
        ("--epochs 3 train", "a command must come first, one of train, evaluate, study, explore, rbm, dbn, data, r"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(words: str, message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        parse(words.split())
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_without_options_the_recipe_is_the_notebook_s() -> None:
    command = parse(["train"])
    assert isinstance(command, Train)
    recipe = train.recipe_of(command)
    assert recipe == RECIPES["mnist_nn_xavier"]
    assert command.stream == "torch"


def test_every_option_of_train_changes_its_field() -> None:
    changes = {
        "epochs": 3, "seed": 5, "init": "normal", "activation": "tanh", "optimizer": "sgd", "init_passes": 2,
        "batch_size": 50, "learning_rate": 0.5, "dtype": "float64",
    }  # fmt: skip
    words = [word for name, value in changes.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = parse(["train", "mnist_nn_deep", *words])
    assert isinstance(command, Train)
    assert train.recipe_of(command) == dataclasses.replace(RECIPES["mnist_nn_deep"], **changes)  # type: ignore[arg-type]
    assert {field.name for field in dataclasses.fields(Recipe)} - set(changes) == {"name", "layers", "bias_init"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--init he_normal", "torch has no init 'he_normal' to replay: use --stream jax"),
        ("--init xavier", "unknown init 'xavier': did you mean 'xavier_normal' or 'xavier_uniform'?"),
        *((f"--learning-rate {x}", f"learning rate must be a number from 1e-30 to 1e+30, got {float(x)}") for x in BAD),
        ("--learning-rate inf", "learning rate must be a number from 1e-30 to 1e+30, got inf"),
        ("--out .", "--out must be a folder of its own, such as runs/x, got '.'"),
        ("--out ./", "--out must be a folder of its own, such as runs/x, got '.'"),
        ("--out ..", "--out must be a folder of its own, such as runs/x, got '..'"),
        ("--out /", "--out must be a folder of its own, such as runs/x, got '/'"),
        ("--dbn file", "--dbn needs --init dbn, got --init xavier_uniform"),
        ("--distributed", "train --distributed needs work to share: add --data-parallel, or drop --distributed"),
        ("--checkpoint-every 0", "--checkpoint-every must be an integer from 1 to 2147483647, got 0"),
    ],
)
def test_options_of_train_that_contradict_each_other_are_refused(words: str, message: str) -> None:
    command = parse(["train", *words.split()])
    assert isinstance(command, Train)
    with pytest.raises(ArgumentError) as error:
        train.recipe_of(command)
    assert str(error.value).startswith(message)


def test_the_defaults_of_rbm_and_dbn_are_those_of_their_settings() -> None:
    for words, sizes, epochs in (("rbm", (Settings.hidden,), Settings.epochs), ("dbn", (500, 500), PRETRAINING.epochs)):
        command = parse([words])
        assert isinstance(command, rbm.TrainRbm | rbm.TrainDbn)
        assert rbm.sizes(command) == sizes
        assert rbm.settings(command) == Settings(epochs=epochs)


def test_every_option_of_rbm_changes_its_setting() -> None:
    changes = {
        "k": 2, "epochs": 3, "batch_size": 50, "learning_rate": 0.2, "momentum": 0.5, "weight_decay": 0.001,
        "sparsity_cost": 0.1, "sparsity_target": 0.2, "seed": 5,
    }  # fmt: skip
    words = [word for name, value in changes.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = parse(["rbm", "--hidden", "7", "--persistent", *words])
    assert isinstance(command, rbm.TrainRbm)
    assert rbm.sizes(command) == (7,)
    assert rbm.settings(command) == Settings(persistent=True, **changes)  # type: ignore[arg-type]
    known = {field.name for field in dataclasses.fields(Settings)}
    assert known - set(changes) == {"hidden", "persistent", "dtype"}


def test_the_study_s_help_gives_the_grid_s_defaults() -> None:
    hints = {name: str(annotation) for name, annotation in Study.__annotations__.items()}
    for name, value in grid.AXES.items():
        comma = ", " if name == "inits" else ","  # a list too long for one line
        text = comma.join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert f"default='{text}'" in hints[name], name
    assert len(grid.AXES["inits"]) == 8
    assert {"adam": Recipe(name="base").learning_rate, "sgd": 0.01} == grid.LEARNING_RATES
    assert "default='0.001 for adam, 0.01 for sgd'" in hints["learning_rate"]
    assert f"default='{budget.HOURS:g}'" in hints["max_hours"]
    assert (Study().seeds, Study().first_seed) == (grid.Grid().seeds, grid.Grid().first_seed)
    assert tuple(PRESETS) == study.PRESETS


def test_the_explorer_s_options_are_its_settings() -> None:
    allowed = (explore.DEPTHS, explore.WIDTHS, explore.ACTIVATIONS)
    assert allowed == (settings.DEPTHS, settings.WIDTHS, settings.ACTIVATIONS)
    command = explore.Explore()
    assert [command.depths, command.widths, command.activations] == [",".join(map(str, one)) for one in allowed]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--depths 3", "depths must be of 2, 5, 10, 30, got 3"),
        ("--widths 32,x", "widths must be integers separated by commas, got 32,x"),
        ("--activations relu,gelu", "unknown activation 'gelu'"),
        ("--activations ,", "activations must be one or more of relu, tanh, sigmoid, got ','"),
        ("--out .", "--out must be a folder of its own"),
    ],
)
def test_the_explorer_s_options_are_checked(words: str, message: str) -> None:
    command = parse(["explore", *words.split()])
    assert isinstance(command, explore.Explore)
    with pytest.raises(ArgumentError, match=message):
        explore.check(command)


def test_options_are_not_abbreviated() -> None:
    """An abbreviation would change its meaning when a similar option is added."""
    with pytest.raises(ArgumentError, match=r"unknown option --learning \(did you mean --learning-rate\?\)"):
        parse(["train", "--learning", "0.1"])


def test_a_path_may_start_at_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/reader")
    command = parse(["train", "--out=~/x/", "--data-dir", "~"])
    assert isinstance(command, Train)
    assert (command.out, command.data_dir) == (Path("/home/reader/x"), Path("/home/reader"))


def test_a_folder_beside_or_below_the_current_one_may_take_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for out in (None, Path("runs/x"), Path("../x"), tmp_path / "here" / "x"):
        shared.check_out(out)
    for out in (tmp_path, tmp_path / "here", Path("x/..")):
        with pytest.raises(ArgumentError, match="--out must be a folder of its own"):
            shared.check_out(out)


def test_folders_are_paths() -> None:
    command = parse(["data", "--data-dir", "a/b"])
    assert isinstance(command, parser.Data)
    assert command.data_dir == Path("a/b")
