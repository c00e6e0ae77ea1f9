"""Named arrays come back to the last bit, or the damage is noticed."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from jax_impl.errors import UserError
from jax_impl.storage import tensors
from jax_impl.storage.tensors import DamagedError

FACTS = {"costs": [0.1, 1e-300], "name": "é"}


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "kernel": rng.normal(size=(3, 2)).astype(np.float32),
        "double": rng.normal(size=2),
        "count": np.array(seed, np.int32),
        "bytes": rng.integers(0, 256, 5, dtype=np.uint8),
        "key": np.array([seed, 2**32 - 1], np.uint32),
        "finite": np.array([True, False]),
        "none": np.zeros((2, 0), np.float32),
    }


def same(ones: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> bool:
    return ones.keys() == others.keys() and all(
        ones[name].dtype == others[name].dtype and np.array_equal(ones[name], others[name]) for name in ones
    )


def test_arrays_and_facts_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    tensors.write(path, arrays(), FACTS)
    found, facts = tensors.read(path)
    assert same(found, arrays())
    assert facts == FACTS
    tensors.write(path, arrays(1))
    found, facts = tensors.read(path)
    assert same(found, arrays(1))
    assert facts == {}
    assert list(path.parent.iterdir()) == [path]


def test_an_array_that_is_not_contiguous_is_written_by_its_values(tmp_path: Path) -> None:
    square = np.arange(9.0).reshape(3, 3)
    tensors.write(tmp_path / "file", {"transposed": square.T, "column": square[:, 1]})
    found, _ = tensors.read(tmp_path / "file")
    assert same(found, {"transposed": square.T, "column": square[:, 1]})


def test_safetensors_alone_opens_the_file(tmp_path: Path) -> None:
    tensors.write(tmp_path / "file", arrays(), FACTS)
    assert same(safetensors.numpy.load_file(tmp_path / "file"), arrays())
    with safetensors.safe_open(tmp_path / "file", framework="numpy") as file:
        assert json.loads(file.metadata()["facts"]) == FACTS


def test_a_file_without_a_checksum_is_accepted(tmp_path: Path) -> None:
    safetensors.numpy.save_file(arrays(), tmp_path / "file")
    found, facts = tensors.read(tmp_path / "file")
    assert same(found, arrays())
    assert facts == {}


@pytest.mark.parametrize("facts", [FACTS, None])
def test_every_flipped_bit_is_noticed(facts: tensors.Facts | None, tmp_path: Path) -> None:
    """Also those in the checksum and in its name."""
    path = tmp_path / "file"
    content = tensors.packed({"kernel": np.array([[0.5, -1.25]], np.float32), "count": np.array(3, np.int32)}, facts)
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            with pytest.raises(DamagedError):
                tensors.read(path)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = tensors.packed(arrays(), FACTS)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedError):
            tensors.read(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(DamagedError):
        tensors.read(path)


@pytest.mark.parametrize("block", [1, 16, 512])
def test_zeroed_blocks_are_noticed(block: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = tensors.packed({"array": np.arange(1, 500, dtype=np.float32)}, FACTS)
    for start in range(0, len(content), block):
        end = min(start + block, len(content))
        if any(content[start:end]):
            path.write_bytes(content[:start] + bytes(end - start) + content[end:])
            with pytest.raises(DamagedError):
                tensors.read(path)


def test_data_of_another_file_is_noticed(tmp_path: Path) -> None:
    """The file is then a right one by its form; only the checksum shows it."""
    path = tmp_path / "file"
    one, other = (tensors.packed({"array": np.full(4, value)}, FACTS) for value in (1.0, 2.0))
    path.write_bytes(one[:-32] + other[-32:])
    assert safetensors.numpy.load_file(path)["array"][0] == 2
    with pytest.raises(DamagedError, match=r"file is damaged: its checksum does not match; use a copy, or train again"):
        tensors.read(path)


def test_the_checksum_depends_on_every_part() -> None:
    def checksum(arrays: dict[str, np.ndarray], facts: dict[str, int]) -> str:
        content = tensors.packed(arrays, facts)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return header["__metadata__"]["sha256"]

    contents = (
        ({"a": np.zeros(2, np.float32)}, {"x": 1}),
        ({"a": np.zeros(2, np.float32)}, {"x": 2}),
        ({"b": np.zeros(2, np.float32)}, {"x": 1}),
        ({"a": np.zeros((2, 1), np.float32)}, {"x": 1}),
        ({"a": np.zeros(1, np.float64)}, {"x": 1}),
        ({"a": np.zeros(2, np.int32)}, {"x": 1}),
        ({"a": np.array([0, 1e-45], np.float32)}, {"x": 1}),
        ({}, {"x": 1}),
    )
    assert len({checksum(*content) for content in contents}) == len(contents)
    assert checksum(*contents[0]) == checksum(*contents[0])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none: No such file or directory; name a params\.safetensors"):
        tensors.read(tmp_path / "none")
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        tensors.read(tmp_path)
