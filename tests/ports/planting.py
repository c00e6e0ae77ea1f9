"""Ports with changed source: a mistake or a harmless change is a text in a port's file and the text in its place."""

import importlib
import itertools
import sys
from pathlib import Path
from types import ModuleType

Change = tuple[str, str]  # old text, which must occur just once, and new text
_numbers = itertools.count()


def planted(module: str, changes: tuple[Change, ...]) -> ModuleType:
    """Return a port's module as if its file had been edited; the file stays as it is.

    Raises:
        ValueError: An old text does not occur just once: the port has changed, and so must the mistake.
    """
    path = importlib.import_module(module).__file__
    if path is None or not changes:
        return importlib.import_module(module)
    source = Path(path).read_text()
    for old, new in changes:
        if (count := source.count(old)) != 1:
            raise ValueError(f"{module} must have {old!r} once, has it {count} times: adapt the change to the port")
        source = source.replace(old, new)
    changed = ModuleType(f"{module}_{next(_numbers)}")
    changed.__file__ = path
    sys.modules[changed.__name__] = changed  # where dataclasses look up their annotations
    exec(compile(source, path, "exec"), changed.__dict__)
    return changed
