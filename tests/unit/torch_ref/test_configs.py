"""Run folders of torch_ref: their names, and what a new run may replace."""

import sys
from pathlib import Path

import pytest

import torch_ref.__main__
from torch_ref import configs, plot, recipes, runs
from torch_ref.errors import UserError

REMEDY = "add --overwrite to replace it, or name another --out"
XAVIER = recipes.named("mnist_nn_xavier")
CHANGES = {
    "init": "zeros", "bias_init": "zeros", "init_passes": 2, "activation": "tanh", "optimizer": "sgd",
    "learning_rate": 0.5, "batch_size": 50, "dtype": "float64", "seed": 1, "layers": (784, 10),
}  # fmt: skip


def written(out: Path, recipe: recipes.Recipe = XAVIER) -> Path:
    """A finished run without an epoch."""
    runs.write(out, recipe, [], {}, loader="tensor")
    return out


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_setting_but_the_epochs_changes_the_folder_and_the_title() -> None:
    assert recipes.run_folder(XAVIER).as_posix() == "runs/torch_ref-mnist_nn_xavier-777"
    assert recipes.run_folder(XAVIER.with_changes(epochs=1)) == recipes.run_folder(XAVIER)
    assert recipes.title(XAVIER.with_changes(epochs=1)) == "mnist_nn_xavier, seed 777, epochs 1"
    changed = [XAVIER.with_changes(**{name: value}) for name, value in CHANGES.items()]
    assert len({recipes.run_folder(recipe) for recipe in (XAVIER, *changed)}) == 1 + len(changed)
    assert len({recipes.title(recipe) for recipe in (XAVIER, *changed)}) == 1 + len(changed)
    name = recipes.run_folder(XAVIER.with_changes(init="zeros", learning_rate=0.5)).name
    assert name == "torch_ref-mnist_nn_xavier-777-init=zeros-learning_rate=0.5"


def test_a_long_name_is_cut_and_stays_different() -> None:
    names = [recipes.run_folder(XAVIER.with_changes(layers=(784, *[512 + more] * 60, 10))).name for more in (0, 1)]
    assert [len(name) for name in names] == [recipes.LONGEST] * 2
    assert names[0] != names[1]
    assert recipes.LONGEST < 200


def test_the_title_of_the_curve_says_what_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(plot, "curve", lambda _, title: titles.append(title) or b"")
    record = runs.train.EpochRecord(epoch=1, cost=1.0, test_accuracy=0.5, seconds=1.0)
    runs.write(tmp_path, XAVIER.with_changes(init="zeros"), [record], {}, loader="tensor")
    assert titles == ["mnist_nn_xavier, seed 777, init zeros, PyTorch"]


@pytest.mark.parametrize("name", [*CHANGES, "epochs"])
def test_another_experiment_is_not_replaced(name: str, tmp_path: Path) -> None:
    written(tmp_path)
    configs.check_replaceable(tmp_path, XAVIER, runs.FILES)  # the same one
    other = XAVIER.with_changes(**{name: CHANGES.get(name, 1)})
    with pytest.raises(UserError) as error:
        configs.check_replaceable(tmp_path, other, runs.FILES)
    assert str(error.value).startswith(f"{tmp_path} holds another experiment, its {name} is ")
    assert str(error.value).endswith(f": {REMEDY}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"config.json is damaged \(.*\); add --overwrite"),
        ("[" * 100_000, r"config.json is damaged \(.*\); add --overwrite"),
        ("[]", "is not the config.json of a run: it must hold an object; add"),
        ("{}", f"holds a config.json that is not that of a run: {REMEDY}"),
        ('{"package": "jax_impl", "recipe": {}}', f"holds another experiment, a run of jax_impl: {REMEDY}"),
        ('{"package": "jax_impl", "hidden": [3]}', f"holds another experiment, a run of jax_impl: {REMEDY}"),
        ('{"package": "torch_ref", "recipe": 3}', f"holds another experiment, its recipe is damaged: {REMEDY}"),
    ],
    ids=lambda value: value[:20],
)
def test_files_of_others_are_not_replaced(content: str, message: str, tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        configs.check_replaceable(tmp_path, XAVIER, runs.FILES)
    assert "\n" not in str(error.value)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds metrics.jsonl, params.safetensors and no config.json"):
        configs.check_replaceable(tmp_path, XAVIER, runs.FILES)


def test_an_empty_folder_and_a_run_without_results_may_be_replaced(tmp_path: Path) -> None:
    configs.check_replaceable(tmp_path / "new", XAVIER, runs.FILES)
    (tmp_path / "notes.txt").touch()
    configs.check_replaceable(tmp_path, XAVIER, runs.FILES)
    (written(tmp_path) / "metrics.jsonl").unlink()
    (tmp_path / "params.safetensors").unlink()
    configs.check_replaceable(tmp_path, XAVIER.with_changes(init="zeros"), runs.FILES)


def test_train_refuses_before_it_trains_and_overwrites_when_asked(
    tmp_path: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    out = written(tmp_path / "runs" / "torch_ref-mnist_nn_xavier-777")
    before = everything(out)

    def train(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["torch_ref", "train", "--data-dir", str(mnist_dir), *words])
        code = torch_ref.__main__.main()
        return code, *capsys.readouterr()

    code, text, err = train("--epochs", "0")
    assert (code, text, err) == (
        1,
        "",
        f"error: {out.relative_to(tmp_path)} holds another experiment, its epochs is 15, not 0: {REMEDY}\n",
    )
    assert everything(out) == before
    assert train("--epochs", "0", "--overwrite")[0] == train("--epochs", "0")[0] == 0
    assert train("--epochs", "0", "--init", "zeros")[0] == 0
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, f"{out.name}-init=zeros"]


def test_old_results_are_never_beside_the_new_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill at any rename or deletion leaves files of one run only."""
    for name in runs.FILES:
        (tmp_path / name).write_bytes(b"old")
    seen: list[set[bool]] = []
    for name in ("replace", "unlink"):

        def noted(*arguments: object, real: object = getattr(Path, name), **keywords: object) -> object:
            seen.append({content == b"old" for file, content in everything(tmp_path).items() if file in runs.FILES})
            return real(*arguments, **keywords)  # type: ignore[operator]

        monkeypatch.setattr(Path, name, noted)
    written(tmp_path)
    assert len(seen) >= 6
    assert [one for one in seen if len(one) > 1] == []
    assert b"old" not in everything(tmp_path).values()
