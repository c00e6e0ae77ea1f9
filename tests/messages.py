"""The messages that a user can meet, read from the packages' syntax trees."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("jax_impl", "torch_ref")
HOLE = "…"  # in place of what varies
# Functions and methods that show the user a line, and the place of the line among their arguments.
SPEAKERS = {"log": 0, "complain": 0, "with_note": 1, "error": 0, "wrong_value": 0}
# Functions that return such a line, or a part of one.
TELLERS = {"_keep", "_difference", "difference", "reason", "shortage", "_unknown"}
PREFIXES = {f"error: {HOLE}", f"interrupted{HOLE}"}  # before a message that is collected where it is written


def template(node: ast.AST) -> str:
    """Return a text with a hole in place of every part that varies."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(template, parts))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return template(left) + template(right)
    return HOLE


def error_classes(trees: list[ast.Module]) -> set[str]:
    """Return the names of all errors whose text is shown to the user."""
    classes, before = {"UserError", "Interrupted"}, 0
    while len(classes) > before:
        before = len(classes)
        for node in (node for tree in trees for node in ast.walk(tree)):
            if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & classes:
                classes.add(node.name)
    return classes


def templates(tree: ast.Module, classes: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and the template of every message that a module writes itself."""
    for node in ast.walk(tree):
        found: list[ast.AST] = []
        least = 1  # words; where a text may be a part of a message, a single word is none
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            place = 0 if name in classes else SPEAKERS.get(name, len(node.args))
            found = node.args[place : place + 1]  # type: ignore[assignment]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"kept", "note"}:
            found, least = [node.value], 2
        elif isinstance(node, ast.FunctionDef) and node.name in TELLERS:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            found, least = [text for statement in body for text in texts(statement)], 2
        for text in found:
            words = re.sub(f"{HOLE}+", HOLE, template(text).strip())
            if len(words.replace(HOLE, " ").split()) >= least and words not in PREFIXES:
                yield getattr(text, "lineno", 0), words


def texts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the whole texts within a piece of code, but neither their parts nor what something is compared with."""
    if isinstance(node, ast.Compare):
        return
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from texts(child)


def collected(root: Path) -> dict[str, list[str]]:
    """Return where each template is written, as file:line."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    classes, found = error_classes(list(trees.values())), dict[str, list[str]]()
    for path, tree in trees.items():
        for line, text in templates(tree, classes):
            found.setdefault(text, []).append(f"{path.relative_to(root)}:{line}")
    return found
