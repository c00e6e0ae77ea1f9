import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from jax_impl.parity import plugin
from tests.unit.jax_impl.parity.synthetic import Pair

ROOT = Path(__file__).parents[4]


def run(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on a file of its own, far from this project's settings."""
    (folder / "test_port.py").write_text(f"from jax_impl.parity.plugin import prove_port\n{source}", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_one_line_proves_a_port(pair: Pair, tmp_path: Path) -> None:
    line = f"def test_port(prove_port):\n    assert prove_port({str(pair.theirs)!r}, {str(pair.ours())!r}).passed\n"
    result = run(tmp_path, line)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_a_wrong_port_fails_its_test_with_the_first_divergence(pair: Pair, tmp_path: Path) -> None:
    ours = pair.ours(between=1.2)
    result = run(
        tmp_path, f"def test_port(prove_port):\n    prove_port({str(pair.theirs)!r}, {str(ours)!r}, margin=0.02)\n"
    )
    assert result.returncode == 1
    assert (
        "AssertionError: first divergence: body (forward, training mode): what it hands to bn differs" in result.stdout
    )
    assert "plugin.py" not in result.stdout  # the traceback ends in the user's line


def test_without_a_record_the_port_is_run(monkeypatch: pytest.MonkeyPatch, pair: Pair) -> None:
    asked = []

    def prove(theirs: object, **port: object) -> object:
        asked.append((theirs, port))
        return pair.verdict()

    monkeypatch.setitem(sys.modules, "jax_impl.parity.recording", SimpleNamespace(prove=prove))  # needs JAX
    function = plugin.prove_port.__wrapped__()  # type: ignore[attr-defined]
    assert function("theirs", model=1, loss=2).passed
    assert asked == [("theirs", {"model": 1, "loss": 2})]


def test_the_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"jax_impl_parity": "jax_impl.parity.plugin"}


def test_importing_the_plugin_imports_nothing_slow() -> None:
    """Every run of pytest in the environment imports it."""
    code = "import pytest, sys; old = set(sys.modules); import jax_impl.parity.plugin; print(*set(sys.modules) - old)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(result.stdout.split()) == ["jax_impl", "jax_impl.parity", "jax_impl.parity.plugin"]
