"""The base installation: what compares two programs needs neither framework."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.unit.test_imports import ROOT, at_top, modules, reached, third_party

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Packages that come with the named one, and are imported under names of their own.
WITH = {"jax": {"jaxlib", "ml_dtypes"}, "requests": {"urllib3"}}

BLOCKED = {
    *("jax", "jaxlib", "flax", "optax", "orbax", "tensorflow_datasets", "torch", "torchvision"),
    *("matplotlib", "requests", "transformers", "equinox"),
}
SITE = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def names(requirements: list[str]) -> set[str]:
    """The import names of required packages."""
    found = {re.split(r"[\[=<>~! ]", one)[0].replace("-", "_") for one in requirements}
    return found | {name for package in found for name in WITH.get(package, ())}


def installed(*extras: str) -> set[str]:
    """The import names of what an installation with these extras holds."""
    optional = PROJECT["optional-dependencies"]
    return names(PROJECT["dependencies"] + [one for extra in extras for one in optional[extra]])


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Python finds neither framework."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}


def python(environment: dict[str, str], *words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_frameworks_cannot_be_imported_here(without: dict[str, str]) -> None:
    for name in ("jax", "torch", "matplotlib"):
        assert f"No module named '{name}'" in python(without, "-c", f"import {name}").stderr


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("--help", "usage: python -m jax_impl"),
        ("recipes", "mnist_nn_xavier"),
        ("--version", "mnist-initialization-port "),
        ("train -h", ""),
    ],
)
def test_help_recipes_and_versions_need_no_framework(words: str, shown: str, without: dict[str, str]) -> None:
    result = python(without, "-m", "jax_impl", *words.split())
    assert (result.returncode, result.stderr) == (0, "")
    assert shown in result.stdout


def test_compare_and_replay_need_no_framework(without: dict[str, str]) -> None:
    code = """
from jax_impl import compare
from jax_impl.replay import generator, notebook
draw = generator.TorchGenerator(0)
print(compare.max_relative([1.0], [1.0], tolerance=0), notebook.permutation(draw, 3))
"""
    result = python(without, "-c", code)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("PASS max_relative: ")


@pytest.mark.parametrize("words", ["train", "study --epochs 1", "rbm", "dbn", "evaluate mnist_nn --params x"])
def test_a_command_that_needs_jax_says_so_in_one_line(words: str, without: dict[str, str], tmp_path: Path) -> None:
    result = python(without, "-m", "jax_impl", *words.split(), cwd=tmp_path)
    line = "error: this command needs jax, which is not installed: run make train-jax, or pip install '.[jax]'\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["train", "evaluate --params x"])
def test_a_command_that_needs_torch_says_so_in_one_line(words: str, without: dict[str, str], tmp_path: Path) -> None:
    result = python(without, "-m", "torch_ref", *words.split(), cwd=tmp_path)
    line = "error: this command needs torch, which is not installed: run make train-torch, or pip install '.[torch]'\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", line)
    assert python(without, "-m", "torch_ref", "recipes").returncode == 0


# Files that are imported only where these packages are there: by pytest, and for somebody's Equinox model.
BROUGHT = {
    "jax_impl.parity.plugin": {"pytest"},
    "jax_impl.parity.recording.models.equinox": {"equinox"},
    "jax_impl.explore.page": {"vl_convert"},
}


def test_every_extra_holds_what_its_package_imports() -> None:
    for package, extra in (("jax_impl", "jax"), ("torch_ref", "torch")):
        for module, path in modules(package).items():
            theirs = BROUGHT.get(module, set())
            missing = third_party(path.read_text(encoding="utf-8")) - installed(extra) - theirs
            assert missing == set(), f"{module} imports them, and the extra {extra!r} does not hold them"


def test_what_the_base_installation_runs_imports_only_the_base() -> None:
    files = modules("jax_impl")
    starts = {module for module in files if module.startswith(("jax_impl.compare", "jax_impl.replay"))}
    starts |= {"jax_impl.commands.main", "jax_impl.storage.files", "jax_impl.storage.tensors"}
    for start in starts:
        for module in reached(start, files):
            assert third_party(at_top(files[module])) <= installed(), module
    assert not third_party(at_top(files["jax_impl.train"])) <= installed()  # the check can fail


def test_the_base_is_light_and_constraints_pin_what_the_extras_name() -> None:
    assert not installed() & BLOCKED
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("-", "_")
    for extra in ("jax", "torch", "ports", "explore", "dev", "bench"):
        for name in names(PROJECT["optional-dependencies"][extra]) - {"ml_dtypes"}:
            assert f"\n{name}==" in pinned, name


def test_this_environment_holds_what_the_models_of_others_need() -> None:
    assert importlib.metadata.version("transformers").startswith("4.57.")
    for name in ("equinox", "jax-resnet"):
        assert importlib.metadata.version(name)
