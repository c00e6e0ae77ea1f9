"""What of the training of machines goes into a checkpoint, and comes back from it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from jax_impl.data import Mnist, digest
from jax_impl.rbm.dbn import StackReached
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.settings import Settings
from jax_impl.rbm.training import RbmRecord, State
from jax_impl.storage.checkpoint_orbax import Saved
from jax_impl.storage.packing import Arrays, Facts

VERSION = 2  # raise it when the same settings train otherwise than before, or a checkpoint holds something else


def identity(sizes: Sequence[int], settings: Settings, mnist: Mnist) -> Facts:
    """Return all that the course of a training depends on, as plain data; the rate falls over its epochs."""
    described = {name: value for name, value in asdict(settings).items() if name != "hidden"}
    return {"version": VERSION, "hidden": list(sizes), "settings": described, "data": digest(mnist)}


def place(reached: StackReached, steps: int) -> int:
    """Return how many steps a training of all machines has taken, of so many an epoch."""
    return len(reached.records) * steps + reached.steps


def packed(reached: StackReached, epochs: int) -> tuple[Arrays, Facts]:
    """Return what a checkpoint takes of a training of so many epochs of all machines together."""
    arrays = _rbm("rbm", reached.state.rbm) | _rbm("velocity", reached.state.velocity)
    arrays |= {"chains": reached.state.chains, "activity": reached.state.activity}
    for number, rbm in enumerate(reached.below, start=1):
        arrays |= _rbm(f"below{number}", rbm)
    records = [asdict(record) for record in reached.records]
    facts = {"below": len(reached.below), "records": records, "steps": reached.steps, "seconds": reached.seconds}
    return arrays, facts | {"done": len(records), "epochs": epochs}


def unpacked(saved: Saved) -> StackReached:
    """Return how far a training had come."""
    arrays: dict[str, Any] = dict(saved.arrays)

    def rbm(name: str) -> Rbm:
        return Rbm(*(arrays[f"{name}.{part}"] for part in Rbm._fields))

    return StackReached(
        tuple(rbm(f"below{number}") for number in range(1, saved.facts["below"] + 1)),
        State(rbm("rbm"), rbm("velocity"), arrays["chains"], arrays["activity"]),
        tuple(RbmRecord(**record) for record in saved.facts["records"]),
        saved.facts["steps"],
        saved.facts["seconds"],
    )


def _rbm(name: str, rbm: Rbm) -> dict[str, Any]:
    return {f"{name}.{part}": array for part, array in rbm._asdict().items()}
