"""The options of `rbm` and `dbn`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from jax_impl.commands.options import naming, shared
from jax_impl.commands.options.shared import FILES, MACHINE, TRAINING, flag, integers, option
from jax_impl.rbm.settings import PRETRAINING, Settings

NAMES = tuple(field.name for field in fields(Settings) if field.name != "dtype")
_FOLDER = " and the settings that are not the defaults"


@dataclass(frozen=True, kw_only=True)
class _Machines:
    """What `rbm` and `dbn` share. The defaults are those of `Settings`."""

    hidden: int | str  # each command describes this one, `epochs` and `out` in its own words
    k: Annotated[int, option("N", "Rounds of Gibbs sampling per step.", group=MACHINE)] = Settings.k
    persistent: Annotated[bool, flag("Continue the chains from step to step: better samples.", group=MACHINE)] = False
    sparsity_cost: Annotated[float, option("X", "Cost of missing the sparsity target.", group=MACHINE)] = (
        Settings.sparsity_cost
    )
    sparsity_target: Annotated[float, option("X", "Share of images that turn a unit on.", group=MACHINE)] = (
        Settings.sparsity_target
    )
    epochs: int
    batch_size: Annotated[int, option("N", "Images per step; an incomplete last batch is dropped.", group=TRAINING)] = (
        Settings.batch_size
    )
    learning_rate: Annotated[
        float, option("X", "Learning rate of the first epoch; it falls linearly.", group=TRAINING)
    ] = Settings.learning_rate
    momentum: Annotated[float, option("X", "Momentum, from 0 to below 1.", group=TRAINING)] = Settings.momentum
    weight_decay: Annotated[float, option("X", "Decay of the weights.", group=TRAINING)] = Settings.weight_decay
    seed: Annotated[int, option("N", "Seed of every random draw.", group=TRAINING)] = Settings.seed
    data_dir: shared.DataDir = None
    out: Path | None
    overwrite: shared.Overwrite = False
    debug: shared.Debug = False
    resume: shared.Resume = False
    checkpoint_every: shared.CheckpointEvery = None
    max_seconds: shared.MaxSeconds = None


@dataclass(frozen=True, kw_only=True)
class TrainRbm(_Machines):
    """Train a restricted Boltzmann machine on MNIST and draw its filters, reconstructions and samples."""

    hidden: Annotated[int, option("N", "Hidden units.", group=MACHINE)] = Settings.hidden
    epochs: Annotated[int, option("N", "Passes over the images.", group=TRAINING)] = Settings.epochs
    out: Annotated[Path | None, option("DIR", "The run folder.", f"runs/rbm{_FOLDER}", group=FILES)] = None


@dataclass(frozen=True, kw_only=True)
class TrainDbn(_Machines):
    """Train a deep belief network on MNIST, machine by machine; `train --init dbn --dbn FILE` starts from it."""

    hidden: Annotated[str, option("N,…", "Hidden units of each machine, from the pixels up.", group=MACHINE)] = (
        "500,500"
    )
    epochs: Annotated[int, option("N", "Passes over the images, for each machine.", group=TRAINING)] = (
        PRETRAINING.epochs
    )
    out: Annotated[Path | None, option("DIR", "The run folder.", f"runs/dbn{_FOLDER}", group=FILES)] = None


def sizes(command: TrainRbm | TrainDbn) -> tuple[int, ...]:
    """Return the hidden units of each machine, from the pixels up.

    Raises:
        ArgumentError: There is none, or one is not an integer >= 1.
    """
    found = (command.hidden,) if isinstance(command, TrainRbm) else integers("hidden", command.hidden)
    for size in found:
        Settings(hidden=size)  # checks its range
    return found


def settings(command: TrainRbm | TrainDbn) -> Settings:
    """Return the settings, with the default number of hidden units.

    Raises:
        ArgumentError: A value is out of range.
    """
    shared.check_checkpoint_every(command.checkpoint_every)
    shared.check_out(command.out)
    shared.check_overwrite(overwrite=command.overwrite, resume=command.resume)
    return Settings(**{name: getattr(command, name) for name in NAMES if name != "hidden"})


def changed_settings(command: TrainRbm | TrainDbn) -> dict[str, object]:
    """Return the settings that are not the command's defaults. The hidden units are those of each machine."""
    default = type(command)()
    values = {name: (getattr(command, name), getattr(default, name)) for name in NAMES} | {
        "hidden": (sizes(command), sizes(default))
    }
    return {name: value for name, (value, usual) in values.items() if value != usual}


def run_folder(command: TrainRbm | TrainDbn) -> Path:
    """Return the folder that --out names, or the default one: the command, and every setting that is not a default."""
    return command.out or naming.folder(_kind(command).lower(), changed_settings(command))


def title(command: TrainRbm | TrainDbn) -> str:
    """Return what was trained, in words."""
    start = f"{_kind(command)}, {'-'.join(map(str, sizes(command)))} hidden units, seed {command.seed}"
    changes = {name: value for name, value in changed_settings(command).items() if name not in {"hidden", "seed"}}
    return naming.words(start, changes)


def _kind(command: TrainRbm | TrainDbn) -> str:
    return "RBM" if isinstance(command, TrainRbm) else "DBN"
