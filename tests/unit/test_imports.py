"""The rules of the layout (docs/layout.md), checked on the syntax trees of every file."""

import ast
import sys
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# From top to bottom: a file imports only from layers below its own, or from files of its own package.
LAYERS = (
    ("__main__",),
    ("commands",),
    ("explore",),
    ("study",),
    ("starts",),
    ("rbm",),
    ("trainer",),
    ("train", "parity"),
    ("draws", "interop", "fetch"),
    ("model", "storage", "figures"),
    ("recipes", "initializers", "data"),
    ("activations", "errors", "compare", "replay"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FORBIDDEN = {
    "jax_impl": {"torch", "torchvision", "torch_ref", "tensorflow"},
    "torch_ref": {"jax", "jaxlib", "flax", "optax", "jax_impl", "tensorflow_datasets"},
}


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: str, *, known: Collection[str] = ()) -> set[str]:
    """Every module that a source imports, at its top or inside a function; of `known` ones, the module itself."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module or "" for name in names}
    return found


def third_party(source: str) -> set[str]:
    """The top names of the packages that a source imports, other than its own and the standard library."""
    own = {*FORBIDDEN, *sys.stdlib_module_names, "__future__"}
    return {name.split(".")[0] for name in imports(source)} - own


def reached(start: str, files: dict[str, Path]) -> set[str]:
    """The modules that importing a module imports, itself included; imports inside functions do not count."""
    seen, waiting = set[str](), [start]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            parents = [module.rpartition(".")[0]]
            waiting += [name for name in (*parents, *imported(files[module], frozenset(files))) if name in files]
    return seen


@cache
def imported(path: Path, known: frozenset[str]) -> set[str]:
    """Every module that a file imports at its top."""
    return imports(at_top(path), known=known)


@cache
def at_top(path: Path) -> str:
    """A file without the bodies of its functions."""

    class Emptied(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
            node.body = [ast.Pass()]
            return node

    return ast.unparse(Emptied().visit(ast.parse(path.read_text(encoding="utf-8"))))


def room(module: str) -> str:
    """The file or sub-package at the top of jax_impl to which a module belongs."""
    return module.split(".")[1] if "." in module else module


def broken_rules(module: str, source: str, known: set[str]) -> list[str]:
    """What a file imports and must not."""
    package = module.split(".")[0]
    found = imports(source, known=known)
    broken = [f"{module} imports {name}" for name in found if name.split(".")[0] in FORBIDDEN[package]]
    if package == "jax_impl":
        for name in found & known - {"jax_impl"}:
            below = LEVEL[room(name)] > LEVEL[room(module)] or room(name) == room(module)
            broken += [] if below else [f"{module} imports {name}, which is not in a layer below it"]
    return sorted(broken)


def cycles(graph: dict[str, set[str]]) -> Iterator[str]:
    """Every module that imports itself through others."""
    for start in graph:
        seen, waiting = set[str](), list(graph[start])
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += graph.get(module, ())
        if start in seen:
            yield start


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_downwards(package: str) -> None:
    files = modules(package)
    sources = {module: path.read_text(encoding="utf-8") for module, path in files.items()}
    assert [rule for module, source in sources.items() for rule in broken_rules(module, source, set(files))] == []
    graph = {module: imports(source, known=set(files)) & set(files) - {module} for module, source in sources.items()}
    assert list(cycles(graph)) == []


def test_every_file_has_a_layer() -> None:
    rooms = {room(module) for module in modules("jax_impl") if module != "jax_impl"}
    assert rooms == set(LEVEL)


@pytest.mark.parametrize(
    "line", ["import torch", "from torch_ref import data", "from jax_impl import train", "from jax_impl.rbm import dbn"]
)
def test_a_broken_rule_is_seen(line: str) -> None:
    known = set(modules("jax_impl"))
    assert broken_rules("jax_impl.model", f"def f():\n    {line}\n", known)
    assert broken_rules("jax_impl.model", "from jax_impl import errors\n", known) == []
    assert list(cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == ["a", "b", "c"]


def test_the_port_imports_only_the_port() -> None:
    files = modules("jax_impl")
    port = {module for module in files if module.count(".") == 1 and files[module].name != "__init__.py"}
    allowed = port | {"jax_impl.storage.files", "jax_impl.storage.tensors", "jax_impl"}
    for module in port - {"jax_impl.__main__"}:
        found = imports(files[module].read_text(encoding="utf-8"), known=set(files)) & set(files)
        assert found <= allowed | {"jax_impl.storage"}, module


def test_fit_needs_at_most_nine_modules() -> None:
    assert len(reached("jax_impl.train", modules("jax_impl"))) <= 9


@pytest.mark.parametrize("package", ["compare", "replay"])
def test_compare_and_replay_import_no_framework(package: str) -> None:
    files = {module: path for module, path in modules("jax_impl").items() if room(module) == package}
    assert len(files) > 2
    found = set.union(*(third_party(path.read_text(encoding="utf-8")) for path in files.values()))
    assert found <= {"numpy", "scipy", "jaxtyping"} - ({"scipy"} if package == "replay" else set())


def compares(module: str) -> bool:
    """Whether a module of `parity` compares records: all but the recorder, and the mapping that only it uses."""
    return room(module) == "parity" and module.split(".")[2:3] not in (["recording"], ["mapping"])


def test_comparing_records_imports_no_framework() -> None:
    """Nor does a module that it reaches. pytest is there when its plugin is imported."""
    files = modules("jax_impl")
    starts = {module for module in files if compares(module)} | {"jax_impl.commands.prove"}
    assert len(starts) > 20
    for start in starts:
        for module in reached(start, files):
            assert compares(module) or room(module) != "parity", (start, module)
            allowed = {"numpy", "scipy", "safetensors", "jinja2", "rich"}
            allowed |= {"pytest"} if module == "jax_impl.parity.plugin" else set()
            assert third_party(at_top(files[module])) <= allowed, (start, module)
    found = {name for module in starts for name in third_party(files[module].read_text(encoding="utf-8"))}
    assert found == {"numpy", "scipy", "safetensors", "pytest"}  # inside functions, neither


def test_options_recipes_data_and_errors_do_not_lead_to_jax() -> None:
    files = modules("jax_impl")
    starts = {module for module in files if module.startswith("jax_impl.commands.options")}
    starts |= {"jax_impl.commands.main", "jax_impl.recipes", "jax_impl.data", "jax_impl.errors"}
    for start in starts:
        for module in reached(start, files):
            assert not third_party(at_top(files[module])) & {"jax", "flax", "optax", "scipy", "matplotlib"}, (
                start,
                module,
            )
    assert "jax" in third_party(at_top(files["jax_impl.model"]))  # the check can fail


def test_folders_files_and_functions_stay_small() -> None:
    for package in FORBIDDEN:
        folders: dict[Path, int] = {}
        for path in modules(package).values():
            folders[path.parent] = folders.get(path.parent, 0) + 1
            source = path.read_text(encoding="utf-8")
            assert len(source.splitlines()) <= 250, path
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.body[0].lineno < 60, f"{path}: {node.name}"
        for folder, count in folders.items():
            assert count <= (11 if folder.name == "jax_impl" else 17 if folder.name == "torch_ref" else 12), folder


def test_only_commands_print_or_exit() -> None:
    for package in FORBIDDEN:
        for module, path in modules(package).items():
            if room(module) in {"__main__", "commands"}:  # torch_ref has no folder of commands
                continue
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
            names = {node.id for node in nodes if isinstance(node, ast.Name)}
            attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            assert not {"print", "exit", "quit"} & names, module
            assert not {"exit", "_exit"} & attributes, module
