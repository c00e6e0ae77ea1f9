"""The ratios of a `bench.json`, which can be compared between runs on one kind of machine; seconds cannot.

The time of this project is always in the numerator, so a larger ratio is worse. Some ratios have it in both places:
they grow, too, if the denominator alone gets faster. A ratio's name holds every setting on which it depends.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.bench import turns
from tests.bench.contenders import FLOORS
from tests.bench.tables import with_range

Results = dict[str, Any]


class Ratio(NamedTuple):
    """The median of the rounds' ratios, and their range."""

    median: float
    min: float
    max: float
    rounds: int

    def cell(self) -> str:
        """Return the median and the range as a cell of a table."""
        return with_range((self.median, self.min, self.max))


def ratios(results: Mapping[str, Any]) -> dict[str, Ratio]:
    """Return the ratios of all parts that were measured, by name."""
    found: dict[str, Ratio] = {}
    for part, of_part in PARTS.items():
        if part in results:
            found |= dict(of_part(results[part]))
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Return the ratio of our seconds to theirs, in as many rounds as both have."""
    rounds = min(len(ours), len(theirs))
    return Ratio(*turns.ratio(ours[:rounds], theirs[:rounds]), rounds)


def of_epochs(found: Results) -> Iterator[tuple[str, Ratio]]:
    """Yield JAX over the floor and over every other contender, for each recipe."""
    for recipe, epoch in found.items():
        contenders = epoch["contenders"]
        where, ours = f"{recipe}, {epoch['images']:,} images", contenders["jax"]["seconds"]
        if epoch["floor"]:
            floor = contenders[epoch["floor"]["name"]]["seconds"]
            yield f"{where}: JAX / matrix products", ratio(ours, floor)
        for name, one in contenders.items():
            if name not in ("jax", *FLOORS) and "seconds" in one:
                yield f"{where}: JAX / {name}", ratio(ours, one["seconds"])


def of_starts(found: Results) -> Iterator[tuple[str, Ratio]]:
    """Yield the first epoch's seconds with an empty compilation cache over those with a filled one."""
    empty, filled = (found[cache]["first_epoch"]["seconds"] for cache in ("empty", "filled"))
    yield "first epoch: empty / filled compilation cache", ratio(empty, filled)


def of_seeds(found: Results) -> Iterator[tuple[str, Ratio]]:
    """Yield the share that runs together take of single runs, for each cell."""
    seeds, images = found["seeds"], found["images"]
    for name, cell in found["cells"].items():
        alone = [seeds * seconds for seconds in cell["single"]["seconds"]]
        yield (
            f"{name}, {images:,} images: {seeds} runs / {seeds} single runs",
            ratio(cell["together"]["seconds"], alone),
        )


def of_machines(found: Results) -> Iterator[tuple[str, Ratio]]:
    """Yield the restricted Boltzmann machine in JAX over its floor and over every other contender."""
    contenders = found["contenders"]
    for name, one in contenders.items():
        if name != "jax" and "seconds" in one:
            other = "matrix products" if name == "floor" else name
            yield f"RBM, {found['images']:,} images: JAX / {other}", ratio(contenders["jax"]["seconds"], one["seconds"])


def of_commands(found: Results) -> Iterator[tuple[str, Ratio]]:
    """Yield our whole command over its epochs, and over the whole commands of others."""
    where, commands = f"train, {found['epochs']} epochs", found["commands"]
    ours = commands["jax"]["seconds"]
    yield f"{where}: whole command / its epochs", ratio(ours, found["own_epochs"]["seconds"])
    for name, one in commands.items():
        if name != "jax" and "seconds" in one:
            yield f"{where}: whole command / that of {name}", ratio(ours, one["seconds"])


PARTS = {"epochs": of_epochs, "cold": of_starts, "seeds": of_seeds, "rbm": of_machines, "commands": of_commands}
