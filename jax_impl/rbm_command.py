"""What the commands `rbm` and `dbn` do: train, keep what was reached, measure and draw."""

from collections.abc import Iterator

import jax.numpy as jnp

from jax_impl import dbn, rbm_runs, runs
from jax_impl.cli_rbm import TrainDbn, TrainRbm
from jax_impl.data import Mnist
from jax_impl.errors import DivergedError
from jax_impl.pixels import scale
from jax_impl.progress import epochs_bar, waiting
from jax_impl.rbm import Rbm
from jax_impl.rbm_train import RbmRecord


def train(command: TrainRbm | TrainDbn, mnist: Mnist) -> Iterator[str]:
    """Train RBMs from the pixels up and write the files of the run; yield the lines to print.

    What was reached is kept also when the run ends early; an earlier run stays until the first epoch is done.

    Raises:
        UserError: A setting is out of range, or the folder cannot be written.
        DivergedError: The learning rate is too large.
    """
    sizes, settings, out = command.sizes(), command.settings(), command.out
    runs.check(out)
    train, test = (scale(jnp.asarray(part), settings.dtype) for part in (mnist.train_images, mnist.test_images))
    records: list[RbmRecord] = []
    stack: list[Rbm] = []
    try:
        with epochs_bar() as bar:
            task = bar.add_task("RBM 1", total=settings.epochs * len(sizes))
            for record, so_far in dbn.fit_stack(sizes, settings, train, test):
                stack = so_far
                if record is None:  # an initial machine
                    bar.update(task, description=f"RBM {len(stack)}")
                    continue
                records.append(record)
                if len(records) == 1:
                    rbm_runs.begin(out, sizes, settings)
                rbm_runs.record(out, records, stack)
                yield str(record)
                bar.update(task, advance=1)
        if not records:
            rbm_runs.begin(out, sizes, settings)
            rbm_runs.record(out, records, stack)
        if isinstance(command, TrainRbm):
            with waiting("annealed importance sampling"):
                found = rbm_runs.likelihood(out, stack[0], train, test)
            yield f"log-likelihood of the test images: {found}"
        with waiting("drawing"):
            rbm_runs.draw(out, records, stack, mnist.test_images)
    except (DivergedError, KeyboardInterrupt) as error:
        saved = f"{out} holds {len(records)} epochs and the machines after them" if records else "nothing was written"
        raise type(error)(f"{error}; {saved}" if error.args else saved) from error
    yield f"written to {out}"
