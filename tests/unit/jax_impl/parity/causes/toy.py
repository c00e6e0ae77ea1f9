"""Small pairs of records of functions in NumPy, into which a mistake is planted between modules or in one of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jax_impl.parity.arrays import Store
from jax_impl.parity.ladder import judged
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.reading import read_pair
from jax_impl.parity.verdict import Verdict

Raw = dict[str, Any]


@dataclass
class Tape:
    """Notes the calls of modules. If `given`, each call receives the reference's inputs and hands its outputs on."""

    training: bool = True
    given: "Tape | None" = None
    absent: Sequence[str] = ()  # modules of the reference that are plain functions in the port
    calls: list[Raw] = field(default_factory=list)
    masks: list[Raw] = field(default_factory=list)
    order: int = 0

    def call(self, module: str, function: Callable[..., Any], *inputs: Any) -> Any:
        if module in self.absent:
            return function(*inputs)
        order, self.order = self.order, self.order + 1
        number = sum(call["module"] == module for call in self.calls)
        theirs = self._theirs(module, number)
        noted = [np.asarray(one) for one in inputs]
        result = function(*(theirs["inputs"] if theirs else noted))
        outputs = list(result) if isinstance(result, tuple) else [result]
        self.calls.append({"module": module, "own": module, "call": number, "order": order, "inputs": noted,
                           "outputs": [np.asarray(one) for one in outputs]})  # fmt: skip
        handed = theirs["outputs"] if theirs else outputs
        return tuple(handed) if isinstance(result, tuple) else handed[0]

    def mask(self, module: str, shape: tuple[int, ...], rate: float, seed: int = 0) -> np.ndarray:
        kept = np.random.default_rng(seed + len(self.masks)).random(shape) >= rate
        self.masks.append({"module": module, "rate": rate, "shape": list(shape), "array": kept})
        return kept.astype(np.float64)

    def _theirs(self, module: str, number: int) -> Raw | None:
        calls = self.given.calls if self.given else []
        return next((one for one in calls if (one["module"], one["call"]) == (module, number)), None)


Model = Callable[..., Any]  # of a tape, and of a word that says which mistake it makes


@dataclass
class Toy:
    """A model, and what its records say of it."""

    model: Model
    modules: Mapping[str, str]
    settings: Mapping[str, Raw] = field(default_factory=dict)
    own_settings: Mapping[str, Raw] = field(default_factory=dict)
    start: Mapping[str, np.ndarray] = field(default_factory=dict)
    absent: Sequence[str] = ()

    def verdict(self, folder: Path, fault: str = "") -> Verdict:
        """Record the model and a port of it with a mistake, and compare them."""
        passes: dict[str, tuple[Tape, Tape, Tape]] = {}
        for mode in ("train", "eval"):
            theirs = Tape(mode == "train")
            self.model(theirs, "")
            free, forced = (Tape(mode == "train", given, self.absent) for given in (None, theirs))
            for tape in (free, forced):
                self.model(tape, fault)
            passes[mode] = theirs, free, forced
        digest = self._write(folder / "theirs", {"side": "torch", "start_of": None}, passes, ours=False)
        keys = ("rate", "shape", "repeated")
        own = [{key: mask[key] for key in keys if key in mask} for mask in passes["train"][1].masks]
        mapping = {
            "leaves": [{"theirs": [name], "ours": [name]} for name in self.start],
            "modules": [{"theirs": path, "ours": path} for path in self.modules if path not in self.absent],
        }
        port = {"side": "jax", "start_of": digest, "mapping": mapping, "own_masks": {"forward": own, "steps": []}}
        self._write(folder / "ours", port, passes, ours=True)
        return judged(Pair(*read_pair(folder / "theirs", folder / "ours"), 0.01))

    def _write(self, folder: Path, raw: Raw, passes: Any, *, ours: bool) -> str:
        store = Store()
        for name, array in self.start.items():
            store.put("start", name, array)
        forward = {}
        for mode, (theirs, free, forced) in passes.items():
            calls = {"free": free.calls, "forced": forced.calls} if ours else {"free": theirs.calls}
            noted = {name: [self._call(store, call) for call in listed] for name, listed in calls.items()}
            masks = [mask | {"array": store.reference("masks", mask["array"])} for mask in theirs.masks]
            forward[mode] = noted | {"masks": masks}
        settings = self.own_settings if ours else self.settings
        modules = [
            {"path": path, "type": kind, "settings": dict(settings.get(path, {})), "calls": 1}
            for path, kind in self.modules.items()
            if not (ours and path in self.absent)
        ]
        leaves = [
            {"name": name, "kind": "parameter", "shape": list(array.shape), "dtype": "float64",
             "module": name.rpartition(".")[0]} for name, array in self.start.items()
        ]  # fmt: skip
        content = {"precision": {"recorded": "float64"}, "modules": modules, "leaves": leaves, "forward": forward}
        return store.write(folder, raw | content)

    def _call(self, store: Store, call: Raw) -> Raw:
        kept = {key: value for key, value in call.items() if key not in ("inputs", "outputs")}
        return kept | {
            role: [
                store.reference("forward", array, noise=1e-15 * float(np.linalg.norm(array))) for array in call[role]
            ]
            for role in ("inputs", "outputs")
        }


def causes(verdict: Verdict) -> list[str]:
    return [cause.cause for cause in verdict.diagnosis.causes]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)
