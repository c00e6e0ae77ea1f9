"""What is kept of a tensor: samples, sizes without fills, and each content once."""

import math

import numpy as np
import pytest
import torch

from torch_ref.record.arrays import Recording, compact, sample, size


def test_a_sample_is_spread_evenly() -> None:
    value = torch.arange(10.0).reshape(2, 5)
    assert sample(value, 4).tolist() == [0, 2, 5, 7]  # i * 10 // 4
    assert sample(value, 10) is value
    assert sample(value.T, 4).tolist() == [0, 1, 7, 8]  # of the transposed order: 0 5 1 6 2 7 3 8 4 9


def test_size_counts_neither_nan_nor_fills() -> None:
    numbers = [3.0, -4.0, math.nan, math.inf, -1e30, torch.finfo(torch.float64).min]
    assert size(torch.tensor(numbers, dtype=torch.float64)) == (5.0, 4.0)
    assert size(torch.tensor([3.0, 4.0, -65504.0], dtype=torch.float16)) == (5.0, 4.0)
    assert size(torch.tensor([math.inf])) == (0.0, 0.0)
    assert size(torch.zeros(0)) == (0.0, 0.0)
    assert size(torch.tensor([True, True, False, True, True])) == (2.0, 1.0)
    assert size(torch.tensor([-5, 12])) == (13.0, 12.0)


def test_float64_is_stored_as_float32_only_where_that_is_exact() -> None:
    exact = torch.tensor([0.5, -1e-30, math.inf, math.nan]).double()
    assert compact(exact).dtype == np.float32
    assert np.array_equal(compact(exact), exact.numpy(), equal_nan=True)
    for other in (0.1, 1e300, 1e-300):
        value = torch.cat([torch.ones(100), torch.tensor([other])]).double()
        value[-1] = other
        assert compact(value).dtype == np.float64
    assert compact(torch.ones(3, dtype=torch.bfloat16)).dtype == np.float32
    assert compact(torch.ones(3, dtype=torch.float16)).dtype == np.float16


def test_memory_lies_in_the_order_of_the_elements() -> None:
    """safetensors writes the memory as it lies, so a transposed tensor would come back in another order."""
    assert compact(torch.arange(6.0).reshape(2, 3).T).flags.c_contiguous


def test_the_same_content_is_stored_once() -> None:
    recording = Recording()
    value = torch.arange(4.0)
    keys = [recording.array(f"slot{number}", value.clone(), "steps").key for number in range(2)]
    assert keys == ["0", "0"]
    assert recording.array("shape", value.reshape(2, 2), "steps").key == "1"
    assert recording.array("dtype", value.int(), "steps").key == "2"
    assert recording.array("bits", value.int().view(torch.float32), "steps").key == "3"
    assert recording.array("file", value, "forward").key == "0"
    assert len(recording.files["steps"]) == 4


def test_an_array_says_what_was_there_before_it_was_sampled() -> None:
    value = torch.arange(100, dtype=torch.float64).reshape(10, 10).requires_grad_() * 2
    array = Recording().array("slot", value, "steps", 5)
    assert (array.shape, array.dtype, array.sampled, array.stored.tolist()) == (
        (10, 10), "float64", True, [0, 40, 80, 120, 160],
    )  # fmt: skip
    assert array.norm == pytest.approx(np.linalg.norm(np.arange(0, 200, 2)))
    assert array.largest == 198
    assert array.as_json().keys() == {"file", "key", "shape", "dtype", "norm", "largest", "noise", "sampled"}


def test_what_is_kept_does_not_follow_the_tensor() -> None:
    value = torch.ones(3)
    array = Recording().array("slot", value, "steps")
    value.zero_()
    assert array.stored.tolist() == [1, 1, 1]


def test_complex_and_sparse_tensors_become_plain() -> None:
    recording = Recording()
    array = recording.array("complex", torch.tensor([1 + 2j, 3 - 4j]).conj(), "steps")
    assert array.stored.tolist() == [[1, -2], [3, 4]]
    sparse = torch.sparse_coo_tensor(torch.tensor([[1, 1]]), torch.tensor([2.0, 3.0]), (3,), check_invariants=True)
    assert recording.array("sparse", sparse, "steps").stored.tolist() == [0, 5, 0]
