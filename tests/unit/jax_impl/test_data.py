import gzip
import hashlib
import multiprocessing
import struct
from pathlib import Path

import numpy as np
import pytest

from jax_impl import data


def good_source(mnist_dir: Path, calls: list[Path] | None = None) -> data.Source:
    """A source that gives the genuine files, and notes that it was asked."""

    def source(work: Path) -> dict[str, bytes]:
        if calls is not None:
            calls.append(work)
        return {name: (data.raw_folder(mnist_dir) / name).read_bytes() for name in data.SHA256}

    return source


def failing_source(work: Path) -> dict[str, bytes]:
    (work / "half").write_bytes(b"x")
    raise data.DataError("no network")


def test_mnist_is_mnist(mnist: data.Mnist) -> None:
    assert mnist.train_images.shape == (60000, 784)
    assert mnist.test_images.shape == (10000, 784)
    assert np.bincount(mnist.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # The published mean and standard deviation of the training pixels.
    assert mnist.train_images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert mnist.train_images.std() / 255 == pytest.approx(0.3081, abs=5e-5)


def test_an_empty_folder_is_filled_and_then_left_alone(tmp_path: Path, mnist_dir: Path) -> None:
    calls: list[Path] = []
    sources = [("nowhere", failing_source), ("good", good_source(mnist_dir, calls))]
    lines: list[str] = []
    assert data.ensure(tmp_path, sources=sources, log=lines.append) == "good"
    assert lines == ["passed over nowhere: no network"]
    assert data.ensure(tmp_path, sources=sources) == "the folder"
    assert len(calls) == 1
    left = {path.name for path in data.raw_folder(tmp_path).iterdir()}
    assert left == set(data.SHA256) | {".lock"}
    assert data.load(tmp_path).train_labels[:3].tolist() == [5, 0, 4]


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_a_damaged_file_is_named_set_aside_and_fetched_again(tmp_path: Path, mnist_dir: Path, damage: str) -> None:
    data.ensure(tmp_path, sources=[("good", good_source(mnist_dir))])
    path = data.raw_folder(tmp_path) / "t10k-labels-idx1-ubyte"
    genuine = path.read_bytes()
    spoiled = {"truncated": genuine[:-1], "altered": genuine[:-1] + b"\xff", "empty": b""}[damage]
    path.write_bytes(spoiled)
    with pytest.raises(data.DataError, match="lacks a whole t10k-labels-idx1-ubyte: run `python -m jax_impl data`"):
        data.load(tmp_path)
    lines: list[str] = []
    assert data.ensure(tmp_path, sources=[("good", good_source(mnist_dir))], log=lines.append) == "good"
    assert path.read_bytes() == genuine
    assert "t10k-labels-idx1-ubyte is not MNIST's (truncated or altered): set aside" in lines[0]
    assert next(path.parent.glob("*.damaged-*")).read_bytes() == spoiled


def test_canonical_gz_files_in_the_folder_are_used(tmp_path: Path, mnist_dir: Path) -> None:
    folder = data.raw_folder(tmp_path)
    folder.mkdir(parents=True)
    for name in data.SHA256:
        content = (data.raw_folder(mnist_dir) / name).read_bytes()
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, 1))
    assert data.ensure(tmp_path, sources=[]) == "the .gz files in the folder"


def test_a_damaged_gz_file_is_named_and_the_others_are_used(tmp_path: Path, mnist_dir: Path) -> None:
    data.ensure(tmp_path, sources=[("good", good_source(mnist_dir))])
    folder = data.raw_folder(tmp_path)
    labels, images = folder / "t10k-labels-idx1-ubyte", folder / "t10k-images-idx3-ubyte"
    (folder / f"{labels.name}.gz").write_bytes(gzip.compress(labels.read_bytes(), 1))
    (folder / f"{images.name}.gz").write_bytes(b"junk")  # not wanted, so not looked at
    labels.unlink()
    assert data.ensure(tmp_path, sources=[]) == "the .gz files in the folder"
    images.unlink()
    lines: list[str] = []
    assert data.ensure(tmp_path, sources=[("good", good_source(mnist_dir))], log=lines.append) == "good"
    assert f"passed over {images}.gz: a damaged .gz file" in lines[0]


def test_a_source_with_wrong_content_is_not_believed(tmp_path: Path, mnist_dir: Path) -> None:
    def liar(work: Path) -> dict[str, bytes]:
        return good_source(mnist_dir)(work) | {"train-labels-idx1-ubyte": b"\0\0\x08\x01\0\0\0\0"}

    with pytest.raises(data.DataError, match="liar: the content of train-labels-idx1-ubyte is not MNIST's"):
        data.ensure(tmp_path, sources=[("liar", liar)])
    assert [path.name for path in data.raw_folder(tmp_path).iterdir()] == [".lock"]


def test_nothing_to_be_had_is_one_line_with_every_attempt_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(data.DataError) as error:
        data.ensure(tmp_path, sources=[("first", failing_source), ("second", failing_source)])
    text = str(error.value)
    assert "\n" not in text
    for part in ("first: no network", "second: no network", "--data-dir", "MNIST_DATA_DIR", str(tmp_path)):
        assert part in text


def _ensure_slowly(root: Path, source_dir: Path, calls: Path) -> str:
    def source(work: Path) -> dict[str, bytes]:
        (calls / work.name).touch()
        return good_source(source_dir)(work)

    return data.ensure(root, sources=[("good", source)])


def test_processes_that_start_together_fetch_once(tmp_path: Path, mnist_dir: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        taken = pool.starmap(_ensure_slowly, [(tmp_path, mnist_dir, calls)] * 4)
    assert sorted(taken) == ["good", "the folder", "the folder", "the folder"]
    assert len(list(calls.iterdir())) == 1


def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path, mnist_dir: Path) -> None:
    leftover = data.raw_folder(tmp_path) / ".fetch-abc"
    leftover.mkdir(parents=True)
    (leftover / "half.gz").write_bytes(b"x")
    data.ensure(tmp_path, sources=[("good", good_source(mnist_dir))])
    assert not leftover.exists()


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(data.DataError, match="file/MNIST/raw"):
        data.ensure(tmp_path / "file", sources=[])


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
def test_what_is_no_idx_file_is_refused(content: bytes) -> None:
    with pytest.raises(data.DataError):
        data.parse_idx(content)


def test_checksums_are_of_the_content(mnist_dir: Path) -> None:
    for name, expected in data.SHA256.items():
        assert hashlib.sha256((data.raw_folder(mnist_dir) / name).read_bytes()).hexdigest() == expected
        assert not data.is_genuine(name, None)
