"""Trainings that are killed or asked to end at random moments, and resumed."""

import random
import signal
import time
from functools import partial
from pathlib import Path

from tests.faults.cases import Case, Part, World
from tests.faults.commands import PACKAGES, command, ended, judged, resumed, run, start, until_begun

EARLIER = ("config.json", "metrics.jsonl", "params.safetensors", "curve.png")
LONGER = 1.15  # than undisturbed, as measured: without it the last half second, of three, was never hit


def killed(world: World, package: str, moment: float) -> str:
    """Kill a training at a moment, from 0 (it begins) to 1 (it is over), and resume it; return what is wrong.

    torch_ref writes only at its end: a kill leaves the files of an earlier run, which lie in its folder. A kill while
    these are replaced leaves a part of them, or a part of the new ones.
    """
    whole = world.whole(package)
    while True:
        out = world.folder()
        process = start(command(package, "--out", str(out)), world.data_dir)
        until_begun(package, process, out)
        for name in EARLIER if package == "torch_ref" else ():
            (out / name).write_bytes(b"earlier")
        time.sleep(moment * LONGER * (whole.over - whole.begun))
        if process.poll() is None:
            break
        ended(process)  # it was too fast: once more, and earlier
        moment *= 0.9
    process.kill()
    ended(process)
    if package == "torch_ref" and (wrong := neither_earlier_nor_new(world, out)):
        return wrong
    return as_if_nothing_had_been(world, package, out)


def neither_earlier_nor_new(world: World, out: Path) -> str:
    """Return what is wrong with a folder in which a killed run was to replace an earlier one."""
    left = [name for name in EARLIER if (out / name).exists()]
    earlier = [name for name in left if (out / name).read_bytes() == b"earlier"]
    if earlier and earlier != left:
        return f"of the earlier run {earlier} are left beside new files"
    return "" if earlier or len(left) < len(EARLIER) else world.other_result("torch_ref", out)


def terminated(world: World, package: str, moment: float) -> str:
    """Send SIGTERM at a moment of a training, and resume it; return what is wrong."""
    whole, out = world.whole(package), world.folder()
    process = start(command(package, "--out", str(out)), world.data_dir)
    until_begun(package, process, out)
    time.sleep(moment * (whole.over - whole.begun) * 0.8)
    process.send_signal(signal.SIGTERM)
    found = ended(process)
    over = found.code in (0, -signal.SIGTERM) and "Learning finished" in found.out  # it came too late
    if found.code != 143 and not over:
        return f"exit code {found.code}: {found.err[-300:]}"
    kept = "--resume" if package == "jax_impl" else f"{out} holds the results of "
    said = found.last.startswith("interrupted: SIGTERM") and (kept in found.last or "nothing was" in found.last)
    early = found.last == "interrupted: SIGTERM" and not list(out.glob("[!.]*"))  # before the training began
    if not over and not said and not early:
        return f"said {found.last!r}"
    return as_if_nothing_had_been(world, package, out)


def as_if_nothing_had_been(world: World, task: str, out: Path) -> str:
    """Go on with what was interrupted; return what differs from the run that nothing disturbed."""
    found = run(resumed(task, out), world.data_dir)
    if wrong := judged(found, 0):
        return f"gone on with, {wrong}"
    return world.other_result(task, out)


def parts(world: World, kills: int, terms: int, seed: int) -> list[Part]:
    """Return so many kills and SIGTERMs, in turns of both packages."""
    found = []
    for what, count, case in (("kill -9", kills, killed), ("SIGTERM", terms, terminated)):
        draw = random.Random(f"{seed} {what}")
        moments = [(PACKAGES[number % 2], draw.random()) for number in range(count)]
        cases = [
            Case(f"{package}, moment {moment:.3f}", partial(case, world, package, moment))
            for package, moment in moments
        ]
        found.append(Part(f"{what} at random moments", "resumed to the same bits", cases))
    return found
