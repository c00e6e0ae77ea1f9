"""A command's options as a command line that can be pasted, for reports."""

import shlex
from dataclasses import fields
from typing import Any

# These limit or show a single call; the results do not depend on them.
LEFT_OUT = {"max_seconds", "debug"}


def command_line(name: str, command: Any) -> str:
    """Return the command line of a dataclass of options. Options that have their default value are left out."""
    words = ["python", "-m", "jax_impl", name]
    for option in fields(command):
        value = getattr(command, option.name)
        if value == option.default or option.name in LEFT_OUT:
            continue
        words.append(f"--{option.name.replace('_', '-')}")
        words += [] if value is True else [str(value)]
    return shlex.join(words)
