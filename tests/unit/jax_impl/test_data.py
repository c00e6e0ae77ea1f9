import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from jax_impl import data


def test_mnist_is_mnist(mnist: data.Mnist) -> None:
    assert mnist.train_images.shape == (60000, 784)
    assert mnist.test_images.shape == (10000, 784)
    assert np.bincount(mnist.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # The published mean and standard deviation of the training pixels.
    assert mnist.train_images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert mnist.train_images.std() / 255 == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered", "empty"])
def test_a_damaged_file_is_named(tmp_path: Path, mnist_dir: Path, damage: str) -> None:
    folder = data.raw_folder(tmp_path)
    folder.mkdir(parents=True)
    for name in data.SHA256:
        (folder / name).symlink_to((data.raw_folder(mnist_dir) / name).resolve())
    path = folder / "t10k-labels-idx1-ubyte"
    genuine = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"truncated": genuine[:-1], "altered": genuine[:-1] + b"\xff", "empty": b""}[damage])
    with pytest.raises(data.DataError) as error:
        data.load(tmp_path)
    assert str(error.value) == (
        f"t10k-labels-idx1-ubyte missing or damaged in {folder}: run `python -m jax_impl data` to fetch it"
    )
    path.unlink(missing_ok=True)
    path.mkdir()
    with pytest.raises(
        data.DataError, match=r"cannot read .*t10k-labels-idx1-ubyte: Is a directory; check it, or name another"
    ):
        data.load(tmp_path)


def test_the_data_folder_is_the_argument_the_variable_or_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_DATA_DIR", "set")
    assert data.raw_folder(Path("given")) == Path("given/MNIST/raw")
    assert data.raw_folder() == Path("set/MNIST/raw")
    monkeypatch.delenv("MNIST_DATA_DIR")
    assert data.raw_folder() == Path("MNIST_data/MNIST/raw")


def test_the_digest_covers_all_images_and_labels(small: data.Mnist) -> None:
    assert data.digest(small) == data.digest(data.Mnist(*(array.copy() for array in small)))
    for place in range(4):
        changed = [array.copy() for array in small]
        changed[place].flat[-1] ^= 1
        assert data.digest(data.Mnist(*changed)) != data.digest(small)


def test_idx_is_parsed() -> None:
    images = struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 1) + bytes([1, 2, 3, 255])
    np.testing.assert_array_equal(data.parse_idx(images), np.array([[1, 2], [3, 255]], np.uint8))
    labels = data.parse_idx(struct.pack(">4BI", 0, 0, 8, 1, 3) + bytes([7, 0, 9]))
    assert labels.dtype == np.int32
    assert labels.tolist() == [7, 0, 9]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"<!DOCTYPE html>",
        struct.pack(">4BI", 0, 0, 9, 1, 1) + b"\1",  # signed bytes
        struct.pack(">4BI", 0, 0, 8, 1, 3) + b"\1\2",  # cut
        struct.pack(">4BI", 0, 0, 8, 1, 3) + b"\1\2\3\4",  # too long
        struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1),  # a size that would overflow
        struct.pack(">4BI", 0, 0, 8, 3, 1),  # a header that ends too early
    ],
)
def test_a_file_that_is_not_idx_is_refused(content: bytes) -> None:
    with pytest.raises(data.DataError):
        data.parse_idx(content)


def test_checksums_are_of_the_content(mnist_dir: Path) -> None:
    for name, expected in data.SHA256.items():
        assert hashlib.sha256((data.raw_folder(mnist_dir) / name).read_bytes()).hexdigest() == expected
        assert not data.is_genuine(name, None)
