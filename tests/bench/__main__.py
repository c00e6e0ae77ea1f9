"""Times this project and others side by side, and says where its seconds go: `make bench`."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import arg

from jax_impl.commands.shared.cores import cores
from jax_impl.errors import ArgumentError, UserError
from jax_impl.storage import runs
from tests.bench import comparison, contenders, results
from tests.bench.settings import RECIPES, SHORT, Settings

Recipes = tuple[Literal[RECIPES], ...]
Names = tuple[Literal[tuple(contenders.ENTRIES)], ...]
Parts = tuple[Literal[tuple(results.PARTS)], ...]
DEFAULT = Settings()


def main(
    recipe_names: Annotated[Recipes, arg(name="recipes", help="What to train.")] = DEFAULT.recipes,
    names: Annotated[
        Names, arg(name="contenders", help="Who trains; jax always does.", help_behavior_hint="(default: all)")
    ] = DEFAULT.contenders,
    rounds: Annotated[int, arg(help="Epochs of each contender, starts and commands that count.")] = DEFAULT.rounds,
    images: Annotated[
        int | None,
        arg(
            help="Number of training images, from the first one; whole commands use all of them.",
            help_behavior_hint=f"(default: {contenders.IMAGES} for {RECIPES[0]}, {SHORT} for the rest)",
        ),
    ] = None,
    epochs: Annotated[int, arg(help="Epochs of the whole commands.")] = DEFAULT.epochs,
    skip: Annotated[Parts, arg(help="Parts to leave out.", help_behavior_hint="(default: none)")] = (),
    out: Annotated[Path, arg(metavar="DIR", help="Where bench.json, bench.md and bench.png go.")] = Path(
        "reports/bench"
    ),
    compare: Annotated[
        Path | None, arg(metavar="FILE", help="Compare the ratios with this bench.json; exit 1 if one grew.")
    ] = None,
    other: Annotated[
        Path | None, arg(name="with", metavar="FILE", help="Compare this bench.json, and measure nothing.")
    ] = None,
) -> int:
    """Measure all parts, each in turns with others, and write tables and a figure. Return the exit code."""
    baseline = comparison.read(compare) if compare else None
    if other and not (compare and baseline):
        raise ArgumentError("--with needs something to compare with: add --compare FILE")
    found = comparison.read(other) if other else None
    if compare and baseline:
        comparison.check_cores(compare, baseline, found["machine"]["cores"] if found else cores())
    if found is None:
        settings = Settings(recipes=recipe_names, contenders=names, rounds=rounds, images=images, epochs=epochs)
        found = measure(settings, skip, out)
    return comparison.report(baseline, found) if baseline else 0


def measure(settings: Settings, skip: tuple[str, ...], out: Path) -> dict[str, Any]:
    """Measure all parts but those to skip. What is found is written at once, so an interrupted run keeps it."""
    runs.check_writable(out)  # before minutes are spent
    found = results.where()
    for name, part in results.PARTS.items():
        if name in skip:
            continue
        started = time.perf_counter()
        for of_part in part.measure(settings):
            found[name] = of_part
            found["minutes"][name] = (time.perf_counter() - started) / 60
            results.write(out, found)
        for table in part.tables(found[name]):
            table.show()
    print(f"written to {out}")
    return found


if __name__ == "__main__":
    try:
        sys.exit(tyro.cli(main, prog="python -m tests.bench"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
