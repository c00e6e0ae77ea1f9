"""JSON to dataclasses, checked by their type hints, so that damaged text becomes one message and never a traceback."""

from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

KINDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


class MalformedError(ValueError):
    """A value of the JSON text is missing, or not what its place requires. `reading.read` says in which record."""


def decoded(kind: Any, value: Any, place: str = "") -> Any:
    """Return a JSON value as a type: a dataclass, a list, a dict, a number, text, or a union with None.

    Keys that a dataclass does not have are ignored: a newer program may have written them.

    Raises:
        MalformedError: The value does not fit. The message starts with its place, such as `trajectory[3].loss`.
    """
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin is UnionType:
        if value is None and NoneType in get_args(kind):
            return None
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
        return decoded(kind, value, place)
    if origin is list:
        _require(isinstance(value, list), place, "a list", value)
        return [decoded(get_args(kind)[0], entry, f"{place}[{number}]") for number, entry in enumerate(value)]
    if origin is dict:
        _require(isinstance(value, dict), place, "a mapping", value)
        return {key: decoded(get_args(kind)[1], entry, f"{place}.{key}") for key, entry in value.items()}
    if is_dataclass(kind):
        return _dataclass(kind, value, place)
    if kind is float and type(value) is int and abs(value) < 2**1000:
        return float(value)
    _require(type(value) is kind, place, KINDS[kind], value)
    return value


def _dataclass(kind: Any, value: Any, place: str) -> Any:
    _require(isinstance(value, dict), place, "a mapping", value)
    dot = f"{place}." if place else ""
    given = {}
    for name, hint, required in _fields(kind):
        if name in value:
            given[name] = decoded(hint, value[name], f"{dot}{name}")
        elif required:
            raise MalformedError(f"{dot}{name} is missing")
    return kind(**given)


@lru_cache(maxsize=64)
def _fields(kind: Any) -> list[tuple[str, Any, bool]]:
    """Return the name, the type and whether it must be given, of each field."""
    hints = get_type_hints(kind)
    return [
        (field.name, hints[field.name], field.default is MISSING and field.default_factory is MISSING)
        for field in fields(kind)
        if field.init
    ]


def _require(condition: bool, place: str, expected: str, value: Any) -> None:
    if not condition:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise MalformedError(f"{place or 'it'} must be {expected}, got {shown}")
