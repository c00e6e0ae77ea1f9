"""The README and the pages under docs/: links, commands and file names exist, and numbers are those of the code."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jax_impl import recipes
from jax_impl.commands import train
from jax_impl.commands.options.parser import parse
from jax_impl.draws import native
from jax_impl.fetch import sources
from jax_impl.figures.canvas import short
from jax_impl.rbm import outputs
from jax_impl.storage.checkpoints import FOLDER, Checkpoints
from jax_impl.study import budget, presets
from jax_impl.trainer import one_run, saving
from jax_impl.trainer.progress import pack
from tests import conftest
from tests.parity.faults import FACTS, FAULTS, OURS
from tests.parity.ladder import RUNGS, number, rung
from tests.unit.test_imports import LAYERS
from torch_ref import cli as torch_cli

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in (*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md")))
}


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def code_of(text: str) -> Iterator[str]:
    """Yield the lines of fenced blocks, and the spans between backticks."""
    fenced = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for block in fenced.findall(text):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", fenced.sub("", text))


def first_column(page: str, after: str) -> list[str]:
    """Return the names in backticks that begin the rows of the first table after a text."""
    lines = text_of(page).partition(after)[2].lstrip().splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    end = next(place for place in range(start, len(lines)) if not lines[place].startswith("|"))
    return [line.split("`")[1] for line in lines[start + 2 : end]]


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = PAGES[page].parent / path if path else PAGES[page]
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_a_wrong_anchor_is_seen() -> None:
    assert anchors("# GPUs and TPUs\n\n## Not all 0's\n") == {"gpus-and-tpus", "not-all-0s"}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    for span in code_of(text_of(page)):
        if re.fullmatch(r"(jax_impl|torch_ref|tests|docs)/[\w./-]*", span):
            assert (ROOT / span).exists(), span


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_valid(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = {"train-jax": "train", "study": "study", "rbm": "rbm", "dbn": "dbn"}
    for code in code_of(text_of(page)):
        if found := re.match(r"make ([a-z-]+)", code):
            assert found[1] in targets, code
            given = re.search(r"""ARGS=(?:"([^"]*)"|(\S+))""", code)
            if given and found[1] in commands:
                parse([commands[found[1]], *shlex.split(given[1] or given[2])])
        for package, text in re.findall(r"python -m ([\w.]+)([^#']*)", code):
            assert importlib.util.find_spec(package) is not None, code
            arguments = shlex.split(text)
            if not arguments or {"--help", "--version"} & {*arguments} or re.search(r"[\[…]", text):
                continue
            if package == "jax_impl":
                parse(arguments)
            elif package == "torch_ref":
                torch_cli.parse(arguments)


def facts_of(text: str) -> dict[str, list[str]]:
    """Return what does not depend on a page's language: code, links to other pages, and numbers in digits."""
    plain = re.sub(r"!?\[[^\]]*\]\([^)]*\)|`[^`]*`", "", text)
    return {
        "code": sorted(code_of(text)),
        "links": sorted(re.findall(r"\]\((?!README)([^)\s]+)\)", text)),
        "numbers": sorted(re.findall(r"\d(?:[\d.,e-]*\d)?", plain)),
        "headings": re.findall(r"^#+ ", text, re.MULTILINE),
    }


def test_the_korean_readme_has_the_code_links_and_numbers_of_the_english_one() -> None:
    assert facts_of(text_of("README.ko.md")) == facts_of(text_of("README.md"))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("`make test`", "`make tests`"), ("](docs/proof.md)", "](docs/power.md)"), ("2,400", "2,300"), ("## ", "### ")],
)
def test_a_difference_between_two_languages_is_seen(right: str, wrong: str) -> None:
    text = text_of("README.md") + "`make test`"
    assert facts_of(text.replace(right, wrong, 1)) != facts_of(text)


def test_the_recipes_and_presets_are_all_listed() -> None:
    assert sorted(first_column("docs/results.md", "## The recipes")) == sorted(recipes.RECIPES)
    assert first_column("docs/results.md", "Presets reproduce") == list(presets.PRESETS)


def test_the_files_of_a_run_are_all_listed() -> None:
    for name in (*train.RESULTS, *outputs.RESULTS, "config.json", f"{FOLDER}/"):
        assert f"`{name}`" in text_of("docs/running.md")


def test_numbers_are_those_of_the_code() -> None:
    running, layout = text_of("docs/running.md"), text_of("docs/layout.md")
    assert f"at least {saving.INTERVAL:g} s old" in running
    assert f"for {sources.SILENCE:g} s, or takes more than {sources.LIMIT / 60:g} minutes" in running
    assert f"more than {budget.HOURS:g} hours" in running
    assert f"may use {conftest.LIMIT:g} s of processor time" in layout


def test_the_faults_are_counted() -> None:
    text = " ".join(text_of("docs/proof.md").split())
    expected = (
        f"a catalogue of {len(FAULTS)} faults: {len(FACTS)} that other ports are known to have had, "
        f"and {len(OURS)} of our own"
    )
    assert expected in text


def test_every_rung_is_listed() -> None:
    for stem in RUNGS:
        module = rung(stem)
        start = f"| [{number(stem)}](../tests/parity/{stem}.py) {module.TITLE} |"
        (row,) = [line for line in text_of("docs/proof.md").splitlines() if line.startswith(start)]
        if tolerances := getattr(module, "TOLERANCES", None):
            assert f" {short(tolerances['float32'])} and {short(tolerances['float64'])}" in row
        if tolerance := getattr(module, "FLOAT32_TOLERANCE", None):
            assert f"float32: {short(tolerance)} for ten steps" in row


def test_the_layers_and_packages_are_listed() -> None:
    text = text_of("docs/layout.md")
    (block,) = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert " ".join(block.split()) == " · ".join(", ".join(names) for names in LAYERS)
    for path in (ROOT / "jax_impl").iterdir():
        if path.suffix == ".py" or (path / "__init__.py").exists():
            assert f"](../jax_impl/{path.name})" in text


def test_a_checkpoint_opens_as_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, block = re.findall(r"^```python\n(.*?)^```$", text_of("docs/running.md"), re.MULTILINE | re.DOTALL)
    *lines, last = block.splitlines()
    path = Path(re.findall(r'"([^"]*\.safetensors)"', block)[0])
    recipe = recipes.named("mnist_nn_xavier")
    progress = one_run.begin(recipe, native(recipe, 60_000))
    Checkpoints(tmp_path / path.parent, {}).save(int(path.stem), *pack(progress, recipe.epochs))
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    exec("\n".join(lines), namespace)
    expression, _, comment = last.partition("#")
    assert str(eval(expression, namespace)) == comment.strip().partition(":")[0]
    state = namespace["state"]
    assert isinstance(state, dict)
    assert {name.split(".")[1] for name in state if name.startswith("state.")} == {
        "params",
        "opt_state",
        "learning_rate",
    }
    assert any(name.startswith("state.opt_state.0.mu.") for name in state)
    np.testing.assert_array_equal(state["state.params.linear1.kernel"], progress.state.params["linear1"]["kernel"])
