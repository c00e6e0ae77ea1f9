"""The options of `study`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from jax_impl import recipes
from jax_impl.commands.options import shared
from jax_impl.commands.options.shared import FILES, GRID, LIMITS, TRAINING, integers, listed, option
from jax_impl.errors import ArgumentError, require, unknown_name
from jax_impl.recipes import NAMES

# The names of `study.presets.PRESETS`, which needs JAX
PRESETS = ("not-all-zero", "only-the-weights-changed", "glorot-2010", "he-2015", "orthogonal", "lsuv", "pretraining")

# The default of `study.grid.AXES`, which needs JAX
INITS = "zeros, small_normal, normal, linear_default, xavier_normal, kaiming_normal, orthogonal, lsuv"


@dataclass(frozen=True, kw_only=True)
class Study:
    """Train a grid of initialisers, depths and more over seeds, or reproduce published results, and write a report.

    Lists are separated by commas. Finished cells are kept in the folder: repeat the command to continue a study.
    """

    inits: Annotated[
        str | None, option("NAME,…", "Initialisers of the kernels; a wrong name lists all.", INITS, group=GRID)
    ] = None
    depths: Annotated[str | None, option("N,…", "Numbers of hidden layers.", "2,10,30", group=GRID)] = None
    activations: Annotated[str | None, option("NAME,…", "Activations between the layers.", "relu", group=GRID)] = None
    optimizers: Annotated[str | None, option("NAME,…", "Optimizers: adam, or sgd.", "sgd", group=GRID)] = None
    recipes: Annotated[
        str | None,
        option("NAME,…", "Start from these recipes; each keeps its own settings unless given.", "none", group=GRID),
    ] = None
    width: Annotated[int | None, option("N", "Units of a hidden layer.", "128", group=GRID)] = None
    bias_init: Annotated[str | None, option("NAME", "Initialiser of the biases.", "zeros", group=GRID)] = None
    preset: Annotated[
        str | None,
        option("NAME,…", f"Published results instead of a grid: {', '.join(PRESETS)}, or all.", "a grid", group=GRID),
    ] = None
    epochs: Annotated[
        int | None, option("N", "Passes over the images; 0 only measures propagation.", "3", group=TRAINING)
    ] = None
    learning_rate: Annotated[
        float | None, option("X", "Learning rate of the optimizer.", "0.001 for adam, 0.01 for sgd", group=TRAINING)
    ] = None
    seeds: Annotated[int, option("N", "Runs of each cell.", group=TRAINING)] = 3
    first_seed: Annotated[int, option("N", "The first seed; the others follow it.", group=TRAINING)] = 0
    max_hours: Annotated[
        float | None,
        option("X", "Hours that a grid may take, by the estimate; a longer one is refused.", "12", group=LIMITS),
    ] = None
    max_gib: Annotated[
        float | None,
        option(
            "X",
            "GiB of a device's memory; runs train in groups that fit into them.",
            "four fifths of the device's",
            group=LIMITS,
        ),
    ] = None
    data_dir: shared.DataDir = None
    out: Annotated[Path, option("DIR", "Folder of the records and the report.", group=FILES)] = Path("reports/study")
    debug: shared.Debug = False
    checkpoint_every: shared.CheckpointEvery = None
    max_seconds: shared.MaxSeconds = None
    distributed: shared.Distributed = False
    coordinator: shared.Coordinator = None
    processes: shared.Processes = None
    process_id: shared.ProcessId = None


def check(command: Study) -> None:
    """Raise an ArgumentError if options contradict each other, a name is unknown, or a list or a number is wrong."""
    recipes.check_seeds(command.seeds, command.first_seed)
    given = axes(command)
    for kind, allowed in (NAMES | {"recipe": tuple(recipes.RECIPES)}).items():
        if unknown := [name for name in given.get(f"{kind}s", ()) if name not in allowed]:
            raise unknown_name(kind, unknown[0], allowed)
    if (bias_init := command.bias_init or "zeros") not in NAMES["bias init"]:
        raise unknown_name("bias init", bias_init, NAMES["bias init"])
    for name in presets(command):
        if name not in (all_presets := (*PRESETS, "all")):
            raise unknown_name("preset", name, all_presets)
    shared.check_checkpoint_every(command.checkpoint_every)
    for option_name, limit in (("--max-hours", command.max_hours), ("--max-gib", command.max_gib)):
        require(limit is None or limit > 0, option_name, "a number above 0", limit)
    shared.check_out(command.out)


def axes(command: Study) -> dict[str, Any]:
    """Return the given options of the grid, as keywords of `study.grid.Grid`.

    Raises:
        ArgumentError: A list is empty, or a depth is not an integer.
    """
    lists = ("inits", "activations", "optimizers", "recipes")
    names = (*lists, "depths", "width", "epochs", "bias_init", "learning_rate")
    given = {name: value for name in names if (value := getattr(command, name)) is not None}
    for name in lists:
        if name in given:
            given[name] = listed(given[name])
            if not given[name]:
                raise ArgumentError(f"{name} must name at least one, got none")
    if "depths" in given:
        given["depths"] = integers("depths", given["depths"])
    return given


def presets(command: Study) -> tuple[str, ...]:
    """Return the names of the requested presets.

    Raises:
        ArgumentError: Options that do not apply to presets were given too, or no name.
    """
    if command.preset is None:
        return ()
    not_for_presets = ("max_hours", "max_gib", "checkpoint_every")
    given = [*axes(command), *(name for name in not_for_presets if getattr(command, name) is not None)]
    given += ["distributed"] if command.distributed else []
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ArgumentError(f"--preset sets its own grid and runs in one process: leave out {flags}")
    if not (names := listed(command.preset)):
        raise ArgumentError("--preset must name at least one, or all, got none")
    return names
