"""Machines on which something is missing or strange: the main job runs as always, or says in a line why not."""

import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tests.faults.cases import Case, Part, World
from tests.faults.commands import PACKAGES, command, judged, run

NOWHERE = "/nowhere/at/all"
LOCALE_C = {"LC_ALL": "C", "LANG": "C"}
NO_UTF8 = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # what Python turns to by itself in this locale
CLOCK = '''"""A clock that jumps by a day or a year at every look."""

import itertools
import time

_seconds, _jumps = time.time, itertools.cycle((0, 86400, -31536000, 3600))


def jumping() -> float:
    return _seconds() + next(_jumps)


time.time = jumping
time.time_ns = lambda: int(jumping() * 1e9)
'''
# Where a folder cannot be made, whoever one is: within the system's own file systems, and below a file.
UNWRITABLE = ("/proc/sys/run", "/dev/null/run")


def runs(world: World, package: str, changes: Mapping[str, str | None], name: str = "run") -> str:
    """Train in a changed environment, where None takes a variable away; return what is wrong."""
    out = world.folder().parent / name
    environment = {word: value for word, value in (os.environ | changes).items() if value is not None}
    found = run(command(package, "--out", str(out)), world.data_dir, environment)
    if wrong := judged(found, 0):
        return wrong
    # Matplotlib names its own remedy, and waits say that they are waits.
    told = [line for line in found.err.splitlines() if "matplotlib" not in line.lower()]
    if [line for line in told if not line.endswith(" s so far")]:
        return f"said {found.err!r}"
    return world.other_result(package, out)


def jumping(world: World, package: str, clock: Path) -> str:
    """Train by a clock that jumps; return what is wrong."""
    out = world.folder()
    found = run(command(package, "--out", str(out)), world.data_dir, os.environ | {"PYTHONPATH": str(clock)})
    if wrong := judged(found, 0):
        return wrong
    return world.other_result(package, out)


def elsewhere(world: World, package: str, changes: Mapping[str, str]) -> str:
    """Train with everything in a folder whose name is in no locale's letters; return what is wrong."""
    root = world.folder().parent / "내 데이터 é"
    root.mkdir()
    (root / "MNIST").symlink_to((world.data_dir / "MNIST").resolve())
    out = root / "달리기 하나"
    words = command(package, "--data-dir", str(root), "--out", str(out))
    found = run(words, Path(NOWHERE), os.environ | LOCALE_C | changes)
    if wrong := judged(found, 0):
        return wrong
    return world.other_result(package, out)


def unwritable(world: World, package: str, out: str) -> str:
    """Train into a folder that cannot be written; return what is wrong."""
    found = run(command(package, "--out", out), world.data_dir)
    if wrong := judged(found, 1):
        return wrong
    return "" if f"cannot write to --out {out}" in found.err and not found.out else f"said {found.err!r}"


def locked(world: World, package: str) -> str:
    """Train into a folder whose permissions forbid it, as somebody who is not the system's owner."""
    out = world.folder().parent
    out.chmod(0o555)
    try:
        found = run(command(package, "--out", str(out / "run")), world.data_dir)
    finally:
        out.chmod(0o755)
    return judged(found, 1)


def traceless(world: World, package: str) -> str:
    """Train in a home of its own; return what is written elsewhere than in --out and the user's cache."""
    home = world.folder()
    for name in ("work", "temporary"):
        (home / name).mkdir(parents=True)
    environment = os.environ | {"HOME": str(home), "TMPDIR": str(home / "temporary"), "PYTHONPATH": str(Path.cwd())}
    for word in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "JAX_COMPILATION_CACHE_DIR"):
        environment.pop(word, None)
    found = run(command(package, "--out", str(home / "out")), world.data_dir, environment, home / "work")
    if wrong := judged(found, 0):
        return wrong
    allowed = {"out", ".cache"}
    others = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    others = [name for name in others if name.split("/")[0] not in allowed]
    shutil.rmtree(home)
    return f"wrote {others}" if others else ""


def part(world: World) -> Part:
    """Return every strangeness, for both packages."""
    clock = world.work / "clock"
    clock.mkdir()
    (clock / "sitecustomize.py").write_text(CLOCK, encoding="utf-8")
    changed: dict[str, dict[str, str | None]] = {
        "no HOME": {"HOME": None, "XDG_CACHE_HOME": None},
        "a HOME that is not there": {"HOME": NOWHERE, "XDG_CACHE_HOME": None},
        "a cache folder that is a file": {"XDG_CACHE_HOME": os.devnull},
        "no TMPDIR": {"TMPDIR": None},
        "a TMPDIR that is not there": {"TMPDIR": NOWHERE},
        "a locale of C": LOCALE_C | NO_UTF8,
        "nothing but a PATH": {word: None for word in os.environ if word != "PATH"},
    }
    found = []
    for package in PACKAGES:
        found += [Case(f"{package}: {what}", partial(runs, world, package, how)) for what, how in changed.items()]
        found.append(Case(f"{package}: a clock that jumps", partial(jumping, world, package, clock)))
        named = partial(runs, world, package, {}, "a folder with 빈칸 and 한글")
        found.append(Case(f"{package}: a path with spaces and Hangul", named))
        for what, how in {"": {}, ", and no UTF-8": NO_UTF8}.items():
            case = partial(elsewhere, world, package, how)
            found.append(Case(f"{package}: all paths in Hangul in a locale of C{what}", case))
        found.append(Case(f"{package}: no file outside --out and the cache", partial(traceless, world, package)))
        found += [Case(f"{package}: --out {out}", partial(unwritable, world, package, out)) for out in UNWRITABLE]
        if os.geteuid():  # the system's owner may write anywhere
            found.append(Case(f"{package}: a folder without permission", partial(locked, world, package)))
    return Part("strange surroundings", "ran as always, or said why not", found)
