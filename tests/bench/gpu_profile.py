"""A profile of one epoch: its kernels by time, and how long the device waited between them."""

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.gpu_setup import RECIPE, Row, Settings, mnist_part

CHILD = "profile"
TOP = 25  # kernels


def rows(settings: Settings) -> Iterator[Row]:
    """Yield the profile of an epoch of one run, and of an epoch of many."""
    for runs in (1, settings.many):
        yield {"runs": runs} | profile(settings, runs)


def profile(settings: Settings, runs: int) -> Row:
    """Trace the second epoch of `runs` runs."""
    import jax

    from jax_impl import recipes
    from jax_impl.starts.from_images import draw_seeds
    from jax_impl.trainer import engine

    recipe, mnist = recipes.named(RECIPE).with_changes(epochs=2), mnist_part(settings.images)
    epochs = engine.fit_many(recipe, draw_seeds(recipe, range(runs), mnist), mnist)
    next(epochs)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            epoch, _ = next(epochs)
        (trace,) = Path(folder).rglob("*.xplane.pb")
        return {"epoch": epoch.seconds} | summary(list(jax.profiler.ProfileData.from_file(str(trace)).planes))


def summary(planes: Sequence[Any]) -> Row:
    """Return the kernels of a trace by their total time, and the time that they cover together.

    A CPU's trace has no kernels: its planes are the host's.
    """
    seconds: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    spans: list[tuple[float, float]] = []
    lines = [line for plane in planes if plane.name.startswith("/device:GPU") for line in plane.lines]
    for line in lines:
        if line.name.startswith("Stream"):  # other lines repeat the kernels by module and by operation
            for event in line.events:
                seconds[event.name] += event.duration_ns * 1e-9
                counts[event.name] += 1
                spans.append((event.start_ns, event.start_ns + event.duration_ns))
    by_time = sorted(seconds, key=seconds.__getitem__, reverse=True)
    busy, whole = covered(spans)
    return {
        "busy": busy * 1e-9,
        "whole": whole * 1e-9,
        "launches": len(spans),
        "kernels": [{"name": name, "seconds": seconds[name], "count": counts[name]} for name in by_time[:TOP]],
        "lines": [line.name for line in lines],
    }


def covered(spans: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Return the length of the union of these spans, and that from the first start to the last end."""
    total, first, reached = 0.0, None, float("-inf")
    for start, end in sorted(spans):
        first = start if first is None else first
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total, 0.0 if first is None else reached - first
