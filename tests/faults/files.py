"""Files that are damaged in every way that a disk or a person finds."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

Change = Callable[[bytes, random.Random], bytes]


def _truncated(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))] if content else content


def _zeroed(content: bytes, draw: random.Random) -> bytes:
    first = draw.randrange(len(content)) if content else 0
    last = min(len(content), first + draw.randint(1, 4096))
    return content[:first] + bytes(last - first) + content[last:]


def _flipped(content: bytes, draw: random.Random) -> bytes:
    if not content:
        return content
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1 :]


CHANGES: dict[str, Change] = {"truncated": _truncated, "zeroed": _zeroed, "one bit flipped": _flipped}
REPLACED = "replaced by another's"


class Case(NamedTuple):
    """One file of a folder and what is done to it."""

    name: Path  # within the folder
    how: str
    content: bytes


def cases(folder: Path, count: int, draw: random.Random) -> Iterator[Case]:
    """Yield so many cases, files and kinds of damage in turns; every one changes its file."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    kinds = (*CHANGES, REPLACED)
    number = 0
    while count:
        turn, place = divmod(number, len(paths))
        path, how = paths[place], kinds[(place + turn) % len(kinds)]
        number += 1
        right = path.read_bytes()
        if how == REPLACED:
            wrong = draw.choice([other for other in paths if other != path]).read_bytes()
        else:
            wrong = CHANGES[how](right, draw)
        if wrong != right:
            count -= 1
            yield Case(path.relative_to(folder), how, wrong)
