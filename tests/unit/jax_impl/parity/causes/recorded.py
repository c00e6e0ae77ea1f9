"""Pairs of records of a few calls of modules, built from arrays, and what is diagnosed of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from jax_impl.parity import arrays
from jax_impl.parity import pair as records
from jax_impl.parity.diagnosis import Diagnosis
from jax_impl.parity.ladder import judged
from jax_impl.parity.records.reading import read
from tests.unit.jax_impl.parity.synthetic import write

PLAIN = (bool, int, float, str, tuple, type(None))
NOISE = 1e-16  # of the reference's arrays, relative


@dataclass
class Program:
    """A torch model and what its port does otherwise.

    Attributes:
        model: In float64.
        inputs: The model's.
        functions: Paths of modules that the port has no counterpart of.
        ours: What the port's modules return or receive, by path and role, in place of the reference's. A tuple is the
            shape of an array without a partner.
        weights: The port's, by name, in place of the reference's.
        settings: Of the port's modules, by path.
        training: Whether the model is in training mode.
    """

    model: nn.Module
    inputs: Sequence[torch.Tensor]
    functions: Sequence[str] = ()
    ours: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    training: bool = True

    def calls(self) -> list[dict[str, Any]]:
        """Run the model and return its calls, in the order of returning."""
        found: list[dict[str, Any]] = []
        orders: dict[str, int] = {}

        def begin(path: str) -> Any:
            return lambda *_: orders.update({path: len(orders)})

        def end(path: str) -> Any:
            def hook(_: Any, inputs: Any, output: Any) -> None:
                both = [one.detach().numpy() for one in inputs], [output.detach().numpy()]
                found.append(
                    {
                        "module": path,
                        "own": path,
                        "call": 0,
                        "order": orders[path],
                        "inputs": both[0],
                        "outputs": both[1],
                    }
                )

            return hook

        hooks = []
        for path, module in self.model.named_modules():
            hooks += [module.register_forward_pre_hook(begin(path)), module.register_forward_hook(end(path))]
        self.model.train(self.training)
        self.model(*self.inputs)
        for hook in hooks:
            hook.remove()
        return found

    def own_calls(self, theirs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the port's calls, forced to the reference's inputs."""
        found = []
        for call in theirs:
            if call["module"] in self.functions:
                continue
            one = dict(call)
            for role in ("input", "output"):
                if (place := (call["module"], role)) in self.ours:
                    changed = self.ours[place]
                    if isinstance(changed, tuple):
                        one |= {f"{role}s": [None], f"own_{role}s": [list(changed)]}
                    else:
                        one[f"{role}s"] = [None if changed is None else np.asarray(changed)]
            found.append(one)
        return found


def diagnosed(folder: Path, program: Program) -> Diagnosis:
    """Write both records, which need not be flushed, and return the diagnosis."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_flush", lambda path: None)
        return _diagnosed(folder, program)


def _diagnosed(folder: Path, program: Program) -> Diagnosis:
    state = {name: array.detach().numpy().copy() for name, array in program.model.state_dict().items()}
    parameters = dict(program.model.named_parameters())
    calls = program.calls()
    listed = [
        {"path": path, "type": type(module).__name__, "calls": 1,
         "settings": {name: list(value) if isinstance(value, tuple) else value for name, value in vars(module).items()
                      if name[0] != "_" and name != "training" and isinstance(value, PLAIN)}}
        for path, module in program.model.named_modules()
    ]  # fmt: skip
    leaves = [
        {"name": name, "kind": "parameter" if name in parameters else "buffer", "shape": list(array.shape),
         "dtype": array.dtype.name, "module": name.rpartition(".")[0], "trainable": name in parameters, "tied": None}
        for name, array in state.items()
    ]  # fmt: skip
    shared = {"precision": {"model": "float32", "recorded": "float64", "note": ""}, "machine": {}, "notes": []}
    mode = "train" if program.training else "eval"
    forward = {mode: {"free": calls, "loss": 1.0, "masks": []}}
    theirs = {"side": "torch", "start_of": None, "versions": {"torch": "2"}, **shared, "modules": listed,
              "leaves": leaves, "start": state, "forward": forward}  # fmt: skip
    noisy = [{"forward": {mode: {"free": [moved(call) for call in calls]}}}]
    digest = write(folder / "theirs", theirs, noisy)
    own = program.own_calls(calls)
    kept = [one | {"settings": program.settings.get(str(one["path"]), one["settings"])}
            for one in listed if one["path"] not in program.functions]  # fmt: skip
    mapping = {
        "leaves": [{"theirs": [name], "ours": [name], "how": "name"} for name in state],
        "modules": [{"theirs": one["path"], "ours": one["path"]} for one in kept],
        "unmatched": {"theirs": [], "ours": []}, "uncalled": [], "warnings": [],
    }  # fmt: skip
    changed = state | {name: np.asarray(array) for name, array in program.weights.items()}
    ours = {"side": "jax", "start_of": digest, "versions": {"jax": "0"}, **shared, "loaded": True, "modules": kept,
            "leaves": leaves, "start": changed, "mapping": mapping,
            "forward": {mode: {"free": own, "forced": own, "loss": 1.0, "masks": []}}}  # fmt: skip
    write(folder / "ours", ours)
    verdict = judged(records.Pair(read(folder / "theirs"), read(folder / "ours"), 0.02))
    return verdict.diagnosis


def moved(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call whose arrays differ by the reference's noise."""

    def near(arrays: Any) -> list[Any]:
        return [one * (1 + NOISE) if one.dtype.kind == "f" else one for one in arrays]

    return {**call, "inputs": near(call["inputs"]), "outputs": near(call["outputs"])}


def causes(folder: Path, program: Program) -> list[str]:
    """Return the confirmed causes."""
    return [one.cause for one in diagnosed(folder, program).causes]
