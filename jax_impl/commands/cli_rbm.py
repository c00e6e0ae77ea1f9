"""The grammar of the commands `rbm` and `dbn`, and the options that every command has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from jax_impl.commands.cli_saving import CheckpointEvery, MaxSeconds, Resume, check_every
from jax_impl.errors import ArgumentError
from jax_impl.rbm.settings import PRETRAINING, Settings

DataDir = Annotated[
    Path | None,
    arg(
        metavar="DIR",
        help="Folder of MNIST/raw.",
        help_behavior_hint="(default: $MNIST_DATA_DIR, else MNIST_data)",
    ),
]
Debug = Annotated[bool, arg(help="Show the traceback of an error.")]
Out = Annotated[Path, arg(metavar="DIR", help="The run folder.")]


def _setting(metavar: str, text: str) -> object:
    return arg(metavar=metavar, help=text)


@dataclass(frozen=True, kw_only=True)
class _Machines:
    """What `rbm` and `dbn` have in common; the defaults are those of `Settings`."""

    k: Annotated[int, _setting("N", "Rounds of Gibbs sampling a step.")] = Settings.k
    persistent: Annotated[bool, arg(help="Let the chains go on from step to step: better samples.")] = False
    learning_rate: Annotated[float, _setting("X", "Of the first epoch; it falls linearly.")] = Settings.learning_rate
    batch_size: Annotated[int, _setting("N", "Images a step; the ragged last batch is dropped.")] = Settings.batch_size
    momentum: Annotated[float, _setting("X", "From 0 to below 1.")] = Settings.momentum
    weight_decay: Annotated[float, _setting("X", "Of the weights.")] = Settings.weight_decay
    sparsity_cost: Annotated[float, _setting("X", "Of units that miss the sparsity target.")] = Settings.sparsity_cost
    sparsity_target: Annotated[float, _setting("X", "Share of images that turn a unit on.")] = Settings.sparsity_target
    seed: Annotated[int, _setting("N", "Of every random draw.")] = Settings.seed

    def settings(self) -> Settings:
        """Return what was chosen, but for the number of hidden units.

        Raises:
            ArgumentError: A value lies outside its range; or that of --checkpoint-every does.
        """
        names = ("k", "persistent", "learning_rate", "batch_size", "momentum", "weight_decay", "sparsity_cost")
        given: dict[str, Any] = vars(self)
        check_every(given["checkpoint_every"])
        return Settings(**{name: given[name] for name in (*names, "sparsity_target", "seed", "epochs")})


@dataclass(frozen=True, kw_only=True)
class TrainRbm(_Machines):
    """Train a restricted Boltzmann machine on MNIST and draw its filters, reconstructions and samples."""

    hidden: Annotated[int, _setting("N", "Hidden units.")] = Settings.hidden
    epochs: Annotated[int, _setting("N", "Passes over the images.")] = Settings.epochs
    resume: Resume = False
    checkpoint_every: CheckpointEvery = None
    max_seconds: MaxSeconds = None
    data_dir: DataDir = None
    out: Out = Path("runs/rbm")
    debug: Debug = False

    def sizes(self) -> tuple[int, ...]:
        """Return the hidden sizes, from the pixels up."""
        return (self.hidden,)


@dataclass(frozen=True, kw_only=True)
class TrainDbn(_Machines):
    """Train a deep belief network on MNIST, machine by machine; `train --init dbn --dbn FILE` starts from it."""

    hidden: Annotated[str, _setting("N,…", "Hidden units of each machine, from the pixels up.")] = "500,500"
    epochs: Annotated[int, _setting("N", "Passes over the images, of each machine.")] = PRETRAINING.epochs
    resume: Resume = False
    checkpoint_every: CheckpointEvery = None
    max_seconds: MaxSeconds = None
    data_dir: DataDir = None
    out: Out = Path("runs/dbn")
    debug: Debug = False

    def sizes(self) -> tuple[int, ...]:
        """Return the hidden sizes, from the pixels up.

        Raises:
            ArgumentError: There is none, or one is no integer.
        """
        try:
            sizes = tuple(map(int, listed(self.hidden)))
        except ValueError:
            raise ArgumentError(f"hidden must be integers with commas between them, got {self.hidden}") from None
        if not sizes:
            raise ArgumentError("hidden must name at least one size, got none")
        return sizes


def listed(text: str) -> tuple[str, ...]:
    """Return what stands between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
