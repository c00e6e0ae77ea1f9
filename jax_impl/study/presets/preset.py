"""What a published result is here: parts that are measured and kept, and checks of them against their bands."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jax_impl.data import Mnist
from jax_impl.draws import START
from jax_impl.recipes import Recipe
from jax_impl.storage import hardware, records
from jax_impl.storage.records import Record

RECORDS = "presets.jsonl"
VERSION = 2  # raise it when what is measured, or how, changes: older records are then not taken for it

Seeds = Sequence[int]
Measure = Callable[[Recipe, Seeds, Mnist], dict[str, Any]]
Data = Mapping[str, Any]  # what the parts of a preset gave, by their names


class Check(NamedTuple):
    """Measured numbers, usually one a seed, and the band in which every one of them must lie."""

    name: str
    values: tuple[float, ...]
    low: float
    high: float
    published: str  # where the band comes from

    @property
    def passed(self) -> bool:
        """Whether something was measured and all of it lies in the band; NaN does not."""
        return bool(self.values) and all(self.low <= value <= self.high for value in self.values)

    @property
    def band(self) -> str:
        """Return the band in words."""
        if self.low == self.high:
            return f"exactly {self.low:.4g}"
        if math.isinf(self.low):
            return f"at most {self.high:.4g}"
        return f"at least {self.low:.4g}" if math.isinf(self.high) else f"{self.low:.4g} to {self.high:.4g}"

    @property
    def measured(self) -> str:
        """Return the smallest and the largest number."""
        if not self.values or any(math.isnan(value) for value in self.values):
            return "not a number" if self.values else "nothing"
        low, high = f"{min(self.values):.4g}", f"{max(self.values):.4g}"
        return low if low == high else f"{low} to {high}"


def check(
    name: str,
    values: Iterable[float | int | None],
    low: float | int = -math.inf,
    high: float | int = math.inf,
    *,
    published: str,
) -> Check:
    """Return the check of some numbers; None, JSON's word for what is no number, is NaN."""
    numbers = tuple(math.nan if value is None else float(value) for value in values)
    return Check(name, numbers, float(low), float(high), published)


class Part(NamedTuple):
    """One thing to measure over seeds."""

    recipe: Recipe
    measure: Measure


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published result, how it is measured and what must come out."""

    name: str
    title: str
    source: str
    claim: str
    parts: Mapping[str, Part]
    checks: Callable[[Data], list[Check]]


def key(preset: Preset, label: str, seeds: Seeds) -> str:
    """Return what names a part's record: it changes with every setting that its result depends on."""
    part = preset.parts[label]
    settings = [VERSION, START, preset.name, label, asdict(part.recipe), part.measure.__qualname__, list(seeds)]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def go_on(preset: Preset, seeds: Seeds, mnist: Mnist, out: Path) -> Iterator[tuple[str, Record, bool]]:
    """Measure the parts that `out` has no record of; each yields its label, its record and whether it was there.

    Raises:
        UserError: The records cannot be read or written.
    """
    kept = records.load(out / RECORDS)
    for label, part in preset.parts.items():
        name = key(preset, label, seeds)
        known = name in kept
        if not known:
            started = time.perf_counter()
            data = part.measure(part.recipe, seeds, mnist)
            kept[name] = {
                "key": name,
                "preset": preset.name,
                "part": label,
                "seeds": list(seeds),
                "data": data,
                "seconds": time.perf_counter() - started,
                "made": hardware.now(),
                "where": hardware.line(),
            }
            records.add(out / RECORDS, kept[name])
        yield label, kept[name], known


def data_of(preset: Preset, seeds: Seeds, out: Path) -> Data | None:
    """Return what was measured of a preset; None unless every part is there.

    Raises:
        UserError: The records cannot be read.
    """
    kept = records.load(out / RECORDS)
    names = {label: key(preset, label, seeds) for label in preset.parts}
    return {label: kept[name]["data"] for label, name in names.items()} if set(names.values()) <= set(kept) else None
