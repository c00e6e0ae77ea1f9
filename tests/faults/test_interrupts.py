"""Trainings that are killed and interrupted lose nothing: the quick form of `make faults`.

jax_impl resumes them. torch_ref keeps whole epochs, or the files of an earlier run.
"""

import json
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.faults import interrupts
from tests.faults.cases import World
from tests.faults.commands import after_the_first_epoch, command, ended, results, run, signalled, start

SAVING = "Saving. Press Ctrl-C again to quit immediately."


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, mnist_dir: Path) -> Path:
    """A training that nothing disturbed."""
    out = tmp_path_factory.mktemp("jax_impl") / "run"
    found = run(command("jax_impl", "--out", str(out)), mnist_dir)
    assert (found.code, found.err) == (0, "")
    return out


@pytest.mark.slow
def test_a_killed_training_is_resumed_to_the_same_bits(whole: Path, tmp_path: Path, mnist_dir: Path) -> None:
    """Killed twice at different moments and resumed each time, then to the end."""
    words = command("jax_impl", "--out", str(tmp_path))
    for seconds in (0.05, 0.2):
        found = signalled(start(words, mnist_dir), signal.SIGKILL, seconds)
        assert found.code == -signal.SIGKILL
        words = command("jax_impl", "--out", str(tmp_path), "--resume")
    found = run(words, mnist_dir)
    assert (found.code, found.err) == (0, "")
    assert results("jax_impl", tmp_path) == results("jax_impl", whole)


@pytest.mark.slow
def test_a_signal_saves_says_how_to_resume_and_has_its_exit_code(whole: Path, tmp_path: Path, mnist_dir: Path) -> None:
    number, code, word = signal.SIGTERM, 143, "SIGTERM; "
    found = signalled(start(command("jax_impl", "--out", str(tmp_path)), mnist_dir), number, 0.05)
    assert found.code == code, found
    first, last = found.err.splitlines()
    assert first == SAVING
    assert re.fullmatch(
        rf"interrupted: {word}{tmp_path} holds \d epochs? and the parameters after (it|them)"
        r"(, and a checkpoint of \d+ steps? of the next)?: repeat the command with --resume to continue",
        last,
    )
    assert (tmp_path / "curve.png").exists()
    again = run(command("jax_impl", "--out", str(tmp_path)), mnist_dir)
    assert (again.code, again.out) == (1, "")
    assert re.fullmatch(rf"error: {tmp_path} holds an unfinished run, \d of \d epochs: add --resume .*\n", again.err)
    found = run(command("jax_impl", "--out", str(tmp_path), "--resume"), mnist_dir)
    assert (found.code, found.err) == (0, "")
    assert results("jax_impl", tmp_path) == results("jax_impl", whole)


@pytest.mark.slow
def test_the_time_limit_ends_a_training_like_a_signal(whole: Path, tmp_path: Path, mnist_dir: Path) -> None:
    found = run(command("jax_impl", "--out", str(tmp_path), "--max-seconds", "0.001"), mnist_dir)
    assert found.code == 124
    held = f"{tmp_path} holds no epochs, and a checkpoint of 20 steps of the next: repeat the command with --resume"
    assert found.err.startswith(f"interrupted: the limit of --max-seconds 0.001 is reached; {held}")
    found = run(command("jax_impl", "--out", str(tmp_path), "--resume"), mnist_dir)
    assert (found.code, found.err) == (0, "")
    assert results("jax_impl", tmp_path) == results("jax_impl", whole)


@pytest.mark.slow
def test_a_second_signal_ends_at_once_within_a_long_epoch(tmp_path: Path, mnist_dir: Path) -> None:
    words = command("jax_impl", "--batch-size", "1", "--checkpoint-every", "60000", "--out", str(tmp_path))
    process = start(words, mnist_dir)
    while not (tmp_path / ".lock").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(3)  # to the training itself
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    found = ended(process)
    assert time.monotonic() - begun < 3
    assert (found.code, found.err) == (143, f"{SAVING}\n")


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.3, 0.8])
def test_a_killed_training_of_torch_ref_leaves_an_earlier_run(world: World, moment: float) -> None:
    assert interrupts.killed(world, "torch_ref", moment) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "start_of_line"),
    [(signal.SIGINT, 130, "interrupted: "), (signal.SIGTERM, 143, "interrupted: SIGTERM; ")],
)
def test_a_signal_ends_torch_ref_after_the_epochs_so_far(
    number: signal.Signals, code: int, start_of_line: str, tmp_path: Path, mnist_dir: Path
) -> None:
    words = command("torch_ref", "--epochs", "1000", "--out", str(tmp_path))
    found = signalled(start(words, mnist_dir), number, 0.05)
    assert found.code == code, found
    line = rf"{start_of_line}{tmp_path} holds the results of (\d+) of 1000 epochs\n"
    assert re.fullmatch(line, found.err), found.err
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == int(re.fullmatch(line, found.err)[1])  # type: ignore[index]
    words = ["-m", "torch_ref", "evaluate", "mnist_nn_xavier", "--params", str(tmp_path / "params.safetensors")]
    found = run([sys.executable, *words], mnist_dir)
    assert f"{json.loads(lines[-1])['test_accuracy']:.4f}" in found.out


@pytest.mark.slow
def test_a_folder_in_use_is_refused_and_a_dead_owner_s_is_not(tmp_path: Path, mnist_dir: Path) -> None:
    first = start(command("jax_impl", "--epochs", "1000", "--out", str(tmp_path)), mnist_dir)
    after_the_first_epoch(first)
    second = run(command("jax_impl", "--out", str(tmp_path), "--resume"), mnist_dir)
    assert (second.code, second.out) == (1, "")
    assert re.fullmatch(
        rf"error: {tmp_path} is in use by process {first.pid} on .+: wait for it, or name another --out\n", second.err
    )
    first.kill()
    ended(first)
    found = run(
        command("jax_impl", "--epochs", "1000", "--out", str(tmp_path), "--resume", "--max-seconds", "1"), mnist_dir
    )
    assert found.code == 124, found


@pytest.mark.slow
def test_another_recipe_dtype_or_stream_is_refused(whole: Path, mnist_dir: Path) -> None:
    for option, words in {
        "--seed 5": "its recipe.seed is 777, not 5",
        "--dtype float64": 'its recipe.dtype is "float32", not "float64"',
        "--init kaiming_uniform": 'its recipe.init is "xavier_uniform", not "kaiming_uniform"',
    }.items():
        found = run(command("jax_impl", *option.split(), "--out", str(whole), "--resume"), mnist_dir)
        assert (found.code, found.out) == (2, "")
        text = f"error: {whole} cannot be resumed: {words}; use the settings it was started with, or another --out\n"
        assert found.err == text
