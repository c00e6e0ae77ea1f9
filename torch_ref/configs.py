"""The config.json of a run folder, as torch_ref or jax_impl wrote it."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch_ref.errors import UserError
from torch_ref.recipes import Recipe

REPLACE = "add --overwrite to replace it, or name another --out"
Config = dict[str, Any]


def read(folder: Path, remedy: str) -> Config | None:
    """Return the config.json of a folder, or None if there is none.

    Raises:
        UserError: It cannot be read, or is not a JSON object. The message ends with `remedy`.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({' '.join(str(error).split())[:200]}); {remedy}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} is not the config.json of a run: it must hold an object; {remedy}")
    return config


def is_of_a_run(config: Config) -> bool:
    """Return whether one of the two packages wrote this config.json."""
    return config.get("package") in ("torch_ref", "jax_impl") and ("recipe" in config or "hidden" in config)


def recipe_of(config: Config) -> Recipe | None:
    """Return the recipe of a training, or None if it is incomplete, or one of its values is not possible."""
    saved, example = config.get("recipe"), asdict(Recipe(name=""))
    if not isinstance(saved, dict) or saved.keys() != example.keys():
        return None
    for name, value in example.items():
        allowed = {tuple: (list,), float: (int, float)}.get(type(value), (type(value),))
        if type(saved[name]) not in allowed:  # a bool is an int, but no number
            return None
    if not all(type(size) is int for size in saved["layers"]):
        return None
    try:
        return Recipe(**saved | {"layers": tuple(saved["layers"])})
    except (ValueError, OverflowError):
        return None


def check_replaceable(out: Path, recipe: Recipe, files: Sequence[str]) -> None:
    """Check that a run may replace what a folder holds: nothing, or a run of the same settings.

    Raises:
        UserError: It may not. The message names what differs. Nothing was changed.
    """
    if not os.path.isdir(out):  # noqa: PTH112 - Path.is_dir raises an error if the name is too long
        return
    config = read(out, REPLACE)
    held = [name for name in (*files, "checkpoints") if name != "config.json" and (out / name).exists()]
    if config is None:
        if held:
            raise UserError(
                f"{out} holds {', '.join(held)} and no config.json, so their experiment is unknown: add --overwrite "
                "to replace them, or name another --out"
            )
    elif not is_of_a_run(config):
        raise UserError(f"{out} holds a config.json that is not that of a run: {REPLACE}")
    elif held and (differing := _difference(config, recipe)):
        raise UserError(f"{out} holds another experiment, {differing}: {REPLACE}")


def _difference(config: Config, recipe: Recipe) -> str:
    """Return in words how the experiment of a config.json differs from a training, or an empty string."""
    if config["package"] != "torch_ref":
        return f"a run of {config['package']}"
    saved = config.get("recipe")
    if not isinstance(saved, dict):
        return "its recipe is damaged"
    for name, now in json.loads(json.dumps(asdict(recipe))).items():
        if (was := saved.get(name)) != now:
            return f"its {name} is {json.dumps(was)}, not {json.dumps(now)}"
    return ""
