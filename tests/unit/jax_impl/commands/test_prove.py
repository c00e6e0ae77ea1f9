"""The command `prove`: what it prints and writes, its exit codes, and that it needs neither framework."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jax_impl.commands.main import main
from tests.unit.jax_impl.parity.synthetic import Pair

ROOT = Path(__file__).parents[4]
Answer = tuple[int, str, str]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference's record, a port's, and that of a wrong port."""
    pair = Pair(tmp_path_factory.mktemp("records"))
    shutil.move(pair.ours(between=1.2), pair.folder / "wrong")
    pair.ours()
    return pair.folder


@pytest.fixture
def prove(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], records: Path):
    """A function that takes the words after `prove`, and returns exit code, standard output and error."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.chdir(records)

    def run(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["jax_impl", "prove", *map(str, words)])
        code = main()
        return code, *capsys.readouterr()

    return run


def test_a_faithful_port_ends_with_0(prove) -> None:
    code, out, err = prove("theirs", "ours", "--margin", 0.02)
    assert (code, err) == (0, "")
    assert out.startswith("PASS: 14 of 14 rungs agree\n")


def test_a_wrong_port_ends_with_1_and_its_first_divergence(prove) -> None:
    code, out, err = prove("theirs", "wrong")
    assert (code, err) == (1, "")
    assert out.startswith("first divergence: body (forward, training mode): what it hands to bn differs (after fc)")


@pytest.mark.parametrize("record", ["theirs", "wrong"])
def test_a_report_does_not_go_into_a_record(prove, records: Path, record: str) -> None:
    code, out, err = prove("theirs", "wrong", "--out", records / record)
    assert (code, out) == (2, "")
    assert err.startswith("error: --out must be a folder other than the records, got ")


def test_json_goes_to_standard_output(prove) -> None:
    code, out, _ = prove("theirs", "wrong", "--json")
    assert code == 1
    assert json.loads(out)["verdict"] == "FAIL"


def test_the_report_is_written(prove, tmp_path: Path) -> None:
    code, _, err = prove("theirs", "wrong", "--out", tmp_path / "report")
    assert (code, err) == (1, f"the report is {tmp_path / 'report' / 'index.html'}\n")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"index.html", "report.json", "report.md"}


def test_the_summary_of_github_actions_is_appended(
    prove, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert prove("theirs", "wrong")[0] == 1
    assert prove("theirs", "ours")[0] == 0
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert (text.count("### FAIL"), text.count("### PASS")) == (1, 1)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("theirs",), 2, "OURS must be given; see python -m jax_impl prove --help"),
        ((), 2, "THEIRS, OURS must be given; see python -m jax_impl prove --help"),
        (("theirs", "ours", "more"), 2, "unexpected argument 'more'; see"),
        (("theirs", "ours", "--margin", "0"), 2, "--margin must be a number above 0, got 0.0; see python -m"),
        (("theirs", "ours", "--margin", "nan"), 2, "--margin must be a number above 0, got nan; see python -m"),
        (("theirs", "ours", "--margin", "wide"), 2, "--margin must be a number, got 'wide'; see"),
        (("theirs", "ours", "--out", "."), 2, "--out must be a folder of its own, such as runs/x, got '.'; see"),
        (("absent", "ours"), 1, "absent is not a folder: name the folder that `save` wrote"),
        (("ours", "theirs"), 1, "the records are swapped: name the reference first, prove theirs ours"),
        (("theirs", "ours", "--out", "theirs/record.json"), 1, "cannot write theirs/record.json"),
    ],
)
def test_a_mistake_gets_one_line(prove, words: tuple[str, ...], code: int, message: str) -> None:
    found, out, err = prove(*words)
    assert (found, out) == (code, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


ABSENT = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax",
    "torch",
    "matplotlib",
    "tensorflow_datasets",
    "requests",
    "equinox",
)
BLOCKING = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_neither_framework_is_needed(records: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKING, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    environment.pop("GITHUB_STEP_SUMMARY", None)
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "jax_impl",
        "prove",
        "theirs",
        "ours",
        "--out",
        str(tmp_path / "report"),
    ]
    result = subprocess.run(command, cwd=records, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("PASS: ")
    assert (tmp_path / "report" / "index.html").exists()
    code = "import jax"
    blocked = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "No module named 'jax'" in blocked.stderr  # the test would notice
