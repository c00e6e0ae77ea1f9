from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from jax_impl import interop
from jax_impl.errors import UserError
from jax_impl.rbm.files import load_stack, save_stack
from jax_impl.rbm.machine import Rbm


def machines(*sizes: int) -> list[Rbm]:
    rng = np.random.default_rng(0)
    return [
        Rbm(*(rng.normal(size=shape).astype(np.float32) for shape in ((below, above), below, above)))
        for below, above in pairwise(sizes)
    ]


def test_saved_machines_are_loaded_to_the_last_bit(tmp_path: Path) -> None:
    save_stack(tmp_path / "file", machines(9, 4, 3))
    for one, other in zip(machines(9, 4, 3), load_stack(tmp_path / "file"), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def test_a_weight_has_the_layout_of_torch_s_linear(tmp_path: Path) -> None:
    (square,) = machines(4, 4)
    save_stack(tmp_path / "file", [square])
    tensors = safetensors.numpy.load_file(tmp_path / "file")
    assert tensors.keys() == {"rbm1.weight", "rbm1.visible_bias", "rbm1.hidden_bias"}
    np.testing.assert_array_equal(tensors["rbm1.weight"], np.asarray(square.weight).T)


def test_other_content_is_refused(tmp_path: Path) -> None:
    path, (first, _) = tmp_path / "file", machines(9, 4, 3)
    for wrong in (
        machines(9, 4) + machines(3, 2),  # the second does not fit on the first
        [first._replace(visible_bias=first.visible_bias[:-1])],
        [Rbm(*np.zeros(3, np.float32))],  # numbers instead of arrays
        [first._replace(weight=first.weight[:, 0], hidden_bias=first.hidden_bias[0])],  # a row instead of a matrix
        [],
    ):
        save_stack(path, wrong)
        with pytest.raises(UserError, match="does not hold RBMs"):
            load_stack(path)
    interop.save(path, {"linear1": {"kernel": np.zeros((4, 3), np.float32), "bias": np.zeros(3, np.float32)}})
    with pytest.raises(UserError, match=r"does not hold RBMs: name the params\.safetensors that `rbm` or `dbn` wrote"):
        load_stack(path)


def test_a_damaged_or_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_stack(path, machines(9, 4))
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-5])
    with pytest.raises(UserError, match="is not a safetensors file"):
        load_stack(path)
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: its checksum does not match"):
        load_stack(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(UserError, match="is not a safetensors file"):
        load_stack(path)
    with pytest.raises(UserError, match="cannot read"):
        load_stack(tmp_path / "none")
