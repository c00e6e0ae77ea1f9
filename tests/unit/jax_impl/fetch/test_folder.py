import gzip
import multiprocessing
from pathlib import Path

import pytest

from jax_impl import data
from jax_impl.fetch import folder


def good_source(mnist_dir: Path, calls: list[Path] | None = None) -> folder.Source:
    """A source of the genuine files. It appends its working folder to `calls`."""

    def source(work: Path) -> dict[str, bytes]:
        if calls is not None:
            calls.append(work)
        return {name: (data.raw_folder(mnist_dir) / name).read_bytes() for name in data.SHA256}

    return source


def failing_source(work: Path) -> dict[str, bytes]:
    (work / "half").write_bytes(b"x")
    raise data.DataError("no network")


def test_an_empty_folder_is_filled_and_then_left_alone(tmp_path: Path, mnist_dir: Path) -> None:
    calls: list[Path] = []
    sources = [("nowhere", failing_source), ("good", good_source(mnist_dir, calls))]
    lines: list[str] = []
    assert folder.ensure(tmp_path, sources=sources, log=lines.append) == "good"
    assert lines == ["skipped nowhere: no network"]
    assert folder.ensure(tmp_path, sources=sources, log=print) == "the folder"
    assert len(calls) == 1
    left = {path.name for path in data.raw_folder(tmp_path).iterdir()}
    assert left == set(data.SHA256) | {".lock"}
    assert data.load(tmp_path).train_labels[:3].tolist() == [5, 0, 4]


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_a_damaged_file_is_renamed_and_fetched_again(tmp_path: Path, mnist_dir: Path, damage: str) -> None:
    folder.ensure(tmp_path, sources=[("good", good_source(mnist_dir))], log=print)
    path = data.raw_folder(tmp_path) / "t10k-labels-idx1-ubyte"
    genuine = path.read_bytes()
    spoiled = {"truncated": genuine[:-1], "altered": genuine[:-1] + b"\xff", "empty": b""}[damage]
    path.write_bytes(spoiled)
    with pytest.raises(data.DataError):
        data.load(tmp_path)
    lines: list[str] = []
    assert folder.ensure(tmp_path, sources=[("good", good_source(mnist_dir))], log=lines.append) == "good"
    assert path.read_bytes() == genuine
    aside = next(path.parent.glob("*.damaged-*"))
    assert lines == [f"{path} is truncated or altered: renamed to {aside.name}"]
    assert aside.read_bytes() == spoiled


def test_gz_files_in_the_folder_are_unpacked(tmp_path: Path, mnist_dir: Path) -> None:
    raw = data.raw_folder(tmp_path)
    raw.mkdir(parents=True)
    for name in data.SHA256:
        content = (data.raw_folder(mnist_dir) / name).read_bytes()
        (raw / f"{name}.gz").write_bytes(gzip.compress(content, 1))
    assert folder.ensure(tmp_path, sources=[], log=print) == "the .gz files in the folder"


def test_a_damaged_gz_file_is_named_and_other_files_are_fetched(tmp_path: Path, mnist_dir: Path) -> None:
    folder.ensure(tmp_path, sources=[("good", good_source(mnist_dir))], log=print)
    raw = data.raw_folder(tmp_path)
    labels, images = raw / "t10k-labels-idx1-ubyte", raw / "t10k-images-idx3-ubyte"
    (raw / f"{labels.name}.gz").write_bytes(gzip.compress(labels.read_bytes(), 1))
    (raw / f"{images.name}.gz").write_bytes(b"junk")  # not needed, so not read
    labels.unlink()
    assert folder.ensure(tmp_path, sources=[], log=print) == "the .gz files in the folder"
    images.unlink()
    lines: list[str] = []
    assert folder.ensure(tmp_path, sources=[("good", good_source(mnist_dir))], log=lines.append) == "good"
    assert f"skipped {images}.gz: a damaged .gz file" in lines[0]


def test_wrong_content_from_a_source_is_refused(tmp_path: Path, mnist_dir: Path) -> None:
    def liar(work: Path) -> dict[str, bytes]:
        return good_source(mnist_dir)(work) | {"train-labels-idx1-ubyte": b"\0\0\x08\x01\0\0\0\0"}

    with pytest.raises(data.DataError, match="liar: the content of train-labels-idx1-ubyte is not MNIST's"):
        folder.ensure(tmp_path, sources=[("liar", liar)], log=print)
    assert [path.name for path in data.raw_folder(tmp_path).iterdir()] == [".lock"]


def test_if_all_sources_fail_one_line_names_each_attempt_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(data.DataError) as error:
        folder.ensure(tmp_path, sources=[("first", failing_source), ("second", failing_source)], log=print)
    text = str(error.value)
    assert "\n" not in text
    for part in ("first: no network", "second: no network", "--data-dir", "MNIST_DATA_DIR", str(tmp_path)):
        assert part in text


def _ensure_slowly(root: Path, source_dir: Path, calls: Path) -> str:
    def source(work: Path) -> dict[str, bytes]:
        (calls / work.name).touch()
        return good_source(source_dir)(work)

    return folder.ensure(root, sources=[("good", source)], log=print)


def test_processes_that_start_together_fetch_once(tmp_path: Path, mnist_dir: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        taken = pool.starmap(_ensure_slowly, [(tmp_path, mnist_dir, calls)] * 4)
    assert sorted(taken) == ["good", "the folder", "the folder", "the folder"]
    assert len(list(calls.iterdir())) == 1


def test_files_left_by_a_killed_process_are_deleted(tmp_path: Path, mnist_dir: Path) -> None:
    leftover = data.raw_folder(tmp_path) / ".fetch-abc"
    leftover.mkdir(parents=True)
    (leftover / "half.gz").write_bytes(b"x")
    folder.ensure(tmp_path, sources=[("good", good_source(mnist_dir))], log=print)
    assert not leftover.exists()


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        data.DataError, match="file is a file, but MNIST needs a folder there: move it, or name another folder"
    ):
        folder.ensure(tmp_path / "file", sources=[], log=print)
