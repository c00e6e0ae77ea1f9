"""The messages that a person can meet, read out of the packages' syntax trees."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("jax_impl", "torch_ref")
HOLE = "…"  # in place of what varies
SPEAKERS = {"log", "complain", "lost"}  # functions and methods that tell a person the line that they are given
# Functions that return such a line, or the end of one.
TELLERS = {"_kept", "of_the_next", "difference", "in_words", "reason", "_look", "last_words"}


def template(node: ast.AST) -> str:
    """Return a text as it stands in the code, with a hole for every part that varies."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(template, parts))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return template(left) + template(right)
    return HOLE


def error_classes(trees: list[ast.Module]) -> set[str]:
    """Return the names of all errors whose text is for a person."""
    classes, before = {"UserError", "Interrupted"}, 0
    while len(classes) > before:
        before = len(classes)
        for node in (node for tree in trees for node in ast.walk(tree)):
            if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & classes:
                classes.add(node.name)
    return classes


def templates(tree: ast.Module, classes: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and the template of every message of a module that says something of its own."""
    for node in ast.walk(tree):
        found: list[ast.AST] = []
        if isinstance(node, ast.Call) and node.args:
            name = ast.unparse(node.func).split(".")[-1]
            found = [node.args[0]] if name in classes | SPEAKERS else []
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "kept":
            found = [node.value]
        elif isinstance(node, ast.FunctionDef) and node.name in TELLERS:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            found = [text for statement in body for text in texts(statement)]
        for text in found:
            words = re.sub(f"{HOLE}+", HOLE, template(text).strip())
            if len(words.replace(HOLE, " ").split()) > 1:
                yield getattr(text, "lineno", 0), words


def texts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the whole texts within a piece of code, not their parts, nor what something is compared with."""
    if isinstance(node, ast.Compare):
        return
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from texts(child)


def collected(root: Path) -> dict[str, list[str]]:
    """Return where each template stands in the packages, as file:line."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    classes, found = error_classes(list(trees.values())), dict[str, list[str]]()
    for path, tree in trees.items():
        for line, text in templates(tree, classes):
            found.setdefault(text, []).append(f"{path.relative_to(root)}:{line}")
    return found
