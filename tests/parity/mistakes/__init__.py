"""Mistakes as ports make them. Each changes one function of `jax_impl`, or of a library that it calls.

A plant takes a MonkeyPatch, which undoes the change. `faults` is the catalogue.
"""

from collections.abc import Callable
from typing import Any

import pytest

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def replace(module: Any, name: str, value: Any) -> Plant:
    """Return a plant that puts `value` in place of a module's attribute."""
    return lambda patch: patch.setattr(module, name, value)


def wrapped(module: Any, name: str, change: Callable[[Any], Any]) -> Plant:
    """Return a plant that puts `change(right)` in place of a module's attribute, the function `right`."""
    return lambda patch: patch.setattr(module, name, change(getattr(module, name)))
