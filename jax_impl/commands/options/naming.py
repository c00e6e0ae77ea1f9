"""What a run is called: its default folder, and the title of its figures."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from jax_impl import recipes
from jax_impl.recipes import Recipe

LONGEST = 180  # characters of a folder's name: a Windows path has at most 260


def run_folder(recipe: Recipe, **more: object) -> Path:
    """Return the default folder of a training: recipe, seed, and every setting that is not the recipe's.

    The number of epochs is left out, so that `--resume` with more epochs finds the run that it continues. `more` are
    settings outside of the recipe; one that is None is the default.
    """
    changes = recipes.changed_settings(recipe) | _given(more)
    changes.pop("epochs", None)
    return folder(f"jax_impl-{recipe.name}-{recipe.seed}", changes)


def title(recipe: Recipe, **more: object) -> str:
    """Return what was trained, in words: recipe, seed, and every setting that is not the recipe's."""
    return words(f"{recipe.name}, seed {recipe.seed}", recipes.changed_settings(recipe) | _given(more))


def folder(start: str, changes: Mapping[str, object]) -> Path:
    """Return the folder in `runs` whose name has these settings, as in `rbm-hidden=16-k=3`.

    The end of a name that would be too long is replaced by a hash of the whole.
    """
    name = "-".join([start, *(f"{setting}={_text(value)}" for setting, value in changes.items())])
    if len(name) > LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        name = f"{name[: LONGEST - 13]}-{digest}"
    return Path("runs") / name


def words(start: str, changes: Mapping[str, object]) -> str:
    """Return settings in words, as in `RBM, hidden 16, learning rate 0.5`."""
    return ", ".join([start, *(f"{setting.replace('_', ' ')} {_text(value)}" for setting, value in changes.items())])


def _given(more: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in more.items() if value is not None}


def _text(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
