"""The part `epochs`: seconds per epoch of every contender, and how many times the floor JAX takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jax_impl import recipes
from tests.bench import contenders, turns
from tests.bench.contenders import CONTENDERS, FLOORS, missing
from tests.bench.floor import flop
from tests.bench.settings import Settings
from tests.bench.tables import Table

Results = dict[str, Any]


def measure(settings: Settings) -> Iterator[Results]:
    """Time the recipes one after the other; yield the results by recipe after each."""
    found: Results = {}
    for name in settings.recipes:
        images = settings.images_of(name)
        seconds = contenders.measure(name, settings.rounds, tuple(dict.fromkeys(("jax", *settings.contenders))), images)
        found[name] = summary(recipes.named(name), images, seconds)
        yield found


def summary(recipe: recipes.Recipe, images: int, seconds: Mapping[str, Sequence[float]]) -> Results:
    """Return the rounds of a recipe's contenders, their medians and ranges, and the ratios to JAX and to the floor."""
    gflop = images // recipe.batch_size * flop(recipe.layers, recipe.batch_size) / 1e9
    return {
        "layers": recipe.layers,
        "batch": recipe.batch_size,
        "images": images,
        "gflop": gflop,
        "contenders": turns.summary(CONTENDERS, seconds, missing()),
        "floor": floor_of(seconds, gflop),
    }


def floor_of(seconds: Mapping[str, Sequence[float]], gflop: float) -> Results | None:
    """Return the floor whose median is the smaller one, and how many times its seconds JAX takes."""
    medians = {name: turns.spread(seconds[name]).median for name in FLOORS if name in seconds}
    if not medians:
        return None
    name = min(medians, key=lambda name: medians[name])
    jax_over_floor = turns.ratio(seconds["jax"], seconds[name])._asdict()
    return {
        "name": name,
        "median": medians[name],
        "gflop_per_second": gflop / medians[name],
        "jax_over_floor": jax_over_floor,
    }


def heading(name: str, epoch: Results) -> str:
    """Say what was trained."""
    return f"{name}, {'-'.join(map(str, epoch['layers']))}, {epoch['images']:,} images in batches of {epoch['batch']}"


def floor_line(epoch: Results) -> str:
    """Say in a sentence what the floor is and how far above it JAX stands."""
    floor, times = epoch["floor"], epoch["floor"]["jax_over_floor"]
    return (
        f"The floor is {floor['median']:.2f} s ({floor['name']}): {epoch['gflop']:,.0f} GFLOP in the matrix products "
        f"of an epoch, at {floor['gflop_per_second']:.0f} GFLOP/s. JAX takes {times['median']:.2f} times as long "
        f"(median of the rounds; {times['min']:.2f} to {times['max']:.2f})."
    )


def tables(found: Results) -> list[Table]:
    """Return a table for each recipe."""
    return [
        Table(
            heading(name, epoch),
            turns.HEADINGS,
            turns.summary_rows(epoch["contenders"]),
            f"Seconds per epoch of {epoch['images']:,} images, "
            f"{turns.counted(epoch['contenders']['jax']['seconds'])} in turns:",
            floor_line(epoch) if epoch["floor"] else "",
        )
        for name, epoch in found.items()
    ]
