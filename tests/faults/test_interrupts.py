"""Trainings that are killed and interrupted lose nothing, in both packages: the quick form of `make faults`."""

import re
import signal
import time
from pathlib import Path

import pytest

from tests.faults.commands import PACKAGES, after_the_first_epoch, command, ended, results, run, signalled, start


@pytest.fixture(scope="module", params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def whole(package: str, tmp_path_factory: pytest.TempPathFactory, mnist_dir: Path) -> Path:
    """A training that nothing disturbed."""
    out = tmp_path_factory.mktemp(package) / "run"
    found = run(command(package, "--out", str(out)), mnist_dir)
    assert (found.code, found.err) == (0, "")
    return out


def test_a_killed_training_is_resumed_to_the_same_bits(
    package: str, whole: Path, tmp_path: Path, mnist_dir: Path
) -> None:
    """Killed three times at different moments, each time resumed, to the end."""
    words = command(package, "--out", str(tmp_path))
    for seconds in (0.05, 0.2):
        found = signalled(start(words, mnist_dir), signal.SIGKILL, seconds)
        assert found.code == -signal.SIGKILL
        words = command(package, "--out", str(tmp_path), "--resume")
    found = run(words, mnist_dir)
    assert (found.code, found.err) == (0, "")
    assert results(package, tmp_path) == results(package, whole)


def test_a_signal_saves_says_how_to_resume_and_has_its_exit_code(
    package: str, whole: Path, tmp_path: Path, mnist_dir: Path
) -> None:
    ours = (signal.SIGTERM, 143, "SIGTERM; ") if package == "jax_impl" else (signal.SIGINT, 130, "")
    number, code, word = ours
    found = signalled(start(command(package, "--out", str(tmp_path)), mnist_dir), number, 0.05)
    assert found.code == code, found
    first, last = found.err.splitlines()
    assert re.fullmatch(r"finishing the steps? under way; once more ends at once", first)
    assert re.fullmatch(
        rf"interrupted: {word}{tmp_path} holds \d epochs? and the parameters after (it|them)"
        r"(, and a checkpoint of \d+ steps? of the next)?: the same command with --resume goes on from there",
        last,
    )
    assert (tmp_path / "curve.png").exists()
    again = run(command(package, "--out", str(tmp_path)), mnist_dir)
    assert (again.code, again.out) == (1, "")
    assert re.fullmatch(rf"error: {tmp_path} holds an unfinished run, \d of \d epochs: add --resume .*\n", again.err)
    found = run(command(package, "--out", str(tmp_path), "--resume"), mnist_dir)
    assert (found.code, found.err) == (0, "")
    assert results(package, tmp_path) == results(package, whole)


def test_time_that_is_over_ends_a_training_like_a_signal(
    package: str, whole: Path, tmp_path: Path, mnist_dir: Path
) -> None:
    found = run(command(package, "--out", str(tmp_path), "--max-seconds", "0.001"), mnist_dir)
    assert found.code == 124
    assert found.err.startswith(f"interrupted: --max-seconds 0.001 are over; {tmp_path} holds no epochs, and a checkpo")
    found = run(command(package, "--out", str(tmp_path), "--resume"), mnist_dir)
    assert (found.code, found.err) == (0, "")
    assert results(package, tmp_path) == results(package, whole)


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
    assert (found.code, found.err) == (143, "finishing the steps under way; once more ends at once\n")


def test_a_folder_in_use_is_refused_and_a_dead_owner_s_is_not(package: str, tmp_path: Path, mnist_dir: Path) -> None:
    first = start(command(package, "--epochs", "1000", "--out", str(tmp_path)), mnist_dir)
    after_the_first_epoch(first)
    second = run(command(package, "--out", str(tmp_path), "--resume"), mnist_dir)
    assert (second.code, second.out) == (1, "")
    assert re.fullmatch(
        rf"error: {tmp_path} is in use by process {first.pid} on .+: wait for it, or name another --out\n", second.err
    )
    first.kill()
    ended(first)
    found = run(
        command(package, "--epochs", "1000", "--out", str(tmp_path), "--resume", "--max-seconds", "1"), mnist_dir
    )
    assert found.code == 124, found


def test_another_recipe_dtype_or_stream_is_refused(package: str, whole: Path, mnist_dir: Path) -> None:
    for option, words in {
        "--seed 5": "its recipe.seed is 777, not 5",
        "--dtype float64": 'its recipe.dtype is "float32", not "float64"',
        "--init kaiming_uniform": 'its recipe.init is "xavier_uniform", not "kaiming_uniform"',
    }.items():
        found = run(command(package, *option.split(), "--out", str(whole), "--resume"), mnist_dir)
        assert (found.code, found.out) == (2, "")
        text = f"error: {whole} cannot be resumed: {words}; give what it was begun with, or name another --out\n"
        assert found.err == text
