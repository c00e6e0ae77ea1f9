"""The options of `recipes`, and what it prints."""

from dataclasses import asdict, dataclass

from jax_impl.commands.options import shared
from jax_impl.recipes import RECIPES


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """List the recipes and their settings."""

    debug: shared.Debug = False


def table() -> list[dict[str, str]]:
    """Return the settings that are not the same in all recipes, a row per recipe."""
    common = _common()
    return [
        {_words(field): _text(value) for field, value in asdict(recipe).items() if field not in common}
        for recipe in RECIPES.values()
    ]


def common() -> str:
    """Return the settings that are the same in all recipes, as one line."""
    return ", ".join(f"{_words(field)} {_text(value)}" for field, value in _common().items())


def _common() -> dict[str, object]:
    first, *others = map(asdict, RECIPES.values())
    return {field: value for field, value in first.items() if all(other[field] == value for other in others)}


def _words(field: str) -> str:
    return field.replace("_", " ")


def _text(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
