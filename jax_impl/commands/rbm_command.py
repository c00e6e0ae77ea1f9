"""What the commands `rbm` and `dbn` do: train, keep what was reached, measure and draw."""

from collections.abc import Callable, Iterator

import jax.numpy as jnp

from jax_impl.commands import stopping
from jax_impl.commands.cli_rbm import TrainDbn, TrainRbm
from jax_impl.commands.cli_saving import counted, of_the_next
from jax_impl.commands.progress import epochs_bar, waiting
from jax_impl.data import Mnist
from jax_impl.errors import DivergedError, keeping
from jax_impl.pixels import scale
from jax_impl.rbm import dbn, outputs, resuming
from jax_impl.rbm.dbn import StackReached
from jax_impl.storage import files, runs
from jax_impl.storage.checkpoint import FOLDER, Checkpoints


def train(command: TrainRbm | TrainDbn, mnist: Mnist, stop: stopping.Stop, log: Callable[[str], None]) -> Iterator[str]:
    """Train RBMs from the pixels up and write the files of the run; yield the lines to print.

    What was reached is kept also when the run ends early; an earlier run stays until there is something to keep.

    Raises:
        UserError: A setting is out of range, or the folder cannot be written.
        DivergedError: The learning rate is too large.
        Interrupted: With the words that say what is kept.
    """
    sizes, settings, out = command.sizes(), command.settings(), command.out
    runs.check(out)
    train, test = (scale(jnp.asarray(part), settings.dtype) for part in (mnist.train_images, mnist.test_images))
    with files.taken(out), Checkpoints(out / FOLDER, resuming.identity(sizes, settings, mnist)) as kept:
        saved = kept.to_resume(resume=command.resume, log=log)
        since = resuming.unpacked(saved) if saved else None
        reached, begun, epochs = since, since is not None, settings.epochs * len(sizes)
        try:
            with epochs_bar() as bar, stop.softly():
                task = bar.add_task("RBM 1", total=epochs, completed=len(since.records) if since else 0)
                for reached in dbn.advance_stack(sizes, settings, train, test, since, command.checkpoint_every):
                    bar.update(task, description=f"RBM {len(reached.stack)}")
                    if reached.fresh:
                        continue
                    if not begun:
                        kept.check_room(reached.stack, reached.state)
                        outputs.begin(out, sizes, settings)
                        kept.remove()
                        begun = True
                    place = resuming.place(reached, len(train) // settings.batch_size)
                    kept.save(place, *resuming.packed(reached, epochs))
                    if not reached.steps:
                        outputs.record(out, reached.records, reached.stack)
                        yield str(reached.records[-1])
                        bar.update(task, advance=1)
                    if stop.wanted and len(reached.records) < epochs:
                        kept.wait()
                        raise stop.interrupted()
            assert reached is not None  # noqa: S101 - there is at least an initial machine
            if not begun:
                outputs.begin(out, sizes, settings)
            outputs.record(out, reached.records, reached.stack)
            if isinstance(command, TrainRbm):
                with waiting("annealed importance sampling"):
                    found = outputs.likelihood(out, reached.stack[0], train, test)
                yield f"log-likelihood of the test images: {found}"
            with waiting("drawing"):
                outputs.draw(out, reached.records, reached.stack, mnist.test_images)
        except (DivergedError, KeyboardInterrupt) as error:
            raise keeping(error, _kept(error, reached, command, kept)) from error
    yield f"written to {out}"


def _kept(
    error: DivergedError | KeyboardInterrupt,
    reached: StackReached | None,
    command: TrainRbm | TrainDbn,
    kept: Checkpoints,
) -> str:
    """Say what there is of a training that ended early."""
    if reached is None or not (reached.records or reached.steps):
        return "nothing was written"
    epochs = len(reached.records)
    text = f"{command.out} holds {counted(epochs, 'epoch')}"
    if epochs:
        text += f" and the machines after {'it' if epochs == 1 else 'them'}"
    if isinstance(error, DivergedError):
        kept.remove()  # it would diverge again
        return text
    return f"{text}{of_the_next(reached.steps)}: the same command with --resume goes on from there"
