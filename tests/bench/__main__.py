"""Times an epoch in JAX and elsewhere, against the least that it can cost, and a cold start: `make bench`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from jax_impl import recipes
from jax_impl.errors import UserError
from jax_impl.storage import runs
from tests.bench import cold, contenders, results, turns

Recipes = tuple[Literal["mnist_nn_xavier", "mnist_nn_deep"], ...]  # relu and Xavier, which all contenders have
Names = tuple[Literal[tuple(contenders.ENTRIES)], ...]
Parts = tuple[Literal["cold"], ...]


def main(
    recipe_names: Annotated[Recipes, arg(name="recipes", help="What to train.")] = ("mnist_nn_xavier", "mnist_nn_deep"),
    names: Annotated[
        Names, arg(name="contenders", help="Who trains; jax always does.", help_behavior_hint="(default: all)")
    ] = tuple(contenders.ENTRIES),
    rounds: Annotated[int, arg(help="Epochs of each contender, and starts, that count.")] = 5,
    images: Annotated[int, arg(help="The first so many of the training set; fewer for a try.")] = contenders.IMAGES,
    skip: Annotated[Parts, arg(help="What to leave out.", help_behavior_hint="(default: nothing)")] = (),
    out: Annotated[Path, arg(metavar="DIR", help="Where bench.json, bench.md and bench.png go.")] = Path(
        "reports/bench"
    ),
) -> None:
    """Time an epoch side by side, in turns, and write tables and a figure."""
    runs.check_writable(out)  # before minutes are spent
    found = results.where()
    for recipe_name in recipe_names:
        seconds = contenders.measure(recipe_name, rounds, tuple(dict.fromkeys(("jax", *names))), images)
        epoch = results.summary(recipes.named(recipe_name), images, seconds)
        found["epochs"][recipe_name] = epoch
        turns.show(results.heading(recipe_name, epoch), contenders.CONTENDERS, seconds, results.absent(epoch))
        if epoch["floor"]:
            print(results.floor_line(epoch))
        results.write(out, found)  # what is measured is kept
    if "cold" not in skip:
        found["cold"] = cold.summary(cold.measure(rounds))
        cold.show(found["cold"])
    results.write(out, found)
    print(f"written to {out}")


if __name__ == "__main__":
    try:
        tyro.cli(main, prog="python -m tests.bench")
    except UserError as error:
        sys.exit(f"error: {error}")
