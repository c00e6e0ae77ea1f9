import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jax_impl.storage import hardware
from jax_impl.trainer import compiling

PROGRAM = """
import jax
from jax_impl import compiling
compiling.use_cache()
compiling.compiled(lambda x: x + 1, jax.ShapeDtypeStruct((3,), "float32"))
print(getattr(jax.config, "jax_compilation_cache_dir"))
"""


def start(**environment: str) -> str:
    """Compile in a process of its own; return the folder of its cache, as it prints it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_COMP", "XDG_CACHE"))}
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    result = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.strip()


def test_programs_are_kept_in_the_user_s_cache(tmp_path: Path) -> None:
    folder = Path(start(XDG_CACHE_HOME=str(tmp_path)))
    assert folder.parent == tmp_path / "mnist-initialization-port"
    kept = {path.name for path in folder.iterdir() if path.name.endswith("-cache")}
    assert kept
    start(XDG_CACHE_HOME=str(tmp_path))
    assert {path.name for path in folder.iterdir() if path.name.endswith("-cache")} == kept


def test_a_damaged_program_is_compiled_anew(tmp_path: Path) -> None:
    folder = Path(start(XDG_CACHE_HOME=str(tmp_path)))
    for path in folder.glob("*-cache"):
        path.write_bytes(path.read_bytes()[:20])
    start(XDG_CACHE_HOME=str(tmp_path))  # which sees that nothing is said


def test_jax_s_own_variables_hold(tmp_path: Path) -> None:
    assert start(XDG_CACHE_HOME=str(tmp_path), JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")) == str(tmp_path / "own")
    start(XDG_CACHE_HOME=str(tmp_path / "none"), JAX_ENABLE_COMPILATION_CACHE="0")
    assert not list((tmp_path / "none").rglob("*-cache"))


def test_without_a_folder_to_write_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert start(XDG_CACHE_HOME=str(tmp_path / "file")) == "None"


def test_unlike_processors_do_not_share_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compiling.cache_folder()
    monkeypatch.setattr(hardware, "features", lambda: "another")
    assert compiling.cache_folder() != folder


def test_an_option_that_this_jax_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "OPTIONS", {"cpu": {"xla_cpu_no_such_thing": True}})
    assert compiling.compiled(lambda x: x + 1, jax.ShapeDtypeStruct((), "float32"))(1.0) == 2


def test_a_kernel_is_not_copied_in_every_step() -> None:
    """What the option is for: without it the loop's body copies the kernels that it has just updated."""
    from jax_impl import recipes, train

    recipe = recipes.named(recipes.DEFAULT)
    text = train.compiled_epoch(recipe.layers, recipe.dtype, (1000, 784), (10, 100)).as_text()
    assert not [line for line in text.splitlines() if "f32[256,256]{1,0} copy(" in line and "%copy" in line]
