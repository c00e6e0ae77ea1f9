"""Pairs of records that are not on disk: their content is built from arrays."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import torch

from jax_impl.parity.arrays import STEP_LIMIT, norm_and_largest, sampled, stored
from jax_impl.parity.causes.cases import WholeCase
from jax_impl.parity.causes.diagnosing import explain
from jax_impl.parity.causes.families.registry import FAMILIES
from jax_impl.parity.diagnosis import Cause
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Content, Leaf, Module, PairedLeaf, Reference, Step
from jax_impl.parity.records.content import Mapping as Paired
from jax_impl.parity.records.reading import Record
from jax_impl.parity.verdict import Rung
from torch_ref.record.noise import gradient_block

UNIT = 2.0**-53


class InMemory(Record):
    """A record without files, whose content may be replaced."""

    __setattr__ = object.__setattr__

    def __init__(self, content: Content, starts: dict[str, Any]) -> None:
        self.folder, self.digest, self.content = Path("memory"), "", content
        self.starts = starts
        self.arrays: dict[tuple[str, str], Any] = {}

    def array(self, reference: Reference) -> Any:
        return self.arrays[reference.file, reference.key]

    def start(self, name: str) -> Any:
        return self.starts.get(name)

    def put(self, file: str, array: Any, *, limit: int | None = None, noise: float | None = None) -> Reference:
        """Keep an array and return the reference to it."""
        array = np.asarray(array)
        norm, largest = norm_and_largest(array)
        part = stored(sampled(array, limit))
        key = next((key for (_, key), one in self.arrays.items() if np.array_equal(one, part)), str(len(self.arrays)))
        self.arrays[file, key] = part
        return Reference(file=file, key=key, shape=list(array.shape), dtype=array.dtype.name, norm=norm,
                         largest=largest, sampled=part.shape != array.shape, noise=noise)  # fmt: skip

    def change(self, **parts: Any) -> None:
        """Replace parts of the content."""
        self.content = replace(self.content, **parts)


def record(side: str, starts: Mapping[str, Any], modules: Mapping[str, tuple[str, dict[str, Any]]]) -> InMemory:
    """Return a record of some leaves, named "module.leaf"; those that start with "running" or "num" are buffers."""
    leaves = []
    for name, array in starts.items():
        module, _, last = name.rpartition(".")
        kind = "buffer" if last.startswith(("running", "num")) else "parameter"
        leaves.append(Leaf(name=name, kind=kind, shape=list(np.shape(array)), dtype="float64", module=module,
                           trainable=kind == "parameter"))  # fmt: skip
    listed = [Module(path=path, type=kind, settings=settings) for path, (kind, settings) in modules.items()]
    paired = Paired(leaves=[PairedLeaf(theirs=[name], ours=[name]) for name in starts])
    content = Content(side=side, modules=listed, leaves=leaves, precision={"recorded": "float64"},
                      mapping=paired if side == "jax" else None)  # fmt: skip
    return InMemory(content, {name: np.asarray(array) for name, array in starts.items()})


def causes(records: Pair, kind: str, number: int, rung: Callable[[Pair], Rung]) -> list[Cause]:
    """Return what explains a rung that fails; nothing if it passes."""
    failed = rung(records).failures
    if not failed:
        return []
    return explain(WholeCase(records, failed[0], number, failed), FAMILIES[kind], float("inf"))[0]


# The optimizer alone: torch's against Optax's

SHAPES = {"a.weight": (30, 100), "a.bias": (30,), "b.weight": (4, 5), "b.bias": (4,)}
Theirs = Callable[[list[Any]], torch.optim.Optimizer]


def optimizers(theirs: Theirs, ours: Any, *, steps: int = 5, schedule: Any = None, clip: Any = None) -> Pair:
    """Return records of both optimizers' steps on the same gradients.

    Args:
        theirs: Makes torch's optimizer of parameters, in the order of `SHAPES`.
        ours: Of Optax.
        steps: Their number.
        schedule: Makes torch's scheduler of the optimizer.
        clip: The largest norm or ("value", largest element) in the reference.
    """
    random = np.random.RandomState(1)
    weights = {name: random.randn(*shape) for name, shape in SHAPES.items()}
    modules: dict[str, Any] = {"": ("Net", {}), "a": ("Linear", {}), "b": ("Linear", {})}
    first, second = (record(side, weights, modules) for side in ("torch", "jax"))
    block, scale = gradient_block(steps)
    first.arrays |= {("steps", "block"): block, ("steps", "scale"): scale}
    grads = []
    for step in range(steps):
        rolled = [np.roll(block, 7919 * (number * steps + step)) for number in range(len(SHAPES))]
        shaped = zip(SHAPES.items(), rolled, strict=True)
        grads.append({name: scale[step] * np.resize(values, shape) for (name, shape), values in shaped})
    described, torch_steps = _by_torch(theirs, weights, grads, schedule, clip, first)
    first.change(optimizer=described, injected=torch_steps, files={"steps.safetensors": ""})
    second.change(injected=_by_optax(ours, weights, grads, second))
    return Pair(first, second, 0.01)


def _by_torch(
    make: Theirs, weights: Any, grads: Any, schedule: Any, clip: Any, kept: InMemory
) -> tuple[dict[str, Any], list[Step]]:
    parameters = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in weights.items()}
    optimizer = make(list(parameters.values()))
    names = {id(one): name for name, one in parameters.items()}
    groups = []
    for group in optimizer.param_groups:
        settings = {key: list(value) if isinstance(value, tuple) else value for key, value in group.items()}
        groups.append(settings | {"names": [names[id(one)] for one in settings.pop("params")]})
    scheduler = None if schedule is None else schedule(optimizer)
    found = []
    for grad in grads:
        for name, one in parameters.items():
            one.grad = torch.tensor(grad[name])
        if isinstance(clip, float):
            torch.nn.utils.clip_grad_norm_(parameters.values(), clip)
        elif clip:
            torch.nn.utils.clip_grad_value_(parameters.values(), clip[1])
        before = {name: one.detach().clone() for name, one in parameters.items()}
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        optimizer.step()
        updates: dict[str, Reference | None] = {}
        for name, one in parameters.items():
            moved = (one.detach() - before[name]).numpy()
            noise = UNIT * (300 * float(np.linalg.norm(moved)) + float(before[name].norm()))
            updates[name] = kept.put("steps", moved, limit=STEP_LIMIT, noise=noise)
        found.append(Step(learning_rates=list(rates), updates=updates))
        if scheduler is not None:
            scheduler.step()
    settings = {"clip_norm": clip} if isinstance(clip, float) else {"clip_value": clip[1] if clip else None}
    moves = None
    if scheduler is not None:
        moves = {"type": type(scheduler).__name__, "every": "step", "steps_per_epoch": None}
        moves["settings"] = {"gamma": getattr(scheduler, "gamma", None)}
    return {"type": type(optimizer).__name__, "groups": groups, "schedule": moves} | settings, found


def _by_optax(optimizer: Any, weights: Any, grads: Any, kept: InMemory) -> list[Step]:
    found = []
    with jax.enable_x64(True):
        params = jax.tree.map(jax.numpy.asarray, weights)
        state = optimizer.init(params)
        for grad in grads:
            changes, state = optimizer.update(jax.tree.map(jax.numpy.asarray, grad), state, params)
            after = optax.apply_updates(params, changes)
            updates: dict[str, Reference | None] = {}
            for name in weights:
                moved = np.asarray(after[name]) - np.asarray(params[name])
                updates[name] = kept.put("steps", moved, limit=STEP_LIMIT)
            params = after
            found.append(Step(updates=updates))
    return found
