"""The command `data`, and the data of every other command: fetched if necessary, and verified."""

import contextlib
from pathlib import Path

from jax_impl import data
from jax_impl.commands.options.parser import Data
from jax_impl.commands.shared.terminal import complain, download_bar, say
from jax_impl.fetch import folder, sources


def run(command: Data) -> None:
    """Fetch MNIST if necessary; print where it is and which source gave it."""
    source = ensure(command.data_dir, command.mirror)
    say(f"MNIST is in {data.raw_folder(command.data_dir)}, four files verified; taken from {source}")


def load(data_dir: Path | None) -> data.Mnist:
    """Return MNIST, fetched first if necessary.

    Raises:
        DataError: It cannot be fetched or read.
    """
    with contextlib.suppress(data.DataError):  # it is there, as a rule: read once
        return data.load(data_dir)
    ensure(data_dir)
    return data.load(data_dir)


def ensure(data_dir: Path | None, mirror: str | None = None) -> str:
    """Make sure that MNIST is in its folder; failed attempts are printed to standard error."""
    with download_bar() as bar:
        task = bar.add_task("looking for MNIST", total=None)

        def watch(arrived: int, total: int) -> None:
            bar.update(task, description="downloading MNIST", completed=arrived, total=total)

        return folder.ensure(data_dir, sources=sources.default(mirror, watch=watch), log=complain)
