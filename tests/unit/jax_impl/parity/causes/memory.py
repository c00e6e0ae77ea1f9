"""Pairs of records in memory, of leaves, fresh weights and batches, without files and without a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jax_impl.parity.causes.diagnosing import diagnose
from jax_impl.parity.diagnosis import Diagnosis
from jax_impl.parity.pair import Pair
from jax_impl.parity.records import content as c
from jax_impl.parity.records.reading import Record
from jax_impl.parity.verdict import Rung

Arrays = Mapping[str, np.ndarray]
Modules = Mapping[str, tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Memory(Record):
    """A record whose arrays are in memory."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    starts: dict[str, np.ndarray] = field(default_factory=dict)

    def array(self, reference: c.Reference) -> np.ndarray:
        return self.arrays[reference.key]

    def start(self, name: str) -> np.ndarray | None:
        return self.starts.get(name)

    @property
    def start_names(self) -> frozenset[str]:
        return frozenset(self.starts)


def raw(store: dict[str, np.ndarray], file: str, array: np.ndarray) -> dict[str, Any]:
    """Store an array and return the reference to it as record.json has it."""
    key = str(len(store))
    store[key] = np.asarray(array)
    return {
        "file": file, "key": key, "shape": list(array.shape), "dtype": array.dtype.name,
        "norm": float(np.linalg.norm(array.astype(float))),
        "largest": float(np.abs(array.astype(float)).max(initial=0)),
        "sampled": False, "noise": 0.0,
    }  # fmt: skip


def tree(store: dict[str, np.ndarray], node: Any) -> Any:
    """Return a batch as record.json has it."""
    if isinstance(node, tuple):
        return {"tuple": [tree(store, one) for one in node]}
    if isinstance(node, dict):
        return {"dict": {name: tree(store, one) for name, one in node.items()}}
    return {"array": raw(store, "batches", node)}


def fresh(store: dict[str, np.ndarray], rows: Arrays) -> c.Fresh:
    names = sorted(rows)
    equal = [
        [a, b]
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if rows[a].shape == rows[b].shape and np.ptp(rows[a]) > 0 and np.array_equal(rows[a], rows[b])
    ]
    leaves = {name: c.Reference(**raw(store, "fresh", array)) for name, array in rows.items()}
    return c.Fresh(seeds=len(next(iter(rows.values()))), leaves=leaves, equal=equal)


def leaf(name: str, shape: Sequence[int], tied: str | None = None) -> c.Leaf:
    kind = "buffer" if "running" in name else "parameter"
    module = name.rpartition(".")[0]
    return c.Leaf(name=name, kind=kind, shape=list(shape), dtype="float32", module=module, tied=tied)


def record(
    side: str,
    shapes: Mapping[str, Sequence[int]],
    modules: Modules,
    *,
    start: Arrays | None = None,
    drawn: Arrays | None = None,
    batches: Sequence[Any] = (),
    tied: Mapping[str, str] | None = None,
    calls: Sequence[c.Call] = (),
    **more: Any,
) -> Memory:
    """Return one side's record."""
    store: dict[str, np.ndarray] = {}
    content = c.Content(
        side=side,
        precision={"recorded": "float32"},
        modules=[c.Module(path=path, type=kind, settings=settings) for path, (kind, settings) in modules.items()],
        leaves=[leaf(name, shape, (tied or {}).get(name)) for name, shape in shapes.items()],
        batches=[] if side == "jax" else [tree(store, one) for one in batches],
        own_batches=[tree(store, one) for one in batches] if side == "jax" else None,
        forward=c.Forward(train=c.Pass(free=list(calls))),
        fresh=None if drawn is None else fresh(store, drawn),
        **more,
    )
    return Memory(Path(), "", content, store, dict(start or {}))


def pair_of(
    theirs: Arrays | None = None, ours: Arrays | None = None, *, modules: Modules | None = None,
    sums: Sequence[str] = (), shapes: Mapping[str, Sequence[int]] | None = None,
    drawn: tuple[Arrays, Arrays] | None = None,
    batches: tuple[Sequence[Any], Sequence[Any]] = ((), ()), calls: Sequence[c.Call] = (),
) -> Pair:  # fmt: skip
    """Return a pair of records. Leaves have the same names on both sides; a name "a + b" of `sums` is a sum."""
    sizes = dict(shapes or {name: array.shape for name, array in (theirs or {}).items()})
    known = dict(modules or {})
    for name in sizes:
        known.setdefault(name.rpartition(".")[0], ("Linear", {}))
    summed = {term for name in sums for term in name.split(" + ")}
    leaves = [c.PairedLeaf(theirs=name.split(" + "), ours=[name], summed=True) for name in sums]
    leaves += [c.PairedLeaf(theirs=[name], ours=[name]) for name in sizes if name not in summed]
    mapping = c.Mapping(leaves=leaves, modules=[c.PairedModule(theirs=path, ours=path) for path in known])
    first = record("torch", sizes, known, start=theirs, drawn=drawn and drawn[0], batches=batches[0], calls=calls)
    second = record("jax", sizes, known, start=ours, drawn=drawn and drawn[1], batches=batches[1], mapping=mapping)
    return Pair(first, second, 0.01)


def diagnosed(pair: Pair, rung: Callable[[Pair], Rung]) -> Diagnosis:
    """Return the diagnosis of one rung."""
    return diagnose(pair, [rung(pair)])
