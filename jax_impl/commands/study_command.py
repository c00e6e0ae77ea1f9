"""The command `study`: runs what of a grid or of presets is not there yet, and writes the report.

Where several processes take part, all of them train, and the first alone writes and has something to say.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from jax_impl.commands import cli, cli_saving, distributed, stopping
from jax_impl.commands.progress import steps_bar
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, UserError, keeping
from jax_impl.storage import files, records, runs
from jax_impl.study import budget, manifest, verdicts
from jax_impl.study import cells as study_cells
from jax_impl.study import grid as study
from jax_impl.study.presets import preset as evidence
from jax_impl.study.presets import registry
from jax_impl.trainer import devices

Say = Callable[[str], None]


class Asked(NamedTuple):
    """What a study is to do: presets, or else the cells of a grid."""

    presets: list[evidence.Preset]
    cells: list[study_cells.Cell]


def asked(command: cli.Study) -> Asked:
    """Return what the options ask for.

    Raises:
        ArgumentError: A name is unknown or a value out of range, or options contradict each other.
    """
    chosen = registry.named(command.presets())
    if chosen and command.distributed:
        raise ArgumentError("--preset trains in one process: leave out --distributed")
    cli_saving.check_every(command.checkpoint_every)
    if chosen and command.checkpoint_every:
        raise ArgumentError("--preset keeps whole parts alone: leave out --checkpoint-every")
    grid = None if chosen else study.Grid(**command.axes(), seeds=command.seeds, first_seed=command.first_seed)
    return Asked(chosen, grid.cells() if grid else [])


def run(
    command: cli.Study, what: Asked, load: Callable[[], Mnist], say: Say, complain: Say, stop: stopping.Stop
) -> None:
    """Run the command; what it has to say is said line by line.

    Raises:
        UserError: As the parts do; or a published result did not come out.
        Interrupted: With the words that say what is kept.
    """
    chosen = what.presets
    leads = distributed.leads()
    say = say if leads else _nothing
    if leads:
        runs.check(command.out)
    mnist = load()
    with files.taken(command.out) if leads else contextlib.nullcontext():
        try:
            if chosen:
                _run_presets(command, chosen, mnist, say, stop)
            else:
                with stop.softly():
                    _run_cells(command, what.cells, mnist, say, stop)
        except KeyboardInterrupt as error:
            kept = f"what is finished is kept in {command.out}: the same command goes on from there"
            raise keeping(error, kept) from error
        if not leads:
            return
        from jax_impl.study import figures, page  # with Matplotlib, which only who writes has to wait for

        result = page.write(command.out)
    for advice in [] if chosen else result.advice:
        say(f"{figures.title(advice.best)}: {verdicts.words(advice)}")
    say(f"written to {command.out / 'index.html'}")
    checks = [check for preset in chosen for check in result.presets[preset.name]]
    failed = [check for check in checks if not check.passed]
    for check in failed:
        complain(f"failed: {check.name}: measured {check.measured}, expected {check.band}")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(checks)} published results did not come out; see {command.out / 'study.md'}"
        )


def _run_cells(command: cli.Study, cells: list[study_cells.Cell], mnist: Mnist, say: Say, stop: stopping.Stop) -> None:
    """Run a grid, its cost told beforehand; say a line a cell."""
    costs = _costs(command, cells, len(mnist.train_images), say) if distributed.leads() else {}
    max_bytes = None if command.max_gib is None else command.max_gib * budget.GIB
    with steps_bar("cells", len(cells)) as bar:
        task = bar.add_task("study", total=sum(costs.values()) or 1, done=0)
        results = study.go_on(
            cells,
            mnist,
            command.out,
            max_bytes=max_bytes,
            log=say,
            heed=partial(distributed.heed, stop),
            every=command.checkpoint_every,
        )
        for done, (cell, record, known) in enumerate(results, start=1):
            row = verdicts.row(record)
            say(f"{cell}: {row.verdict}, {row.accuracy.percent()} ({'kept' if known else f'{row.seconds:.1f} s'})")
            bar.update(task, advance=costs.get(cell.key, 0.0), done=done)


def _costs(command: cli.Study, cells: list[study_cells.Cell], n_images: int, say: Say) -> dict[str, float]:
    """Return the seconds that each cell to be run will take, by its key, and say their sum."""
    kept = records.load(command.out / study.RECORDS)
    left = [cell for cell in cells if cell.key not in kept]
    found: list[budget.Cost] = []
    if left:
        hours, gib = command.max_hours, command.max_gib
        found = budget.plan(left, n_images, max_hours=hours, max_gib=gib, workers=devices.workers())
    costs = {cell.key: cost.seconds for cell, cost in zip(left, found, strict=True)}
    if left:
        say(f"{len(left)} of {len(cells)} cells to run, about {sum(costs.values()) / 60:.1f} minutes")
    manifest.remember(command.out, cells=cells)
    return costs


def _run_presets(
    command: cli.Study, chosen: list[evidence.Preset], mnist: Mnist, say: Say, stop: stopping.Stop
) -> None:
    """Measure presets part by part; say a line a check."""
    seeds = range(command.first_seed, command.first_seed + command.seeds)
    parts = sum(len(preset.parts) for preset in chosen)
    with steps_bar("parts", parts) as bar:
        task = bar.add_task("presets", total=parts, done=0)
        for preset in chosen:
            for label, _, _ in evidence.go_on(preset, seeds, mnist, command.out):
                done = int(bar.tasks[0].completed) + 1
                bar.update(task, advance=1, done=done, description=f"{preset.name}: {label}")
                if stop.wanted and done < parts:
                    raise stop.interrupted()
            manifest.remember(command.out, measured={preset.name: seeds})
            say(f"{preset.name}: {preset.claim}")
            for check in preset.checks(evidence.data_of(preset, seeds, command.out) or {}):
                verdict = "pass" if check.passed else "FAIL"
                say(f"  {verdict}  {check.name}: {check.measured} (expected {check.band})")


def _nothing(text: str) -> None:
    """Say nothing."""
