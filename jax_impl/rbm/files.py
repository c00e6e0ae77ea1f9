"""A stack of RBMs as a file, in the layout of torch's `Linear`."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from jax_impl.errors import UserError
from jax_impl.rbm.machine import Rbm
from jax_impl.storage import tensors as tensor_files

MISSING = np.empty(())  # in place of a tensor that a file does not hold; it fits nowhere


def save_stack(path: Path, stack: Sequence[Rbm]) -> None:
    """Write machines, `rbm1` at the pixels: `rbm1.weight` (hidden, visible), `rbm1.visible_bias`, `rbm1.hidden_bias`.

    A weight has the layout of the `Linear` that it becomes.
    """
    tensors = {
        f"rbm{number}.{part}": np.asarray(array)
        for number, rbm in enumerate(stack, start=1)
        for part, array in rbm._replace(weight=rbm.weight.T)._asdict().items()
    }
    tensor_files.write(path, tensors)


def load_stack(path: Path) -> list[Rbm]:
    """Read machines that `save_stack` or torch_ref wrote.

    Raises:
        UserError: The file cannot be read, is damaged, or holds something else.
    """
    tensors, _ = tensor_files.read(path)
    count, rest = divmod(len(tensors), len(Rbm._fields))
    numbers = range(1, count + 1)
    stack = [Rbm(*(tensors.get(f"rbm{number}.{part}", MISSING) for part in Rbm._fields)) for number in numbers]
    fits = all(
        weight.ndim == 2 and hidden_bias.shape == weight.shape[:1] and visible_bias.shape == weight.shape[1:]
        for weight, visible_bias, hidden_bias in stack
    ) and all(below.hidden_bias.shape == above.visible_bias.shape for below, above in pairwise(stack))
    if not stack or rest or not fits:
        raise UserError(f"{path} does not hold RBMs: name the params.safetensors that `rbm` or `dbn` wrote")
    return [rbm._replace(weight=np.ascontiguousarray(rbm.weight.T)) for rbm in stack]
