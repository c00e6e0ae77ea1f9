"""A published result: the parts to measure, the bands to check, and the records of what was measured."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from jax_impl.starts import from_images
from jax_impl.storage import hardware, records
from jax_impl.storage.records import Record

if TYPE_CHECKING:
    import matplotlib.figure

RECORDS = "presets.jsonl"
VERSION = 2  # increase it when a measurement changes: older records are then measured again

# A string, because Matplotlib takes 0.3 s to import and only the report needs it.
Figure: TypeAlias = "matplotlib.figure.Figure"
Seeds = Sequence[int]
Measure = Callable[[Recipe, Seeds, Mnist], dict[str, Any]]  # returns plain JSON data
Data = Mapping[str, Any]  # by the label of a part, what its measure returned
Draw = Callable[[Figure, Data, bool], None]  # the flag says whether the figure is for a narrow screen


class Check(NamedTuple):
    """Measured numbers, usually one per seed, and the band in which all of them must lie."""

    name: str
    values: tuple[float, ...]
    low: float
    high: float
    published: str  # the source of the band

    @property
    def passed(self) -> bool:
        """Whether there are numbers and all of them lie in the band. NaN lies in no band."""
        return bool(self.values) and all(self.low <= value <= self.high for value in self.values)

    @property
    def band(self) -> str:
        """The band in words."""
        if self.low == self.high:
            return f"exactly {self.low:.4g}"
        if math.isinf(self.low):
            return f"at most {self.high:.4g}"
        return f"at least {self.low:.4g}" if math.isinf(self.high) else f"{self.low:.4g} to {self.high:.4g}"

    @property
    def measured(self) -> str:
        """The smallest and the largest number in words."""
        if not self.values or any(math.isnan(value) for value in self.values):
            return "not a number" if self.values else "nothing"
        low, high = f"{min(self.values):.4g}", f"{max(self.values):.4g}"
        return low if low == high else f"{low} to {high}"


def check(
    name: str, values: object, low: float | int = -math.inf, high: float | int = math.inf, *, published: str
) -> Check:
    """Return a check of numbers of any shape against the band from `low` to `high`.

    None counts as NaN: records store NaN so.
    """
    numbers = np.array(values, np.float64).ravel().tolist()
    return Check(name, tuple(numbers), float(low), float(high), published)


def last(by_seed: Iterable[Sequence[Any]]) -> list[Any]:
    """Return the last entry of each seed, such as the number after the last epoch."""
    return [entries[-1] for entries in by_seed]


class Part(NamedTuple):
    """One recipe, and what to measure of it over the seeds."""

    recipe: Recipe
    measure: Measure


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published result: what it claims, what is measured for it, and which numbers confirm it."""

    name: str
    title: str
    source: str
    claim: str
    parts: Mapping[str, Part]
    checks: Callable[[Data], list[Check]]
    draw: Draw
    caption: str


def record_key(preset: Preset, label: str, seeds: Seeds) -> str:
    """Return the key of a part's record. It depends on every setting that can change the measured numbers."""
    recipe, measure = preset.parts[label]
    settings = [VERSION, from_images.DEPENDS_ON, preset.name, label, asdict(recipe), measure.__qualname__, list(seeds)]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def measure_remaining(preset: Preset, seeds: Seeds, mnist: Mnist, out: Path) -> Iterator[tuple[str, Record, bool]]:
    """Measure the parts of which `out` has no record, and save each as soon as it is measured.

    Yields:
        For every part, its label, its record, and whether the record already existed.

    Raises:
        UserError: The records cannot be read or written.
    """
    saved = records.load(out / RECORDS)
    for label, (recipe, measure) in preset.parts.items():
        key = record_key(preset, label, seeds)
        existed = key in saved
        if not existed:
            started = time.perf_counter()
            saved[key] = {
                "key": key,
                "preset": preset.name,
                "part": label,
                "seeds": list(seeds),
                "data": measure(recipe, seeds, mnist),
                "seconds": time.perf_counter() - started,
                "made": hardware.now(),
                "where": hardware.line(),
            }
            records.add(out / RECORDS, saved[key])
        yield label, saved[key], existed


def measured_data(preset: Preset, seeds: Seeds, out: Path) -> Data | None:
    """Return the data of all parts from the records in `out`, or None if the record of any part is missing.

    Raises:
        UserError: The records cannot be read.
    """
    parts = saved_parts(preset, seeds, records.load(out / RECORDS))
    return None if parts is None else {label: record["data"] for label, record in parts.items()}


def saved_parts(preset: Preset, seeds: Seeds, saved: Mapping[str, Record]) -> dict[str, Record] | None:
    """Return the record of each part by its label, or None if the record of any part is missing from `saved`."""
    keys = {label: record_key(preset, label, seeds) for label in preset.parts}
    return {label: saved[key] for label, key in keys.items()} if set(keys.values()) <= saved.keys() else None
