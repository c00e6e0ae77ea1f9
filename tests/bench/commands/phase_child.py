"""Runs one command of this project and writes the seconds of its phases to a file.

`python -m tests.bench.commands.phase_child FILE COMMAND...`. The functions in `phase_names` are wrapped as soon as
their modules have been imported, so imports happen when the command needs them.
"""

import time

ENTERED = time.time()  # before the other imports

import builtins
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.bench.commands.phase_names import EVENTS, FUNCTIONS, IMPORTING, REST, WAITED_FOR

REMEDY = "name what took its place in tests/bench/commands/phase_names.py"


class StackClock:
    """Counts the seconds of each phase, without those of the phases within it. Other threads are not counted."""

    def __init__(self, phase: str, now: Callable[[], float] = time.time) -> None:
        """Begin in this phase."""
        self.now, self.thread = now, threading.get_ident()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.stack, self.charged_until = [phase], now()

    def enter(self, phase: str) -> None:
        """Begin a phase within the current one."""
        if threading.get_ident() == self.thread:
            self.charge()
            self.stack.append(phase)

    def leave(self, phase: str) -> None:
        """End the current phase, which must be this one.

        Raises:
            RuntimeError: It is another one.
        """
        if threading.get_ident() == self.thread:
            self.charge()
            if (ended := self.stack.pop()) != phase:
                raise RuntimeError(f"the phase {phase!r} ended within {ended!r}: every start needs its own end")

    def charge(self) -> None:
        """Count the seconds since the last call for the current phase."""
        now = self.now()
        self.seconds[self.stack[-1]] += now - self.charged_until
        self.charged_until = now


def timed(function: Callable[..., Any], phase: str, clock: StackClock) -> Callable[..., Any]:
    """Return the function such that its calls count for the phase."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        clock.enter(phase)
        try:
            result = function(*arguments, **options)
            return sys.modules["jax"].block_until_ready(result) if phase in WAITED_FOR else result
        finally:
            clock.leave(phase)

    return call


def find(module: ModuleType, path: str) -> tuple[Any, str]:
    """Return the owner of a function, a module or a class of it, and the function's name.

    Raises:
        RuntimeError: There is no such function.
    """
    owner_path, _, name = path.rpartition(".")
    try:
        owner = attrgetter(owner_path)(module) if owner_path else module
        getattr(owner, name)
    except AttributeError as error:
        raise RuntimeError(f"{module.__name__} has no {path}, which is timed: {REMEDY}") from error
    return owner, name


def check_names(names: Iterable[str] = tuple(FUNCTIONS)) -> None:
    """Raise a RuntimeError if a function or its module does not exist."""
    for place in names:
        name, _, path = place.partition(":")
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            raise RuntimeError(f"there is no module {name}, whose {path} is timed: {REMEDY}") from error
        find(module, path)


def watch_imports(clock: StackClock, functions: Mapping[str, str]) -> None:
    """Count imports, and wrap the functions of a module as soon as it has been imported."""
    original = builtins.__import__
    pending: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for place, phase in functions.items():
        module, _, path = place.partition(":")
        pending[module][path] = phase

    def watched(*arguments: Any, **options: Any) -> Any:
        clock.enter(IMPORTING)
        try:
            imported = original(*arguments, **options)
            for name in pending.keys() & sys.modules.keys():
                module = sys.modules[name]
                if not getattr(module.__spec__, "_initializing", False):
                    for path, phase in pending.pop(name, {}).items():  # another thread may import, too
                        owner, attribute = find(module, path)
                        setattr(owner, attribute, timed(getattr(owner, attribute), phase, clock))
                    if name == "jax":
                        watch_compiler(clock)
            return imported
        finally:
            clock.leave(IMPORTING)

    builtins.__import__ = watched


def watch_compiler(clock: StackClock) -> None:
    """Count tracing, lowering and compiling, whose starts and ends JAX reports."""
    from jax import monitoring

    def begin(event: str, *_: Any, **__: Any) -> None:
        if event in EVENTS:
            clock.enter(EVENTS[event])

    def end(event: str, *_: Any, **__: Any) -> None:
        if event in EVENTS:
            clock.leave(EVENTS[event])

    monitoring.register_scalar_listener(begin)
    monitoring.register_event_duration_secs_listener(end)


def main() -> None:
    """Run the command that the arguments name, and write when it started and ended, and its seconds by phase."""
    out, sys.argv = Path(sys.argv[1]), ["jax_impl", *sys.argv[2:]]
    clock = StackClock(REST)
    clock.charged_until = ENTERED
    watch_imports(clock, FUNCTIONS)
    from jax_impl.commands.main import main as run
    from jax_impl.commands.shared.terminal import end

    code = run()
    clock.charge()
    found = {"entered": ENTERED, "left": clock.charged_until, "seconds": clock.seconds}
    out.write_text(json.dumps(found), encoding="utf-8")
    end(code)  # as `python -m jax_impl` does


if __name__ == "__main__":
    main()
