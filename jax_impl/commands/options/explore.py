"""The options of `explore`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jax_impl.commands.options import shared
from jax_impl.commands.options.shared import FILES, GRID, integers, listed, option
from jax_impl.errors import require, unknown_name

# Those of `explore.settings`, which needs JAX
DEPTHS, WIDTHS, ACTIVATIONS = (2, 5, 10, 30), (32, 64, 128), ("relu", "tanh", "sigmoid")


@dataclass(frozen=True, kw_only=True)
class Explore:
    """Train networks from many starts for 600 steps each, and write an interactive page of the results.

    Finished networks are kept in the folder: repeat the command to continue.
    """

    depths: Annotated[str, option("N,…", "Numbers of hidden layers, of these.", group=GRID)] = "2,5,10,30"
    widths: Annotated[str, option("N,…", "Units of a hidden layer, of these.", group=GRID)] = "32,64,128"
    activations: Annotated[str, option("NAME,…", "Activations between the layers, of these.", group=GRID)] = (
        "relu,tanh,sigmoid"
    )
    data_dir: shared.DataDir = None
    out: Annotated[Path, option("DIR", "Folder of the records and the page.", group=FILES)] = Path("reports/explore")
    max_seconds: shared.MaxSeconds = None
    debug: shared.Debug = False


def check(command: Explore) -> None:
    """Raise an ArgumentError if a value is not one of the page's, a list is empty, or the folder has another report."""
    for name, allowed in (("depths", DEPTHS), ("widths", WIDTHS)):
        for value in integers(name, getattr(command, name)):
            require(value in allowed, name, f"of {', '.join(map(str, allowed))}", value)
    chosen = listed(command.activations)
    require(bool(chosen), "activations", f"one or more of {', '.join(ACTIVATIONS)}", command.activations)
    if unknown_names := [name for name in chosen if name not in ACTIVATIONS]:
        raise unknown_name("activation", unknown_names[0], ACTIVATIONS)
    shared.check_out(command.out)
    alone = (command.out / "networks").exists() or not (command.out / "index.html").exists()
    require(alone, "--out", "a folder without another report", str(command.out))
