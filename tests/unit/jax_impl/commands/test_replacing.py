"""What a new run may replace: the same experiment, or anything with --overwrite. A refused command changes nothing."""

import json
import re
from pathlib import Path

import pytest

from jax_impl import recipes
from jax_impl.commands.train import RunFolder
from jax_impl.rbm import outputs
from jax_impl.rbm.likelihood import LogLikelihood
from jax_impl.storage import files
from tests.unit.jax_impl.commands.conftest import Call

REMEDY = "add --overwrite to replace it, or name another --out\n"
INITIAL = ("train", "--epochs", 0)  # writes parameters and compiles nothing


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "likelihood", lambda *_: LogLikelihood(-2.0, -2.0, -3.0, -1.0, 1.0))
    monkeypatch.setattr(outputs, "draw", lambda *_: None)


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(call: Call, folder: Path, *words: object) -> str:
    """The line with which a command is refused, which must leave everything as it is."""
    (folder / ".lock").write_text("of the process before", encoding="utf-8")
    before = everything(folder)
    code, lines, err = call(*words)
    assert (code, lines, err.count("\n")) == (1, [], 1), err
    assert everything(folder) == before
    return err.removeprefix("error: ")


def test_another_experiment_has_another_default_folder(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for more in ((), ("--init", "kaiming_uniform", "--optimizer", "sgd", "--learning-rate", 0.5), ("--stream", "jax")):
        assert call(*INITIAL, *more)[0] == 0
    assert call("rbm", "--epochs", 0, "--hidden", 4)[0] == call("rbm", "--epochs", 0, "--hidden", 5)[0] == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "jax_impl-mnist_nn_xavier-777",
        "jax_impl-mnist_nn_xavier-777-init=kaiming_uniform-optimizer=sgd-learning_rate=0.5",
        "jax_impl-mnist_nn_xavier-777-stream=jax",
        "rbm-hidden=4-epochs=0",
        "rbm-hidden=5-epochs=0",
    ]


def test_only_the_same_experiment_replaces_a_finished_run(call: Call, tmp_path: Path) -> None:
    out = ("--out", tmp_path)
    assert call(*INITIAL, *out)[0] == call(*INITIAL, *out)[0] == 0
    for more, words in {
        ("--init", "zeros"): 'its recipe.init is "xavier_uniform", not "zeros"',
        ("--activation", "tanh"): 'its recipe.activation is "relu", not "tanh"',
        ("--optimizer", "sgd"): 'its recipe.optimizer is "adam", not "sgd"',
        ("--learning-rate", 0.5): "its recipe.learning_rate is 0.001, not 0.5",
        ("--batch-size", 7): "its recipe.batch_size is 100, not 7",
        ("--init-passes", 2): "its recipe.init_passes is 1, not 2",
        ("--dtype", "float64"): 'its recipe.dtype is "float32", not "float64"',
        ("--seed", 1): "its recipe.seed is 777, not 1",
        ("--stream", "jax"): 'its stream is "torch", not "jax"',
        ("mnist_nn",): 'its recipe.name is "mnist_nn_xavier", not "mnist_nn"',
    }.items():
        line = refused(call, tmp_path, *INITIAL, *more, *out)
        assert line == f"{tmp_path} holds another experiment, {words}: {REMEDY}"
    line = refused(call, tmp_path, "rbm", *out)
    assert line == f"{tmp_path} holds another experiment, a run of train, not of rbm or dbn: {REMEDY}"
    assert call(*INITIAL, "--init", "zeros", *out, "--overwrite")[0] == 0
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["recipe"]["init"] == "zeros"


def test_machines_are_replaced_by_the_same_ones_only(call: Call, tmp_path: Path) -> None:
    def words(**changes: int) -> list[object]:
        options = {"hidden": 4, "epochs": 0} | changes
        return ["rbm", "--out", tmp_path, *(word for name, value in options.items() for word in (f"--{name}", value))]

    assert call(*words())[0] == call(*words())[0] == 0
    for changes, differs in {
        ("k", 2): "its settings.k is 1, not 2",
        ("hidden", 5): "its hidden is [4], not [5]",
        ("epochs", 1): "its settings.epochs is 0, not 1",  # --resume cannot: the learning rate falls over the epochs
    }.items():
        said = refused(call, tmp_path, *words(**dict([changes])))
        assert said.endswith(f" holds another experiment, {differs}: {REMEDY}")
    assert "a run of rbm or dbn, not of train" in refused(call, tmp_path, "train", "--out", tmp_path)
    assert call(*words(k=2), "--overwrite")[0] == 0


def test_other_epochs_are_refused_and_more_can_be_resumed(call: Call, tmp_path: Path) -> None:
    train = ("train", "--out", tmp_path, "--epochs")
    assert call(*train, 2)[0] == 0
    start = f"{tmp_path} holds another experiment, its recipe.epochs is 2, not"
    assert refused(call, tmp_path, *train, 1) == f"{start} 1: {REMEDY}"
    assert refused(call, tmp_path, *train, 3) == f"{start} 3: {REMEDY.replace('add', 'add --resume to continue it,')}"
    assert call(*train, 3, "--seed", 4, "--overwrite", "--max-seconds", "1e-9")[0] == 124
    unfinished = f"{tmp_path} holds an unfinished run, 1 of 3 epochs: add --resume to continue it, --overwrite"
    assert refused(call, tmp_path, *train, 3, "--seed", 4).startswith(unfinished)
    assert "its recipe.seed is 4, not 777" in refused(call, tmp_path, *train, 3)
    assert call(*train, 1, "--overwrite")[0] == 0


def test_resume_does_not_replace_another_experiment_either(call: Call, tmp_path: Path) -> None:
    """A run without checkpoints: torch_ref's, or one that diverged."""
    assert call(*INITIAL, "--init", "zeros", "--out", tmp_path)[0] == 0
    code, lines, err = call(*INITIAL, "--out", tmp_path, "--resume")
    assert (code, lines) == (1, [])
    assert err.splitlines() == [
        f"nothing to resume in {tmp_path}: starting",
        f'error: {tmp_path} holds another experiment, its recipe.init is "zeros", not "xavier_uniform": '
        + REMEDY.rstrip(),
    ]
    code, _, err = call(*INITIAL, "--out", tmp_path, "--resume", "--overwrite")
    assert code == 2
    assert err.startswith("error: --resume continues a run and --overwrite replaces it: drop one of them; see ")
    assert call("rbm", "--resume", "--overwrite")[0] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"config.json is damaged \(.*\); add --overwrite to replace the run, or name another --out"),
        (b"\xff\xfe", r"config.json is damaged \(.*\); add --overwrite to replace"),
        (b"[" * 100_000, r"config.json is damaged \(.*\); add --overwrite to replace"),
        (b"[1]", "config.json is not the config.json of a run: it must hold an object; add --overwrite"),
        (b'{"model_type": "bert"}', f"holds another experiment, its config.json is not that of a run: {REMEDY}"),
        (b'{"package": "jax_impl"}', f"holds another experiment, its config.json is not that of a run: {REMEDY}"),
        (
            json.dumps({"package": "torch_ref", "recipe": {}}).encode(),
            f'holds another experiment, its package is "torch_ref", not "jax_impl": {REMEDY}',
        ),
    ],
    ids=lambda value: str(value[:20]),
)
def test_files_of_others_are_not_replaced(content: bytes, message: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    (tmp_path / "params.safetensors").write_bytes(b"mine")
    assert re.search(message, refused(call, tmp_path, *INITIAL, "--out", tmp_path))
    (tmp_path / "config.json").unlink()
    line = refused(call, tmp_path, *INITIAL, "--out", tmp_path)
    assert f"{tmp_path} holds params.safetensors and no config.json, so their experiment is unknown: add" in line
    (tmp_path / "config.json").write_bytes(content)
    assert call(*INITIAL, "--out", tmp_path, "--overwrite")[0] == 0
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["package"] == "jax_impl"


def test_a_foreign_config_alone_is_kept_and_other_files_do_not_matter(call: Call, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert call(*INITIAL, "--out", tmp_path)[0] == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}", encoding="utf-8")
    assert "is not that of a run" in refused(call, other, *INITIAL, "--out", other)
    (other / "config.json").write_bytes((tmp_path / "config.json").read_bytes())  # a run that wrote no results
    assert call(*INITIAL, "--init", "zeros", "--out", other)[0] == 0


def test_old_results_are_never_beside_the_new_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill at any rename or deletion: the folder has the old settings until all old results are gone."""
    for name in ("config.json", "metrics.jsonl", "params.safetensors", "curve.png"):
        (tmp_path / name).write_bytes(b"old")
    seen: list[dict[str, bytes]] = []
    for name in ("replace", "unlink"):
        real = getattr(Path, name)

        def noted(*arguments: object, real: object = real, **keywords: object) -> object:
            seen.append(everything(tmp_path))
            return real(*arguments, **keywords)  # type: ignore[operator]

        monkeypatch.setattr(files.Path, name, noted)
    RunFolder(tmp_path, recipes.named("mnist_nn"), "torch", None).begin(replace=True)
    seen.append(everything(tmp_path))
    assert len(seen) >= 5
    for found in seen:
        if found["config.json"] != b"old":
            assert set(found) == {"config.json"}


def test_a_dbn_file_is_part_of_the_experiment(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        assert call("dbn", "--epochs", 0, "--seed", seed, "--out", str(seed))[0] == 0
        assert call("train", "mnist_dbn", "--epochs", 0, "--dbn", f"{seed}/params.safetensors")[0] == 0
    names = sorted(path.name for path in Path("runs").iterdir())
    assert len(names) == 2
    assert all(re.fullmatch(r"jax_impl-mnist_dbn-777-dbn=[0-9a-f]{8}", name) for name in names)
    out = Path("runs") / names[0]
    found = [
        call("train", "mnist_dbn", "--epochs", 0, "--dbn", f"{seed}/params.safetensors", "--out", out)
        for seed in (1, 2)
    ]
    assert sorted(code for code, _, _ in found) == [0, 1]
    assert any(f"{out} holds another experiment, its dbn is " in err for _, _, err in found)
