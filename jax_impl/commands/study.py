"""The command `study`: runs the missing cells of a grid, or presets, and writes the report.

With several processes, all of them train; the first one prints and writes.
"""

import contextlib
from functools import partial

from jax_impl.commands.data import load
from jax_impl.commands.options import study as options
from jax_impl.commands.options.command_line import command_line
from jax_impl.commands.options.study import Study
from jax_impl.commands.shared import cluster
from jax_impl.commands.shared.stopping import Stop
from jax_impl.commands.shared.terminal import complain, cost_bar, say, waiting
from jax_impl.data import Mnist
from jax_impl.errors import UserError, with_note
from jax_impl.storage import files, records, runs
from jax_impl.study import budget, grid, manifest, presets, verdicts
from jax_impl.study.cells import Cell
from jax_impl.study.presets import preset as published
from jax_impl.study.presets.preset import Preset
from jax_impl.trainer import devices
from jax_impl.trainer.memory import GIB


def plan(command: Study) -> tuple[list[Preset], list[Cell]]:
    """Return the presets to measure, or the cells of the grid to run.

    Raises:
        ArgumentError: A name is unknown, a value is out of range, or options contradict each other.
    """
    if chosen := presets.named(options.presets(command)):
        return chosen, []
    return [], grid.Grid(**options.axes(command), seeds=command.seeds, first_seed=command.first_seed).cells()


def run(command: Study, chosen: list[Preset], cells: list[Cell], stop: Stop) -> None:
    """Run the study that `plan` returned, and write its report.

    Raises:
        UserError: A file cannot be read or written, or a published result was not reproduced.
        Interrupted: The text says what is kept.
    """
    leads = cluster.leads()
    if leads:
        runs.check_writable(command.out)
    mnist = load(command.data_dir)
    with files.locked(command.out) if leads else contextlib.nullcontext():
        try:
            if chosen:
                _run_presets(command, chosen, mnist, stop)
            else:
                with stop.polling():
                    _run_cells(command, cells, mnist, stop)
            if leads:
                _report(command, chosen)
        except KeyboardInterrupt as error:
            raise with_note(error, f"finished work is kept in {command.out}: repeat the command to continue") from error


def _report(command: Study, chosen: list[Preset]) -> None:
    """Write the report; print the advice, or the published results that were not reproduced."""
    from jax_impl.study import figures, page  # imports Matplotlib, after the training

    with waiting("writing the report"):
        result = page.write(command.out)
    for advice in [] if chosen else result.advice:
        say(f"{figures.title(advice.best)}: {verdicts.words(advice)}")
    say(f"written to {command.out / 'index.html'}")
    checks = [check for preset in chosen for check in result.presets[preset.name].checks]
    failed = [check for check in checks if not check.passed]
    for check in failed:
        complain(f"failed: {check.name}: measured {check.measured}, expected {check.band}")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(checks)} published results were not reproduced; see {command.out / 'study.md'}"
        )


def _run_cells(command: Study, cells: list[Cell], mnist: Mnist, stop: Stop) -> None:
    """Run the missing cells of a grid; print the estimated time, and a line per cell."""
    leads = cluster.leads()
    costs = _costs(command, cells, len(mnist.train_images)) if leads else {}
    with cost_bar("cells", len(cells)) as bar:
        task = bar.add_task("study", total=sum(costs.values()) or 1, done=0)
        results = grid.run_remaining(
            cells,
            mnist,
            command.out,
            max_bytes=None if command.max_gib is None else command.max_gib * GIB,
            log=say if leads else lambda _: None,
            raise_if_stopped=partial(cluster.raise_if_stopped, stop),
            every=command.checkpoint_every,
        )
        for done, (cell, record, known) in enumerate(results, start=1):
            if leads:
                row = verdicts.row(record)
                time = "kept" if known else f"{row.seconds:.1f} s"
                say(f"{cell}: {row.verdict}, {row.accuracy.percent()} ({time})")
            bar.update(task, advance=costs.get(cell.key, 0.0), done=done)


def _costs(command: Study, cells: list[Cell], n_images: int) -> dict[str, float]:
    """Return the estimated seconds of each cell to run, by its key, and print their sum. Refuse too long a study."""
    kept = records.load(command.out / grid.RECORDS)
    left = [cell for cell in cells if cell.key not in kept]
    costs: dict[str, float] = {}
    if left:
        hours, gib = command.max_hours, command.max_gib
        with waiting("timing this machine"):
            planned = budget.plan(left, n_images, max_hours=hours, max_gib=gib, workers=devices.workers())
        costs = {cell.key: cost.seconds for cell, cost in zip(left, planned, strict=True)}
        say(f"{len(left)} of {len(cells)} cells to run, about {sum(costs.values()) / 60:.1f} minutes")
    manifest.remember(command.out, cells=cells, command=command_line("study", command))
    return costs


def _run_presets(command: Study, chosen: list[Preset], mnist: Mnist, stop: Stop) -> None:
    """Measure presets part by part; print a line per check."""
    seeds = range(command.first_seed, command.first_seed + command.seeds)
    parts = sum(len(preset.parts) for preset in chosen)
    done = 0
    with cost_bar("parts", parts) as bar:
        task = bar.add_task("presets", total=parts, done=0)
        for preset in chosen:
            for label, _, _ in published.measure_remaining(preset, seeds, mnist, command.out):
                done += 1
                bar.update(task, advance=1, done=done, description=f"{preset.name}: {label}")
                if done < parts:
                    cluster.raise_if_stopped(stop)
            manifest.remember(command.out, measured={preset.name: seeds}, command=command_line("study", command))
            say(f"{preset.name}: {preset.claim}")
            for check in preset.checks(published.measured_data(preset, seeds, command.out) or {}):
                verdict = "pass" if check.passed else "FAIL"
                say(f"  {verdict}  {check.name}: {check.measured} (expected {check.band})")
