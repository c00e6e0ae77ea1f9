"""The commands `rbm` and `dbn`: train machines, measure and draw them."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax.numpy as jnp

from jax_impl.commands.data import load
from jax_impl.commands.options import rbm as options
from jax_impl.commands.options.rbm import TrainDbn, TrainRbm
from jax_impl.commands.shared import cluster
from jax_impl.commands.shared.following import announce, follow
from jax_impl.commands.shared.stopping import Stop
from jax_impl.commands.shared.terminal import complain, say, waiting
from jax_impl.data import digest
from jax_impl.draws import check_batch_size
from jax_impl.errors import with_note
from jax_impl.model import scale
from jax_impl.rbm import dbn, outputs
from jax_impl.rbm.estimate import machines, machines_work
from jax_impl.rbm.likelihood import LogLikelihood
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.settings import Settings
from jax_impl.rbm.training import HeldOut, Images, RbmRecord
from jax_impl.storage import files, runs
from jax_impl.storage.checkpoints import FOLDER, Checkpoints
from jax_impl.trainer import estimate
from jax_impl.trainer.progress import Progress, unpack
from jax_impl.trainer.saving import VERSION, Saver


def run(command: TrainRbm | TrainDbn, sizes: tuple[int, ...], settings: Settings, stop: Stop) -> None:
    """Train RBMs from the pixels up and write the run folder.

    Raises:
        UserError: The folder cannot be written, or holds another run.
        DivergedError: The learning rate is too large. The text says what is kept; so does that of an `Interrupted`.
    """
    _check_size(command, sizes, settings)
    out, mnist = options.run_folder(command), load(command.data_dir)
    runs.check_writable(out)
    train, test = (scale(jnp.asarray(part), settings.dtype) for part in (mnist.train_images, mnist.test_images))
    # The learning rate falls over the epochs, so their number is part of the identity.
    identity = {"version": VERSION, **outputs.described(sizes, settings), "data": digest(mnist)}
    checkpoints = Checkpoints(out / FOLDER, identity)
    folder = MachinesFolder(out, sizes, settings)
    if not command.resume:
        folder.check_replaceable(checkpoints, overwrite=command.overwrite)  # before the lock, which writes a file
    with files.locked(out):
        since = None
        if command.resume and (saved := checkpoints.to_resume(complain)) is not None:
            since = unpack(*saved, like=dbn.structure(saved.tensors), record=RbmRecord)
        else:
            folder.check_replaceable(checkpoints, overwrite=command.overwrite)
        course = dbn.advance(sizes, settings, train, test, since, command.checkpoint_every)
        # Without epochs, the last progress has all machines.
        with waiting("preparing the first machine"):
            initial = since or (next(course) if settings.epochs else list(course)[-1])
        trained = (progress for progress in course if not dbn.is_untrained(progress))
        steps = len(train) // settings.batch_size
        saver = Saver(checkpoints, epochs=settings.epochs * len(sizes), steps=steps, every=command.checkpoint_every)
        with stop.polling():
            progress = follow(trained, initial, folder, saver, partial(cluster.raise_if_stopped, stop))
            folder.keep(progress)
        try:
            if isinstance(command, TrainRbm):
                likelihood = _likelihood(out, progress.state.stack[0], train, test, stop)
                say(f"log-likelihood of the test images: {likelihood}")
            with waiting("drawing the figures"):
                outputs.draw(out, progress.records, progress.state.stack, mnist.test_images, options.title(command))
        except KeyboardInterrupt as error:
            note = f"{out} holds the trained machines: repeat the command with --resume to draw the figures"
            raise with_note(error, note) from error
    say(f"written to {out}")


def _check_size(command: TrainRbm | TrainDbn, sizes: tuple[int, ...], settings: Settings) -> None:
    """Refuse machines that do not fit into the memory, and announce a long run."""
    check_batch_size(settings.batch_size, estimate.TRAIN_IMAGES)
    annealed = isinstance(command, TrainRbm)

    def needs(hidden: int, batch_size: int, k: int) -> estimate.Memory:
        smaller = [min(size, hidden) for size in sizes]
        return machines(smaller, replace(settings, batch_size=batch_size, k=k), annealed=annealed)

    estimate.refuse(needs, hidden=max(sizes), batch_size=settings.batch_size, k=settings.k)
    announce(machines_work(sizes, settings))


def _likelihood(out: Path, rbm: Rbm, train: Images, test: HeldOut, stop: Stop) -> LogLikelihood:
    """Estimate the likelihood; show the progress, because it takes about as long as an epoch or two."""
    with waiting("estimating the log-likelihood", total=outputs.ANNEALED) as show, stop.polling():

        def watch(temperatures: int) -> None:
            show(temperatures)
            cluster.raise_if_stopped(stop)

        return outputs.likelihood(out, rbm, train, test, watch)


class MachinesFolder:
    """Writes config.json, metrics.jsonl and params.safetensors."""

    kept = "machines"

    def __init__(self, out: Path, sizes: tuple[int, ...], settings: Settings) -> None:
        self.out, self.sizes, self.settings, self.name = out, sizes, settings, "RBM" if len(sizes) == 1 else "DBN"

    def check_replaceable(self, checkpoints: Checkpoints, *, overwrite: bool) -> None:
        """Raise a UserError if the folder holds what this run must not replace."""
        if not overwrite:
            settings = outputs.described(self.sizes, self.settings)
            epochs = self.settings.epochs * len(self.sizes)  # one machine after the other
            runs.check_replaceable(checkpoints, settings, outputs.RESULTS, epochs=epochs)

    def begin(self, *, replace: bool) -> None:
        """Write config.json; with `replace`, delete the results of an earlier run."""
        if replace:
            outputs.begin(self.out, self.sizes, self.settings)

    def epoch(self, progress: Progress) -> None:
        """Write the monitors of every epoch, and the machines."""
        outputs.record(self.out, progress.records, progress.state.stack)

    keep = epoch
