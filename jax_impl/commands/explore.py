"""The command `explore`: measures the networks that have no file yet, and writes the interactive page."""

from functools import partial
from itertools import pairwise

from jax_impl.commands.data import load
from jax_impl.commands.options.explore import Explore
from jax_impl.commands.options.shared import integers, listed
from jax_impl.commands.shared import cluster
from jax_impl.commands.shared.stopping import Stop
from jax_impl.commands.shared.terminal import cost_bar, say, waiting
from jax_impl.errors import with_note
from jax_impl.explore import grid, page, settings, training
from jax_impl.explore.settings import Network
from jax_impl.storage import files, runs
from jax_impl.trainer import devices


def run(command: Explore, stop: Stop) -> None:
    """Measure the networks, and write the page.

    Raises:
        UserError: A file cannot be read or written, or the page's chart library is missing.
        Interrupted: The text says what is kept.
    """
    page.check_installed()
    runs.check_writable(command.out)
    networks = chosen(command)
    mnist = load(command.data_dir)
    mesh = devices.mesh_for_runs(training.AT_ONCE)
    with files.locked(command.out), stop.polling():
        try:
            with cost_bar("networks", len(networks)) as bar:
                task = bar.add_task("explore", total=sum(map(cost, networks)), done=0)
                measured = grid.measure_remaining(
                    networks, mnist, command.out, mesh, partial(cluster.raise_if_stopped, stop)
                )
                for done, (network, known) in enumerate(measured, start=1):
                    bar.update(task, advance=cost(network), done=done)
                    say(f"{network}: {'kept' if known else 'measured'}")
        except KeyboardInterrupt as error:
            raise with_note(error, f"finished work is kept in {command.out}: repeat the command to continue") from error
        with waiting("writing the page"):
            path = page.write(command.out, networks)
    if not page.NUMBERS.exists():
        say(f"{page.NUMBERS} is missing: the page has no published results")
    say(f"written to {path}")


def chosen(command: Explore) -> list[Network]:
    """Return the networks that the options name."""
    depths, widths = integers("depths", command.depths), integers("widths", command.widths)
    activations = listed(command.activations)
    return [
        network
        for network in settings.networks()
        if network.depth in depths and network.width in widths and network.activation in activations
    ]


def cost(network: Network) -> int:
    """Return about how long a network takes, in any unit: its weights, and the same again for each layer."""
    return sum(fan_in * fan_out for fan_in, fan_out in pairwise(network.layers)) + 30_000 * network.depth
