"""The house rules of who may import whom, kept by walking the syntax trees."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# From the door down: a file imports only files that stand below it.
ORDER = {
    "jax_impl": (
        "__main__", "train_command", "study_command", "rbm_command", "distributed", "herald", "stopping", "progress",
        "cli", "cli_cluster", "cluster", "cli_rbm", "cli_saving", "rbm_runs", "rbm_figures", "study_report",
        "preset_figures", "study_figures", "axes", "canvas", "rbm_resuming", "resuming", "runs", "report", "presets",
        "presets_papers", "presets_pretraining", "presets_starts", "presets_notebook", "measures", "contents",
        "evidence", "findings", "budget", "study", "study_cells", "study_saving", "records", "ensemble",
        "propagation", "train", "trajectories", "trajectory", "compiling", "machine", "devices", "replay", "draws",
        "dbn", "rbm_train", "rbm_likelihood", "cuts", "interop", "rbm", "lsuv", "meanfield", "model", "products",
        "activations", "initializers", "pixels", "torch_random", "compare", "compare_trees", "compare_stats",
        "compare_equivalence", "compare_results", "sources", "mirror", "data", "checkpoint", "checkpoint_orbax",
        "packing", "files", "rbm_settings", "recipes", "errors",
    ),
    "torch_ref": (
        "__main__", "train_command", "stopping", "cli", "checkpoint", "runs", "train", "loaders", "propagation", "dbn",
        "rbm", "model", "data", "download", "recipes", "errors",
    ),
}  # fmt: skip
FORBIDDEN = {
    "jax_impl": {"torch", "torchvision", "torch_ref", "tensorflow"},
    "torch_ref": {"jax", "jaxlib", "flax", "optax", "jax_impl", "tensorflow_datasets"},
}


def imports(path: Path) -> set[str]:
    """Every module that the file imports, at its top or inside a function, as a dotted name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def broken_rules(package: str, path: Path) -> list[str]:
    order = ORDER[package]
    rules = [f"{path.name} imports {name}" for name in imports(path) if name.split(".")[0] in FORBIDDEN[package]]
    for name in imports(path):
        if name.startswith(f"{package}."):
            module = name.split(".")[1]
            if module in order and order.index(module) <= order.index(path.stem):
                rules.append(f"{path.name} imports {module}, which does not stand below it")
    return rules


@pytest.mark.parametrize("package", ORDER)
def test_packages_keep_the_import_rules(package: str) -> None:
    files = sorted((ROOT / package).glob("*.py"))
    assert {path.stem for path in files} - {"__init__"} == set(ORDER[package])
    for path in files:
        if path.stem != "__init__":
            assert broken_rules(package, path) == []


@pytest.mark.parametrize("line", ["import torch", "from torch_ref import data", "from jax_impl import runs"])
def test_a_broken_rule_is_seen(tmp_path: Path, line: str) -> None:
    path = tmp_path / "model.py"
    path.write_text(f"def f():\n    {line}\n")
    assert broken_rules("jax_impl", path)


@pytest.mark.parametrize("package", ORDER)
def test_only_the_door_prints_or_exits(package: str) -> None:
    for path in (ROOT / package).glob("*.py"):
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Name)
        }
        attributes = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert path.stem == "__main__" or not ({"print", "exit", "quit"} & names | {"exit", "_exit"} & attributes)
