"""The config.json of a run folder, as either package wrote it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from jax_impl.errors import UserError
from jax_impl.recipes import Recipe
from jax_impl.storage.tensors import Facts

NAME = "config.json"
PACKAGES = ("jax_impl", "torch_ref")
KINDS = {"recipe": "train", "hidden": "rbm or dbn"}  # a setting that only these commands write


def read(folder: Path, remedy: str) -> Facts | None:
    """Return the config.json of a folder, or None if there is none. It may be another program's.

    Raises:
        UserError: It cannot be read, or is not a JSON object. The message ends with `remedy`.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({_one_line(error)}); {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not the config.json of a run: it must hold an object; {remedy}")
    return content


def command(config: Mapping[str, Any]) -> str | None:
    """Return which command wrote a config.json, in words, or None if neither package did."""
    if config.get("package") not in PACKAGES:
        return None
    return next((kind for setting, kind in KINDS.items() if setting in config), None)


def recipe(config: Mapping[str, Any]) -> Recipe | None:
    """Return the recipe of a training, or None if it is incomplete, or one of its values is not possible."""
    saved, example = config.get("recipe"), asdict(Recipe(name=""))
    if not isinstance(saved, dict) or saved.keys() != {field.name for field in fields(Recipe)}:
        return None
    if not all(_of_type(saved[name], value) for name, value in example.items()):
        return None
    try:
        rate = float(saved["learning_rate"])  # JSON of another program may hold 1 for 1.0
        return Recipe(**saved | {"layers": tuple(saved["layers"]), "learning_rate": rate})
    except (ValueError, TypeError, OverflowError):
        return None


def difference(saved: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> str:
    """Return the first setting in which two sets of settings differ, as words; an empty string if they are equal."""
    for name in dict.fromkeys((*asked, *saved)):
        was, now = saved.get(name), asked.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            if inner := difference(was, now, f"{prefix}{name}."):
                return inner
        elif json.dumps(was) != json.dumps(now):
            return f"its {prefix}{name} is {json.dumps(was)}, not {json.dumps(now)}"
    return ""


def _of_type(value: object, example: object) -> bool:
    """Return whether a value of JSON can be that of a field with this example. A bool is no number."""
    match example:
        case str():
            return isinstance(value, str)
        case tuple():
            return isinstance(value, list) and all(_of_type(part, 0) for part in value)
        case float():
            return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
