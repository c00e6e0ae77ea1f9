"""Pairs of records of the network in `network.py`, into which any fault can be planted."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from jax_impl.parity import pair as records
from jax_impl.parity.arrays import FORWARD_LIMIT, FRESH_LIMIT, GRADIENT_LIMIT, STEP_LIMIT, Store
from jax_impl.parity.ladder import judged
from jax_impl.parity.records.reading import Record, read
from jax_impl.parity.verdict import Verdict
from tests.unit.jax_impl.parity import network
from tests.unit.jax_impl.parity.network import BUFFERS, MODULES, PARAMETERS, Program

Raw = dict[str, Any]  # a record's content with arrays in place of references, and `start`
Edit = Callable[[Raw], object]
OWN = {"body.fc.weight": "body.fc.kernel", "body.bn.weight": "body.bn.scale", "head.weight": "head.kernel",
       "body.bn.running_mean": "body.bn.mean", "body.bn.running_var": "body.bn.var"}  # fmt: skip
OWN_TYPES = {"Linear": "Linear", "BatchNorm1d": "BatchNorm", "Dropout": "Dropout"}


def theirs_raw(program: Program) -> Raw:
    """The content of the reference's record."""
    settings = {
        "body.bn": {"eps": program.eps, "momentum": program.momentum}, "body.drop": {"p": network.RATE},
        "body.fc": {"in_features": 6}, "body.relu": {"inplace": True},
    }  # fmt: skip
    leaves = network.start()
    return {
        "side": "torch", "start_of": None, "versions": {"torch": "2.14.1"}, "machine": {"device": "cpu", "threads": 2},
        "precision": {"model": "float64", "recorded": "float64", "note": ""}, "notes": [],
        "modules": listed(MODULES, settings),
        "leaves": [
            {"name": name, "kind": "parameter" if name in PARAMETERS else "buffer", "shape": list(leaves[name].shape),
             "dtype": leaves[name].dtype.name, "module": name.rpartition(".")[0], "trainable": name in PARAMETERS,
             "tied": None} for name in (*PARAMETERS, *BUFFERS)
        ],
        "batches": [{"tuple": [{"array": x}, {"array": labels}]} for x, labels in network.batches()],
        "optimizer": {"type": "Adam", "groups": [{"names": list(PARAMETERS), "lr": 0.01}], "clip_norm": None},
        "fresh": {"seeds": 8, "leaves": network.fresh(6), "equal": []}, "accuracy": [0.91, 0.92, 0.915, 0.912, 0.918],
        "start": leaves, **network.run(program),
    }  # fmt: skip


def listed(modules: dict[str, str], settings: dict[str, Any]) -> list[Raw]:
    return [
        {"path": path, "type": kind, "settings": settings.get(path, {}), "calls": 1} for path, kind in modules.items()
    ]


def ours_raw(program: Program, reference: Raw) -> Raw:
    """The content of the port's record."""
    settings = {
        "body.bn": {"epsilon": program.eps, "momentum": 1 - program.momentum}, "body.drop": {"rate": program.rate},
    }  # fmt: skip
    paired = [name for name in (*PARAMETERS, *BUFFERS) if "num_batches" not in name]
    modules = {path: OWN_TYPES.get(kind, kind) for path, kind in MODULES.items() if kind != "ReLU"}
    leaves = network.start()
    found = {
        "side": "jax", "loaded": True, "versions": {"jax": "0.10.2"}, "machine": {"device": "cpu", "threads": 2},
        "precision": {"model": "float64", "recorded": "float64", "note": ""}, "notes": [],
        "modules": listed(modules, settings),
        "leaves": [
            {"name": OWN.get(name, name), "kind": "parameter", "shape": list(leaves[name].shape), "dtype": "float64",
             "module": name.rpartition(".")[0]} for name in paired
        ],
        "mapping": {
            "leaves": [{"theirs": [name], "ours": [OWN.get(name, name)], "how": "name"} for name in paired],
            "modules": [{"theirs": path, "ours": path} for path in modules],
            "unmatched": {"theirs": [{"name": BUFFERS[2], "shape": [], "closest": []}], "ours": []},
            "uncalled": [], "warnings": [],
        },
        "own_batches": [{"tuple": [{"array": x}, {"array": labels}]} for x, labels in network.batches()],
        "own_masks": network.own_masks(program),
        "fresh": {"seeds": 8, "leaves": network.fresh(7), "equal": []}, "accuracy": [0.913, 0.917, 0.92, 0.911, 0.916],
        "start": {name: leaves[name] for name in paired}, **network.run(program, reference),
    }  # fmt: skip
    for steps in (found["injected"], found["trajectory"]):
        for step in steps:
            step["buffers"] = {name: array for name, array in step.get("buffers", {}).items() if name in paired}
    return found


def encoded(store: Store, value: Any, noisy: Sequence[Any], path: tuple[str, ...] = ()) -> Any:
    """Return the content with references in place of arrays, and the noise that other runs show."""
    if isinstance(value, np.ndarray | np.generic):
        file, limit = place(path)
        noise = [float(np.linalg.norm(one - value)) for one in noisy] if value.dtype.kind == "f" else []
        return store.reference(file, value, limit, noise=max(noise) if noise else None)
    if isinstance(value, dict):
        found = {}
        for key, child in value.items():
            others = [one[key] for one in noisy if isinstance(one, dict) and key in one]
            found[key] = encoded(store, child, others, (*path, key))
            if key in ("loss", "gradient_norm") and others and child is not None:
                found[f"{key}_noise"] = max(abs(other - child) for other in others)
        return found
    if isinstance(value, list):
        rows = [[one[number] for one in noisy if number < len(one)] for number in range(len(value))]
        return [encoded(store, child, row, path) for child, row in zip(value, rows, strict=True)]
    return value


def place(path: tuple[str, ...]) -> tuple[str, int | None]:
    """The file of an array, and the number of elements that are stored."""
    if "masks" in path:
        return "masks", None
    if path[0] in ("batches", "own_batches"):
        return "batches", None
    if path[0] == "fresh":
        return "fresh", None if len(path) > 1 else FRESH_LIMIT
    if path[0] == "forward":
        return "forward", FORWARD_LIMIT
    return "steps", GRADIENT_LIMIT if path[0] == "gradients" else STEP_LIMIT


def write(folder: Path, raw: Raw, noisy: Sequence[Raw] = ()) -> str:
    """Write a record and return its SHA-256."""
    store = Store()
    raw = dict(raw)
    for name, array in raw.pop("start").items():
        store.put("start", name, array)
    return store.write(folder, encoded(store, raw, noisy))


class Pair:
    """Two records in a folder. The reference is written once; ours is written with a fault."""

    read: Record | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reference = self.original = theirs_raw(Program())
        noisy = [network.run(Program(jitter=seed)) for seed in (11, 12)]
        self.noisy = noisy
        self.digest = write(folder / "theirs", self.reference, noisy)

    @property
    def theirs(self) -> Path:
        return self.folder / "theirs"

    def ours(self, edit: Edit = lambda raw: None, **program: Any) -> Path:
        """Write the record of a port: with another program, or with its content edited."""
        raw = deepcopy(ours_raw(Program(**{"jitter": 13, "functions": ("body.relu",), **program}), self.original))
        edit(raw)
        folder = self.folder / "ours"
        write(folder, raw | {"start_of": raw.get("start_of", self.digest)})
        return folder

    def verdict(self, edit: Edit = lambda raw: None, *, margin: float = 0.02, **program: Any) -> Verdict:
        if self.read is None:  # once: most tests share it
            self.read = read(self.theirs)
        return judged(records.Pair(self.read, read(self.ours(edit, **program)), margin))

    def changed(self, folder: Path, edit: Edit) -> "Pair":
        """Return a pair whose reference is edited, too."""
        pair = object.__new__(Pair)
        pair.folder, pair.noisy, pair.original = folder, self.noisy, self.original
        pair.reference = deepcopy(self.reference)
        edit(pair.reference)
        pair.digest = write(folder / "theirs", pair.reference, self.noisy)
        return pair
