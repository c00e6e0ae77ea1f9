"""The guide's notebook: the committed file is the script's, complete in both languages, and can be executed."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.guide import notebook as notebooks
from tests.guide.tables import GRIDS, NUMBERS

COMMITTED = notebooks.read()
HEADINGS = (  # of the original
    "Why good initialization?",
    "Not all 0's",
    "RBM (Restricted Boltzmann Machine)",
    "Deep Belief Network",
    "Xavier / He initialization",
    "Code: mnist_nn_xavier",
    "Code: mnist_nn_deep",
)
HANGUL = re.compile("[가-힣]{2}")
COST = re.compile(r"^Epoch: \d{4} cost = (\d\.\d{9})", re.MULTILINE)
# Costs on other processors differ from the third or fourth digit on (docs/machines.md).
OTHER_PROCESSOR = 0.01


def sections(notebook: Any) -> dict[str, list[Any]]:
    """Return the cells under each heading of the original."""
    found: dict[str, list[Any]] = {}
    cells: list[Any] = []
    for cell in notebook.cells:
        heading = re.match(r"## (.+)", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            cells = found.setdefault(heading[1], [])
        cells.append(cell)
    return found


def texts(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def outputs(cells: list[Any]) -> Iterator[Any]:
    for cell in cells:
        yield from cell.outputs if cell.cell_type == "code" else ()


def measured_numbers() -> set[str]:
    """Return every number with decimals that the records hold as the guide and the notebook write it."""
    words = [cell["test accuracy"] for cells in GRIDS.values() for cell in cells]
    words += [check["measured"] for preset in NUMBERS["presets"].values() for check in preset["checks"]]
    return {number for text in words for number in re.findall(r"-?\d+\.\d+", text)}


def test_the_committed_notebook_is_the_script_s() -> None:
    script = notebooks.converted()
    assert [(cell.cell_type, cell.source) for cell in COMMITTED.cells] == [
        (cell.cell_type, cell.source) for cell in script.cells
    ]
    assert notebooks.converted() == script  # nothing in it is drawn at random


def test_it_is_small_and_ran_from_top_to_bottom_without_errors() -> None:
    assert notebooks.PATH.stat().st_size < 3_000_000
    codes = [cell for cell in COMMITTED.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in codes] == list(range(1, len(codes) + 1))
    found = list(outputs(COMMITTED.cells))
    assert {output.output_type for output in found} == {"stream", "display_data"}
    assert {output.name for output in found if output.output_type == "stream"} == {"stdout"}
    assert "FAIL" not in notebooks.printed(COMMITTED)
    assert "torch is not installed" not in notebooks.printed(COMMITTED)


def test_it_names_no_machine() -> None:
    words = [cell.source for cell in COMMITTED.cells] + [notebooks.printed(COMMITTED)]
    words += [json.dumps(output.metadata) for output in outputs(COMMITTED.cells) if "metadata" in output]
    assert [found for text in words for found in re.findall(r"/(?:home|root|tmp|work|usr|Users)/\S*", text)] == []
    assert dict(COMMITTED.metadata) == notebooks.METADATA


def test_the_headings_are_the_original_s() -> None:
    assert list(sections(COMMITTED)) == list(HEADINGS)


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_section_has_a_figure_and_a_question_with_a_hidden_answer(heading: str) -> None:
    cells = sections(COMMITTED)[heading]
    images = [output for output in outputs(cells) if output.output_type == "display_data"]
    assert images
    assert all(len(image.metadata["image/png"]["alt"]) > 20 for image in images)
    question = cells[-1].source
    asked, _, answer = question.partition("<details><summary>Answer / 답</summary>")
    assert all(word in asked for word in ("**Question.**", "**문제.**"))
    assert answer.rstrip().endswith("</details>")
    assert HANGUL.search(answer)
    assert any("torch." in cell.source or "torch_ref" in cell.source for cell in cells if cell.cell_type == "code")


def test_every_text_is_in_english_and_then_in_korean() -> None:
    for text in texts(COMMITTED):
        korean = HANGUL.search(text)
        assert korean, text
        assert re.search(r"[A-Za-z]{4,}", text[: korean.start()]), text
    assert len(texts(COMMITTED)) > 20


def test_accuracies_and_measured_numbers_in_the_text_are_those_of_the_records() -> None:
    text = "\n".join(texts(COMMITTED))
    accuracies = {cell["test accuracy"] for cells in GRIDS.values() for cell in cells}
    quoted = re.findall(r"\d+\.\d+ ± \d+\.\d+ %", text)
    assert len(quoted) > 8
    assert [one for one in quoted if one not in accuracies] == []
    found = set(re.findall(r"-?\d+\.\d+", re.sub(r"`[^`]*`", "", text)))  # those with decimals, but not code
    assert found - measured_numbers() == set()


def colab_cell(folder: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> tuple[list[list[str]], dict[str, Any]]:
    """Run the first cell as on Colab, with git and pip replaced; return what it would run, and its names."""
    commands: list[list[str]] = []

    def run(command: list[str], **options: Any) -> None:
        assert options == {"check": True}
        commands.append(command)
        if command[0] == "git":
            (Path(command[-1]) / "jax_impl").mkdir(parents=True)
            (Path(command[-1]) / "jax_impl" / "train.py").touch()

    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(subprocess, "run", run)
    first = next(cell for cell in notebooks.converted().cells if cell.cell_type == "code")
    assert "takes about" in first.source
    source = re.sub(r'^REPOSITORY = ""', f'REPOSITORY = "{address}"', first.source, count=1, flags=re.MULTILINE)
    names: dict[str, Any] = {}
    exec(source, names)
    return commands, names


def test_the_first_cell_installs_the_project_on_colab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands, names = colab_cell(tmp_path, monkeypatch, "https://example.org/project.git")
    clone, install = commands
    assert clone == ["git", "clone", "--quiet", "--depth", "1", "https://example.org/project.git", names["CLONE"].name]
    assert install == [sys.executable, "-m", "pip", "install", "--quiet", f"./{names['CLONE']}[jax]"]
    assert Path.cwd() == tmp_path / names["CLONE"]
    assert sys.path[0] == str(Path.cwd())


def test_the_first_cell_asks_for_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="put the address of the project's git repository into REPOSITORY"):
        colab_cell(tmp_path, monkeypatch, "")


@pytest.mark.slow
def test_the_notebook_executes_and_its_costs_are_the_command_s(tmp_path: Path, mnist_dir: Path) -> None:
    out, run = tmp_path / "notebook.ipynb", tmp_path / "run"
    python: dict[str, Any] = {"cwd": notebooks.ROOT, "check": True, "capture_output": True, "text": True}
    subprocess.run([sys.executable, "-m", "tests.guide", "notebook", "--out", str(out)], **python)
    costs = COST.findall(notebooks.printed(notebooks.read(out)))  # of PyTorch, of JAX, and of the deep network
    train = ["-m", "jax_impl", "train", "--epochs", "2", "--data-dir", str(mnist_dir), "--out", str(run)]
    command = subprocess.run([sys.executable, *train], **python)
    assert costs[2:4] == COST.findall(command.stdout)
    committed = [float(cost) for cost in COST.findall(notebooks.printed(COMMITTED))]
    assert len(committed) == 5
    assert [float(cost) for cost in costs] == pytest.approx(committed, rel=OTHER_PROCESSOR)
