"""The real torchvision download code against a loopback mirror."""

import hashlib
from functools import partial
from pathlib import Path

import pytest
import torch

from jax_impl import data as jax_data
from tests.loopback import packed, serve
from torch_ref import data, download
from torch_ref.data import DataError


@pytest.fixture(scope="module")
def content(mnist_dir: Path) -> dict[str, bytes]:
    return packed(jax_data.raw_folder(mnist_dir))


@pytest.fixture
def register(content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what the loopback mirror serves be trusted."""
    sums = {name: hashlib.md5(packed).hexdigest() for name, packed in content.items()}
    monkeypatch.setattr(data, "download", partial(download.download, sums=sums))


def test_both_packages_trust_the_same_content() -> None:
    assert data.SHA256 == jax_data.SHA256


@pytest.mark.usefixtures("register")
def test_missing_files_come_through_torchvision(
    tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(content) as mirror:
        monkeypatch.setenv("MNIST_MIRROR", mirror.url)
        mnist_train, mnist_test = data.load(tmp_path)
        asked = len(mirror.asked)
        data.load(tmp_path)
        assert len(mirror.asked) == asked
    assert {line.split()[1] for line in mirror.asked} == set(content)
    assert (len(mnist_train), len(mnist_test)) == (60000, 10000)
    assert {path.name for path in (tmp_path / "MNIST" / "raw").iterdir()} == set(data.SHA256) | {".lock"}


@pytest.mark.usefixtures("register")
@pytest.mark.parametrize("how", ["cut", "alter", "missing"])
def test_a_bad_download_is_refused_and_a_second_try_succeeds(
    tmp_path: Path, content: dict[str, bytes], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(content, **{"t10k-images-idx3-ubyte.gz": how}) as mirror:
        monkeypatch.setenv("MNIST_MIRROR", mirror.url)
        with pytest.raises(DataError, match="run `python -m jax_impl data`") as error:
            data.load(tmp_path)
        assert "\n" not in str(error.value)
        assert [path.name for path in (tmp_path / "MNIST" / "raw").iterdir()] == [".lock"]
        mirror.spoil.clear()
        data.load(tmp_path)


@pytest.mark.usefixtures("register")
def test_a_damaged_file_is_named_set_aside_and_fetched_again(
    tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(content) as mirror:
        monkeypatch.setenv("MNIST_MIRROR", mirror.url)
        data.load(tmp_path)
        path = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
        path.write_bytes(path.read_bytes()[:-1])
        lines: list[str] = []
        data.load(tmp_path, log=lines.append)
    assert len(lines) == 1
    assert "train-labels-idx1-ubyte is not MNIST's (truncated or altered): set aside as" in lines[0]


def test_float64_pixels_are_divided_in_float64(mnist_dir: Path) -> None:
    image, _ = data.load(mnist_dir, dtype="float64")[0][0]
    raw = data.load(mnist_dir)[0].data[0].to(torch.float64)
    assert image.dtype == torch.float64
    assert torch.equal(image[0], raw / 255)
