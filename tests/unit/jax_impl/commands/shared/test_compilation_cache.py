"""Compiled programs are kept from one start to the next, unless the user or the disk forbids it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jax_impl.commands.shared import compilation_cache
from jax_impl.storage import hardware

PROGRAM = """
import jax
from jax_impl.commands.shared.compilation_cache import use_cache
from jax_impl.train import compile_for
use_cache()
compile_for(lambda x: x + 1, jax.ShapeDtypeStruct((3,), "float32"))
print(getattr(jax.config, "jax_compilation_cache_dir"))
"""


def start(**environment: str) -> str:
    """Compile in a process of its own; return the cache folder that it prints."""
    unset = ("JAX_COMPILATION", "JAX_PERSISTENT", "XDG_CACHE")  # the tests have a cache of their own
    clean = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    result = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.strip()


@pytest.mark.slow
def test_programs_are_kept_in_the_user_s_cache(tmp_path: Path) -> None:
    folder = Path(start(XDG_CACHE_HOME=str(tmp_path)))
    assert folder.parent == tmp_path / "mnist-initialization-port"
    kept = {path.name for path in folder.iterdir() if path.name.endswith("-cache")}
    assert kept
    start(XDG_CACHE_HOME=str(tmp_path))
    assert {path.name for path in folder.iterdir() if path.name.endswith("-cache")} == kept


@pytest.mark.slow
def test_a_damaged_program_is_compiled_again_without_a_warning(tmp_path: Path) -> None:
    folder = Path(start(XDG_CACHE_HOME=str(tmp_path)))
    for path in folder.glob("*-cache"):
        path.write_bytes(path.read_bytes()[:20])
    start(XDG_CACHE_HOME=str(tmp_path))  # checks that standard error is empty


@pytest.mark.slow
def test_jax_s_own_variables_decide(tmp_path: Path) -> None:
    assert start(XDG_CACHE_HOME=str(tmp_path), JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")) == str(tmp_path / "own")
    start(XDG_CACHE_HOME=str(tmp_path / "none"), JAX_ENABLE_COMPILATION_CACHE="0")
    assert not list((tmp_path / "none").rglob("*-cache"))


def test_if_the_folder_cannot_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert start(XDG_CACHE_HOME=str(tmp_path / "file")) == "None"


def test_different_processors_do_not_share_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compilation_cache.cache_folder()
    monkeypatch.setattr(hardware, "features", lambda: "another")
    assert compilation_cache.cache_folder() != folder
