"""The reference's record, as the JAX recorder uses it: weights, batches, masks and calls to start from."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from jax_impl.errors import UserError
from jax_impl.parity.arrays import NAME, Array, Reference
from jax_impl.parity.mapping import Leaf
from jax_impl.parity.records.reading import read


class Theirs:
    """A reference's record.

    Raises:
        UserError: It cannot be read, or it is not a reference's.
    """

    def __init__(self, folder: Path) -> None:
        record = read(folder)
        if record.content.side != "torch":
            raise UserError(f"{folder} is a port's record: name that of the reference as start=")
        self.folder = folder
        self.content: dict[str, Any] = json.loads((folder / NAME).read_bytes())
        self.digest = record.digest
        self.float64 = self.content["precision"]["recorded"] == "float64"
        self._files: dict[str, dict[str, Array]] = {}

    def file(self, name: str) -> dict[str, Array]:
        """Return the arrays of a file by key."""
        if name not in self._files:
            self._files[name] = safetensors.numpy.load_file(self.folder / f"{name}.safetensors")
        return self._files[name]

    def array(self, reference: Reference) -> Array:
        """Return the stored array of a reference: the whole array, or its flat sample. bfloat16 stays float32."""
        stored = self.file(reference["file"])[reference["key"]]
        return stored.astype(reference["dtype"]) if reference["dtype"] != "bfloat16" else stored

    @cached_property
    def start(self) -> dict[str, Array]:
        """Parameters and buffers before training; a tied leaf is that to which it is tied."""
        arrays = self.file("start")
        return {leaf["name"]: self._wide(arrays[leaf["tied"] or leaf["name"]]) for leaf in self.content["leaves"]}

    @cached_property
    def leaves(self) -> list[Leaf]:
        """Parameters and buffers as the mapping takes them."""
        modules = {module["path"]: module for module in self.content["modules"]}
        return [
            Leaf(
                name=leaf["name"],
                shape=tuple(leaf["shape"]),
                kind=leaf["kind"],
                module=leaf["module"],
                module_type=modules[leaf["module"]]["type"],
                settings=modules[leaf["module"]]["settings"],
                framework="torch",
                tied=leaf["tied"],
            )
            for leaf in self.content["leaves"]
        ]

    @cached_property
    def batches(self) -> list[Any]:
        """The batches in their structure; floats in the recorded precision."""
        return [self._tree(batch) for batch in self.content["batches"]]

    @cached_property
    def probe(self) -> Any:
        """The first batch at another size."""
        return self._tree(self.content["probe"]["batch"])

    def masks(self, listed: list[dict[str, Any]]) -> list[Array]:
        """Return the masks of a pass or a step."""
        return [self.array(mask["array"]).astype(bool) for mask in listed]

    def calls(self, mode: str) -> Mapping[tuple[str, int], dict[str, Any]]:
        """Return the calls of a pass by module and number."""
        return {(call["module"], call["call"]): call for call in self.content["forward"][mode]["free"]}

    def injected(self) -> list[dict[str, Array]]:
        """Return the gradients that the optimizer gets in each step, whole, by docs/records.md's rule."""
        if not self.content["injected"]:
            return []
        block, scale = self.file("steps")["block"], self.file("steps")["scale"]
        leaves = [leaf for leaf in self.content["leaves"] if leaf.get("trainable") and not leaf["tied"]]
        steps = len(self.content["injected"])
        return [
            {
                leaf["name"]: scale[step] * np.resize(np.roll(block, 7919 * (number * steps + step)), leaf["shape"])
                for number, leaf in enumerate(leaves)
            }
            for step in range(steps)
        ]

    def _wide(self, array: Array) -> Array:
        """Return floats in float64, if that was recorded: they may be stored in float32, and be added up."""
        return array.astype(np.float64) if self.float64 and array.dtype.kind == "f" else array

    def _tree(self, node: dict[str, Any]) -> Any:
        if "array" in node:
            return self._wide(self.array(node["array"]))
        if "dict" in node:
            return {name: self._tree(child) for name, child in node["dict"].items()}
        if "tuple" in node:
            return tuple(self._tree(child) for child in node["tuple"])
        if "list" in node:
            return [self._tree(child) for child in node["list"]]
        value = node["value"]
        return value if isinstance(value, bool | int | float) else None  # JAX has no text; None holds no array
