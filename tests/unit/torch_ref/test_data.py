"""The real torchvision download code against a loopback mirror."""

import gc
import hashlib
import re
import socket
import time
from pathlib import Path

import pytest
import torch
import torchvision.datasets as dsets

from jax_impl import data as jax_data
from tests.loopback import packed, serve
from torch_ref import data
from torch_ref.data import DataError


@pytest.fixture(scope="module")
def content(mnist_dir: Path) -> dict[str, bytes]:
    return packed(jax_data.raw_folder(mnist_dir))


@pytest.fixture(autouse=True)
def trusted(content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision accepts what the loopback mirror serves, and forgets the mirror after the test."""
    sums = [(name, hashlib.md5(file).hexdigest()) for name, file in content.items()]
    monkeypatch.setattr(dsets.MNIST, "resources", sums)
    monkeypatch.setattr(dsets.MNIST, "mirrors", dsets.MNIST.mirrors)


def test_both_packages_trust_the_same_content() -> None:
    assert data.SHA256 == jax_data.SHA256


def test_missing_files_come_through_torchvision(
    tmp_path: Path,
    content: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serve(content) as mirror:
        monkeypatch.setenv("MNIST_MIRROR", mirror.url)
        mnist_train, mnist_test = data.load(tmp_path)
        requests = len(mirror.asked)
        data.load(tmp_path)
        assert len(mirror.asked) == requests
    assert {line.split()[1] for line in mirror.asked} == set(content)
    assert (len(mnist_train), len(mnist_test)) == (60000, 10000)
    assert {path.name for path in (tmp_path / "MNIST" / "raw").iterdir()} == set(data.SHA256)
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]  # no temporary folder
    assert capsys.readouterr() == ("", "")
    assert socket.getdefaulttimeout() is None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", "alter", "missing"])
def test_a_bad_download_is_refused_and_a_second_try_succeeds(
    tmp_path: Path, content: dict[str, bytes], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(content, **{"t10k-images-idx3-ubyte.gz": how}) as mirror:
        monkeypatch.setenv("MNIST_MIRROR", mirror.url)
        with pytest.raises(DataError, match=r"run `python -m jax_impl data --data-dir .*`, which tries more") as error:
            data.load(tmp_path)
        assert "\n" not in str(error.value)
        assert list((tmp_path / "MNIST" / "raw").iterdir()) == []
        assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]
        mirror.spoil.clear()
        data.load(tmp_path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib forgets the socket
def test_a_silent_mirror_is_given_up(
    tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "SILENCE", 0.5)
    started = time.monotonic()
    with serve(content, **{"train-labels-idx1-ubyte.gz": "stall"}) as mirror:
        monkeypatch.setenv("MNIST_MIRROR", mirror.url)
        with pytest.raises(DataError, match="timed out"):
            data.load(tmp_path)
    assert time.monotonic() - started < 20
    gc.collect()
    assert socket.getdefaulttimeout() is None


def test_other_content_of_the_mirror_is_refused(
    tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchvision trusts the MD5 of the packed file; the unpacked content is verified, too."""
    swapped = dict(content)
    swapped["t10k-labels-idx1-ubyte.gz"] = content["train-labels-idx1-ubyte.gz"]
    sums = [(name, hashlib.md5(file).hexdigest()) for name, file in swapped.items()]
    monkeypatch.setattr(dsets.MNIST, "resources", sums)
    with serve(swapped) as mirror:
        monkeypatch.setenv("MNIST_MIRROR", mirror.url)
        with pytest.raises(DataError, match=r"the mirror's t10k-labels-idx1-ubyte is not MNIST's"):
            data.load(tmp_path)
    assert list((tmp_path / "MNIST" / "raw").iterdir()) == []


@pytest.mark.parametrize("missing", [False, True])
def test_a_damaged_file_is_named_with_its_remedy_and_stays(tmp_path: Path, mnist_dir: Path, missing: bool) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in data.SHA256:
        (raw / name).symlink_to((jax_data.raw_folder(mnist_dir) / name).resolve())
    if missing:
        (raw / "t10k-images-idx3-ubyte").unlink()
    path = raw / "train-labels-idx1-ubyte"
    damaged = path.read_bytes()[:-1]
    path.unlink()
    path.write_bytes(damaged)
    message = f"{path} is damaged: run `python -m jax_impl data --data-dir {tmp_path}` to repair it"
    with pytest.raises(DataError, match=re.escape(message)):
        data.load(tmp_path)
    assert path.read_bytes() == damaged


def test_float64_pixels_are_divided_in_float64(mnist_dir: Path) -> None:
    image, _ = data.load(mnist_dir, dtype="float64")[0][0]
    raw = data.load(mnist_dir)[0].data[0].to(torch.float64)
    assert image.dtype == torch.float64
    assert torch.equal(image[0], raw / 255)
