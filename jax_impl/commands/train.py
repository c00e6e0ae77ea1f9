"""The command `train`: trains a recipe and writes a run folder.

With several processes, all of them train; the first one prints and writes.
"""

import contextlib
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import jax

from jax_impl import interop
from jax_impl.commands.data import load
from jax_impl.commands.options import naming
from jax_impl.commands.options.train import Train
from jax_impl.commands.shared import cluster
from jax_impl.commands.shared.following import announce, follow
from jax_impl.commands.shared.stopping import Stop
from jax_impl.commands.shared.terminal import complain, epochs_bar, say, waiting
from jax_impl.data import Mnist
from jax_impl.draws import Draws, check_batch_size, native
from jax_impl.errors import ArgumentError
from jax_impl.rbm.estimate import machines
from jax_impl.rbm.files import load_stack
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.settings import PRETRAINING
from jax_impl.rbm.training import RbmRecord
from jax_impl.recipes import Recipe
from jax_impl.starts.from_images import start_from_images
from jax_impl.starts.replayed import replayed
from jax_impl.storage import files, runs
from jax_impl.storage.checkpoints import FOLDER, Checkpoints
from jax_impl.trainer import devices, estimate, one_run, processes
from jax_impl.trainer.progress import Progress
from jax_impl.trainer.saving import Saver, file_digest, identity

RESULTS = ("metrics.jsonl", "params.safetensors", "curve.png")


def run(command: Train, recipe: Recipe, stop: Stop) -> None:
    """Train the recipe and write the run folder.

    Raises:
        UserError: A file cannot be read or written, or the folder holds another run.
        DivergedError: The text says what is kept. So does that of an `Interrupted`.
    """
    _check_size(command, recipe)
    dbn, dbn_digest = (load_stack(command.dbn), file_digest(command.dbn)) if command.dbn else (None, None)
    out = command.out or naming.run_folder(recipe, **_not_in_recipe(command.stream, dbn_digest))
    jax.config.update("jax_enable_x64", recipe.dtype == "float64")
    mnist = load(command.data_dir)
    n_images = len(mnist.train_images)
    draws = _replayed(recipe, n_images, stop) if command.stream == "torch" else native(recipe, n_images)
    leads = cluster.leads()
    if leads:
        runs.check_writable(out)
    outputs = RunFolder(out, recipe, command.stream, dbn_digest)
    checkpoints = Checkpoints(out / FOLDER, identity(recipe, mnist, stream=command.stream, dbn=dbn_digest))
    if leads and not command.resume:
        outputs.check_replaceable(checkpoints, overwrite=command.overwrite)  # before the lock, which writes a file
    with files.locked(out) if leads else contextlib.nullcontext():
        saved = checkpoints.to_resume(complain) if leads and command.resume else None
        if leads and saved is None:
            outputs.check_replaceable(checkpoints, overwrite=command.overwrite)
        if not processes.from_first(saved is not None):
            draws = _start_from_images(recipe, mnist, draws, dbn, stop)
        initial = one_run.begin(recipe, draws, saved)
        reached = len(initial.records) + bool(initial.steps)
        if recipe.epochs < reached:
            raise ArgumentError(f"{out} has reached epoch {reached}: --epochs must not be less, got {recipe.epochs}")
        mesh = devices.mesh_for_batches(recipe.batch_size) if command.data_parallel else None
        course = one_run.advance(recipe, mnist, draws, initial, mesh=mesh, every=command.checkpoint_every)
        with stop.polling():
            if not leads:
                for progress in course:
                    if len(progress.records) < recipe.epochs:
                        cluster.raise_if_stopped(stop)
                return
            steps = n_images // recipe.batch_size
            saver = Saver(checkpoints, epochs=recipe.epochs, steps=steps, every=command.checkpoint_every)
            progress = follow(course, initial, outputs, saver, partial(cluster.raise_if_stopped, stop))
            with waiting("writing the results"):
                outputs.keep(progress)
    say("Learning finished")
    say(f"written to {out}")


class RunFolder:
    """Writes config.json, metrics.jsonl, params.safetensors and curve.png."""

    kept = "parameters"

    def __init__(self, out: Path, recipe: Recipe, stream: str, dbn: str | None) -> None:
        """Take the settings of the run; `dbn` is the SHA-256 of the file that it starts from."""
        self.out, self.recipe, self.stream, self.dbn, self.name = out, recipe, stream, dbn, recipe.name

    def check_replaceable(self, checkpoints: Checkpoints, *, overwrite: bool) -> None:
        """Raise a UserError if the folder holds what this run must not replace."""
        if not overwrite:
            runs.check_replaceable(checkpoints, self._settings(), RESULTS, epochs=self.recipe.epochs)

    def begin(self, *, replace: bool) -> None:
        """Write config.json; with `replace`, delete the results of an earlier run."""
        runs.describe(self.out, RESULTS if replace else (), **self._settings())
        threading.Thread(target=_import_matplotlib, daemon=True).start()

    def _settings(self) -> dict[str, object]:
        """Return everything that the results depend on, for config.json."""
        return {"recipe": asdict(self.recipe), "stream": self.stream, "dbn": self.dbn}

    def epoch(self, progress: Progress) -> None:
        """Write one line of JSON per epoch."""
        lines = "".join(json.dumps(asdict(record)) + "\n" for record in progress.records)
        files.write(self.out / "metrics.jsonl", lines.encode())

    def keep(self, progress: Progress) -> None:
        """Write the metrics, the parameters and the curve."""
        self.epoch(progress)
        interop.save(self.out / "params.safetensors", jax.tree.map(lambda leaf: leaf[0], progress.state.params))
        if progress.records:
            from jax_impl.figures.curve import curve

            title = naming.title(self.recipe, **_not_in_recipe(self.stream, self.dbn))
            costs, accuracies = zip(*((epoch.cost, epoch.test_accuracy) for epoch in progress.records), strict=True)
            files.write(self.out / "curve.png", curve(costs, accuracies, f"{title}, JAX"))


def _import_matplotlib() -> None:
    """Import what draws the curve while the devices train. `keep` meets an error again."""
    with contextlib.suppress(Exception):
        import jax_impl.figures.curve  # noqa: F401


def _not_in_recipe(stream: str, dbn: str | None) -> dict[str, object]:
    """Return the other settings as they are shown in names and titles: those that are defaults are None."""
    return {"stream": None if stream == "torch" else stream, "dbn": dbn and dbn[:8]}


def _check_size(command: Train, recipe: Recipe) -> None:
    """Refuse a run that does not fit into the memory, and announce a long one."""
    check_batch_size(recipe.batch_size, estimate.TRAIN_IMAGES)
    pretraining = replace(PRETRAINING, dtype=recipe.dtype)
    hidden = recipe.layers[1:-1] if recipe.init == "dbn" and not command.dbn else ()

    def needs(batch_size: int) -> estimate.Memory:
        memory = estimate.network(recipe.with_changes(batch_size=batch_size))
        return memory.plus(machines(hidden, pretraining)) if hidden else memory

    estimate.refuse(needs, batch_size=recipe.batch_size)
    if cluster.leads():
        announce(estimate.network_work(recipe))


def _replayed(recipe: Recipe, n_images: int, stop: Stop) -> Draws:
    """Return torch's draws. Many passes of the init cell take long, so they show their progress and can be stopped."""
    with waiting("running the init cell", total=recipe.init_passes) as show:

        def watch(passes: int) -> None:
            show(passes)
            if passes < recipe.init_passes:
                cluster.raise_if_stopped(stop)

        return replayed(recipe, n_images, watch=watch)


def _start_from_images(recipe: Recipe, mnist: Mnist, draws: Draws, dbn: Sequence[Rbm] | None, stop: Stop) -> Draws:
    """Let an initialiser that uses images change the draws; show the progress of a DBN's training."""
    with epochs_bar() as bar:
        total = PRETRAINING.epochs * (len(recipe.layers) - 2)
        task = bar.add_task("pretraining", total=total, visible=recipe.init == "dbn")

        def watch(record: RbmRecord) -> None:
            if cluster.leads():
                say(str(record))
            bar.update(task, advance=1)
            cluster.raise_if_stopped(stop)

        return start_from_images(mnist.train_images, recipe, draws, stack=dbn, held_out=mnist.test_images, watch=watch)
