"""What every command shares: exit codes, one-line errors, and how soon wrong arguments are reported."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
import pytest

from jax_impl.commands import main
from jax_impl.commands.shared import terminal
from jax_impl.errors import ArgumentError, UserError
from tests.unit.jax_impl.commands.conftest import Call

SLOW = ("jax", "flax", "optax", "matplotlib", "scipy", "tensorflow_datasets", "torch")


def imported(arguments: Sequence[str], folder: Path) -> tuple[int, list[str]]:
    """The exit code of a command line, run in a process of its own, and which slow packages it imported."""
    program = f"""
import runpy, sys
sys.argv = ["jax_impl", *{list(arguments)!r}]
try:
    from jax_impl.commands.main import main
    code = main()
except SystemExit as stop:
    code = stop.code or 0
print()
print(code, *[name for name in {SLOW!r} if name in sys.modules])
"""
    command = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])}
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=environment)
    code, *names = result.stdout.splitlines()[-1].split()
    return int(code), names


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["study"], ["rbm"], ["dbn"], ["data"], ["recipes"]])
def test_help_does_not_import_jax(command: list[str], tmp_path: Path) -> None:
    assert imported([*command, "--help"], tmp_path) == (0, [])


@pytest.mark.parametrize("words", [["--version"], ["recipes"]])
def test_versions_and_recipes_are_printed_without_jax(words: list[str], tmp_path: Path) -> None:
    assert imported(words, tmp_path) == (0, [])


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "trian",
        "train --epochs 2.5",
        "train --epoch 2",
        "train --init xavier_unifrom",
        "train --init he_normal",  # which torch does not have to replay
        "train --activation rleu --stream jax",
        "train --learning-rate nan",
        "train --max-seconds nan",
        "train --out=",
        "train --out .",
        "rbm --out /",
        "rbm --sparsity-cost nan",
        "study --max-hours nan",
        "train --checkpoint-every 0",
        "train --max-seconds 0",
        "train --dbn file",
        "train --distributed",
        "train --data-parallel --processes 2",
        "evaluate mnist_nn",
        "evaluate mnist --params file",
        "rbm --hidden 0",
        "rbm --momentum 1",
        "dbn --hidden 8,0",
        "dbn --hidden ,",
        "study --depths 2,three",
        "study --inits ,",
        "study --inits xavier",
        "study --activations rleu",
        "study --optimizers adam,sdg",
        "study --recipes mnist",
        "study --preset he-2051",
        "study --checkpoint-every 0",
        "study --preset lsuv --depths 3",
        "study --process-id 1",
        "data --mirrors here",
    ],
)
def test_a_wrong_argument_is_reported_without_jax(arguments: str, tmp_path: Path) -> None:
    assert imported(arguments.split(), tmp_path) == (2, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("error", "code"), [(UserError("no"), 1), (ArgumentError("no"), 2)])
def test_an_error_is_one_line_and_its_exit_code(
    error: UserError, code: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(main, "run", fail)
    assert call("train") == (code, [], "error: no\n")
    with pytest.raises(type(error)):
        call("train", "--debug")


def failing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(main, "run", fail)


def test_a_bug_is_one_line_and_its_traceback_a_file(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    failing(KeyError("a bug\nof two lines"), monkeypatch)
    code, lines, err = call("train", "--epochs", 3)
    (path,) = tmp_path.iterdir()
    told = f"{path} says where: report it with the command as an issue"
    assert (code, lines, err) == (1, [], f"error: this is a bug, KeyError: 'a bug\\nof two lines'; {told}\n")
    text = path.read_text(encoding="utf-8")
    assert "'train', '--epochs', '3'" in text
    assert "Traceback" in text
    assert "in fail" in text
    with pytest.raises(KeyError):
        call("train", "--debug")
    assert list(tmp_path.iterdir()) == [path]


def test_a_bug_is_one_line_where_no_file_can_be_written(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    failing(ValueError("first\nsecond"), monkeypatch)
    line = "error: this is a bug, ValueError: first; add --debug to see where: report it with the command as an issue\n"
    assert call("train") == (1, [], line)


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (MemoryError(), "the memory does not suffice (MemoryError): use a smaller network or batch"),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nmore"),
            "the memory does not suffice (RuntimeError: RESOURCE_",
        ),
        (
            ModuleNotFoundError("x", name="optax"),
            "this command needs optax, which is not installed: run make train-jax",
        ),
        (
            RuntimeError("Unable to initialize backend 'x': y"),
            "JAX cannot use the device of JAX_PLATFORMS='cpu' (Runti",
        ),
    ],
)
def test_an_error_of_a_known_cause_is_no_bug(
    error: Exception, start: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(error, monkeypatch)
    code, lines, err = call("train")
    assert (code, lines, err.count("\n")) == (1, [], 1)
    assert err.startswith(f"error: {start}")


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
@pytest.mark.parametrize("command", ["train", "evaluate mnist_nn --params x", "study", "rbm", "dbn"])
def test_a_device_that_is_not_there_is_named_in_one_line(
    command: str, platform: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAX keeps the first devices that it found, so their discovery is replaced. The next test has a process."""

    def fail() -> None:
        raise AssertionError if platform == "cuda" else RuntimeError("Unable to initialize backend 'nonsense': x\ny")

    monkeypatch.setenv("JAX_PLATFORMS", platform)
    monkeypatch.setattr(jax, "devices", fail)
    code, lines, err = call(*command.split())
    assert (code, lines, err.count("\n")) == (1, [], 1)
    assert err.startswith(f"error: JAX cannot use the device of JAX_PLATFORMS='{platform}' (")
    assert err.endswith("): set it to cpu or drop it, or install JAX's build and the driver for this device\n")


def test_a_broken_plugin_of_jax_is_told_without_a_traceback(tmp_path: Path) -> None:
    plugin = tmp_path / "jax_plugins" / "broken"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text("def initialize():\n    raise RuntimeError('no driver')\n", encoding="utf-8")
    paths = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[4])))
    result = subprocess.run(
        [sys.executable, "-m", "jax_impl", "rbm"],
        env=os.environ | {"PYTHONPATH": paths, "JAX_PLATFORMS": "broken"},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    warning, error = result.stderr.splitlines()
    assert result.returncode == 1
    assert warning.endswith("jax_plugins.broken.initialize(): RuntimeError: no driver")
    assert error.startswith("error: JAX cannot use the device of JAX_PLATFORMS='broken' (RuntimeError: Unable to init")


@pytest.mark.parametrize(
    ("broken", "code"),
    [("ArgumentError('wrong')", 2), ("KeyboardInterrupt()", 130), ("ValueError('a bug')", 1)],
)
def test_a_failing_command_leaves_without_exit_handlers(broken: str, code: int, tmp_path: Path) -> None:
    """One of JAX's exit handlers would wait for the other processes of a cluster."""
    program = f"""
import atexit, runpy, sys
from jax_impl.commands import main
from jax_impl.errors import ArgumentError
def run(*_):
    raise {broken}
main.run = run
atexit.register(print, "an exit handler")
sys.argv = ["jax_impl", "data"]
runpy.run_module("jax_impl", run_name="__main__")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr


def test_a_line_that_cannot_be_written_ends_the_command_in_one_line(mnist_dir: Path) -> None:
    program = "from jax_impl.commands.main import main; import sys; sys.argv = ['', 'data']; sys.exit(main())"
    with Path("/dev/full").open("w") as full:
        environment = os.environ | {"MNIST_DATA_DIR": str(mnist_dir)}
        command = [sys.executable, "-c", program]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    line = "error: cannot write to standard output: No space left on device; redirect it to another place\n"
    assert (result.returncode, result.stderr) == (1, line)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_the_line_does_not_depend_on_how_the_terminal_draws(encoding: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "jax_impl", "train", "--epoch", "2"],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    text = "error: unknown option --epoch (did you mean --epochs?); see python -m jax_impl train --help\n"
    assert (result.returncode, result.stderr.decode()) == (2, text)


@pytest.mark.slow
def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path, mnist_dir: Path) -> None:
    words = "train --epochs 2 --batch-size 6000 --out out --data-dir"
    train = f"{sys.executable} -m jax_impl {words} {mnist_dir} | true"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])}
    result = subprocess.run(
        ["bash", "-c", train], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == ("", "")
    assert (tmp_path / "out" / "params.safetensors").exists()  # what was finished is kept


def test_a_progress_bar_shows_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.epochs_bar() as bar:
        bar.add_task("training", total=2, completed=1)
    assert capsys.readouterr() == ("", "")
