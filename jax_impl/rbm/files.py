"""A stack of RBMs as a file, in the layout of torch's `Linear`."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from jax_impl.errors import UserError
from jax_impl.rbm.machine import Rbm
from jax_impl.storage import tensors as tensor_files


def save_stack(path: Path, stack: Sequence[Rbm]) -> None:
    """Write machines, `rbm1` at the pixels: `rbm1.weight` (hidden, visible), `rbm1.visible_bias`, `rbm1.hidden_bias`.

    A weight has the layout of the `Linear` that it becomes.
    """
    tensors = {}
    for number, rbm in enumerate(stack, start=1):
        tensors[f"rbm{number}.weight"] = np.asarray(rbm.weight).T
        tensors[f"rbm{number}.visible_bias"] = np.asarray(rbm.visible_bias)
        tensors[f"rbm{number}.hidden_bias"] = np.asarray(rbm.hidden_bias)
    tensor_files.write(path, tensors)


def load_stack(path: Path) -> list[Rbm]:
    """Read machines that `save_stack` or torch_ref wrote.

    Raises:
        UserError: The file cannot be read, is damaged, or holds something else.
    """
    tensors, _ = tensor_files.read(path)
    stack: list[Rbm] = []
    while (rbm := _machine(tensors, len(stack) + 1)) is not None:
        stack.append(rbm)
    fits = all(len(below.hidden_bias) == len(above.visible_bias) for below, above in pairwise(stack))
    if not stack or not fits or len(tensors) != 3 * len(stack):
        raise UserError(f"{path} does not hold RBMs: name the params.safetensors that `rbm` or `dbn` wrote")
    return stack


def _machine(tensors: Mapping[str, np.ndarray], number: int) -> Rbm | None:
    """Return the machine of this number, or None if a tensor is missing or has another shape."""
    names = [f"rbm{number}.{part}" for part in ("weight", "visible_bias", "hidden_bias")]
    if not tensors.keys() >= set(names):
        return None
    weight, visible_bias, hidden_bias = (tensors[name] for name in names)
    if visible_bias.ndim != 1 or weight.shape != hidden_bias.shape + visible_bias.shape:
        return None
    return Rbm(np.ascontiguousarray(weight.T), visible_bias, hidden_bias)
