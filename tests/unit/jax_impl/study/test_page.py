"""The report says what the records say, and needs nothing but itself."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.figures import axes
from jax_impl.storage import records
from jax_impl.study import cells as study_cells
from jax_impl.study import figures, grid, manifest, verdicts
from jax_impl.study import page as study_report
from jax_impl.study.presets import preset as evidence
from jax_impl.study.presets.registry import PRESETS

GRID = grid.Grid(inits=("xavier_normal", "zeros", "normal"), depths=(1, 3), width=8, seeds=2, epochs=2)


@pytest.fixture(scope="module")
def folder(small: Mnist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid's records, one cell turned into one that diverged."""
    out = tmp_path_factory.mktemp("study")
    cells = GRID.cells()
    for _ in grid.go_on(cells, small, out):
        pass
    kept = list(records.load(out / grid.RECORDS).values())
    kept[-1] |= {"diverged_in": [None, 2]}
    kept[-1]["cost"][1][1] = None
    kept[-1]["loss"][1][-1] = None
    (out / grid.RECORDS).unlink()
    for record in kept:
        records.add(out / grid.RECORDS, record)
    manifest.remember(out, cells=cells)
    study_report.write(out)
    return out


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img", "source", "br", "link"}:
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in {"src", "srcset", "href"} and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data.split()


def test_the_page_is_whole_and_refers_to_nothing_outside(folder: Path) -> None:
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.links
    assert all(link.startswith(("data:", "#")) for link in page.links)


def test_the_page_shows_every_cell_as_the_table_does(folder: Path) -> None:
    words = " ".join(Page((folder / "index.html").read_text(encoding="utf-8")).words)
    rows = study_report.read(folder).rows
    assert len(rows) == 6
    for row in rows:
        assert " ".join(study_report.cells(row)) in words
    assert "1 of 2" in words
    for advice in study_report.read(folder).advice:
        assert verdicts.words(advice) in words


def test_markdown_has_the_same_table(folder: Path) -> None:
    text = (folder / "study.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 6
    assert len({line.count("|") for line in lines}) == 1
    assert "xavier_normal | 1 | relu | sgd" in text


def test_every_figure_is_a_file_too(folder: Path) -> None:
    names = {path.stem for path in (folder / "figures").iterdir()}
    kinds = {f"{kind}-{depth}-relu-sgd" for kind in ("curves", "ladder", "vitals", "histograms") for depth in (1, 3)}
    assert names == kinds
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "figures").iterdir())


def test_the_heat_map_has_a_place_for_every_cell(folder: Path) -> None:
    rows = study_report.read(folder).rows
    (found,) = study_report.heat_maps(rows)
    assert found["depths"] == [1, 3]
    assert [line["label"] for line in found["lines"]] == list(GRID.inits or ())
    by_place = {(row.label, row.depth): row for row in rows}
    for line in found["lines"]:
        for depth, place in zip((1, 3), line["places"], strict=True):
            row = by_place[line["label"], depth]
            assert place == {"verdict": row.verdict, "text": row.accuracy.percent()}
    (found,) = study_report.heat_maps(rows[:-1])
    assert found["lines"][-1]["places"][-1] == {"verdict": "", "text": ""}


def test_a_study_without_training_has_ladders_and_no_curves(small: Mnist, tmp_path: Path) -> None:
    cells = grid.Grid(**{**GRID.__dict__, "epochs": 0, "depths": (1,)}).cells()
    for _ in grid.go_on(cells, small, tmp_path):
        pass
    manifest.remember(tmp_path, cells=cells)
    result = study_report.write(tmp_path)
    assert {row.verdict for row in result.rows} == {"not trained"}
    assert {path.stem.split("-")[0] for path in (tmp_path / "figures").iterdir()} == {"ladder", "vitals", "histograms"}


def test_what_explodes_is_drawn() -> None:
    """60 ReLU layers of N(0, 1) outgrow float32 on the way up, so that no gradient is a number."""
    record = study_cells.run(
        grid.Grid(inits=("normal",), depths=(60,), width=128, seeds=1, epochs=0).cells(),
        Mnist(*(np.full((500, 784), 255, np.uint8), np.zeros(500, np.int32)) * 2),
    )[0]
    assert not any(np.isfinite(np.array(record["propagation"]["measured"]["gradient_variance"], float)[0]))
    for picture in figures.pictures([record]):
        assert picture.png().startswith(b"\x89PNG")


def test_figures_of_an_earlier_grid_go(small: Mnist, tmp_path: Path) -> None:
    for depth in (1, 2):
        cells = grid.Grid(inits=("zeros",), depths=(depth,), width=8, seeds=1, epochs=0).cells()
        for _ in grid.go_on(cells, small, tmp_path):
            pass
        manifest.remember(tmp_path, cells=cells)
        study_report.write(tmp_path)
        assert {path.stem.split("-")[1] for path in (tmp_path / "figures").iterdir()} == {str(depth)}


def test_the_report_says_where_and_when_its_records_were_made(small: Mnist, tmp_path: Path) -> None:
    cells = grid.Grid(inits=("zeros", "ones"), depths=(1,), width=8, seeds=1, epochs=0).cells()
    for _ in grid.go_on(cells, small, tmp_path):
        pass
    manifest.remember(tmp_path, cells=cells)
    kept = list(records.load(tmp_path / grid.RECORDS).values())
    assert kept[0]["where"].endswith(f"jax {jax.__version__}")
    kept[1] |= {"where": "another machine", "made": "2025-01-02T03:04:05Z"}
    (tmp_path / grid.RECORDS).unlink()
    for record in kept:
        records.add(tmp_path / grid.RECORDS, record)
    study_report.write(tmp_path)
    for name in ("study.md", "index.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "another machine, 2 January 2025, 03:04 UTC" in text
        assert kept[0]["where"] in text


def test_an_unknown_study_is_empty(tmp_path: Path) -> None:
    assert study_report.read(tmp_path) == ([], [], [], {})


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"cells": [1], "presets": {}}', '{"cells": [], "presets": {"lsuv": "all"}}']
)
def test_a_damaged_table_of_contents_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / manifest.NAME).write_text(text)
    with pytest.raises(UserError, match=r"study\.json.*delete it, the records stay"):
        study_report.read(tmp_path)


def test_grid_and_presets_are_remembered_side_by_side(tmp_path: Path) -> None:
    manifest.remember(tmp_path, cells=GRID.cells())
    manifest.remember(tmp_path, measured={"lsuv": [1, 2]})
    manifest.remember(tmp_path, measured={"he-2015": range(3)})
    noted = json.loads((tmp_path / manifest.NAME).read_text(encoding="utf-8"))
    assert noted["cells"] == [cell.key for cell in GRID.cells()]
    assert noted["presets"] == {"lsuv": [1, 2], "he-2015": [0, 1, 2]}


WHERE = {"made": "2026-11-24T07:00:00Z", "where": "a made-up machine"}


def fake(preset: evidence.Preset) -> dict[str, Any]:
    """Numbers of the right shape for a preset's figure and checks."""
    rng = np.random.default_rng(0)

    def rows(*shape: int) -> Any:
        return rng.uniform(0.1, 1, shape).tolist()

    data: dict[str, Any] = {}
    for label, part in preset.parts.items():
        depth, epochs = len(part.recipe.layers) - 1, max(1, part.recipe.epochs)
        data[label] = {
            "measured": {name: rows(3, depth) for name in ("jacobian", "variance", "gradient_variance")},
            "steps": [0, 50, 100] if "sigmoid" in label else [30, 40, None],
            "limit": 300,
            "labels": list(range(1, epochs + 1)),
            "mean": rows(3, 3, depth),
            "loss": rows(3, study_cells.POINTS * epochs),
            "pre_variance": rows(3, depth),
            "cost": rows(3, epochs),
            "test_accuracy": rows(3, epochs),
            "kernel_gradient": rows(3, epochs + 1, depth),
            "bias_gradient": rows(3, epochs + 1, depth),
            "unit_spread": rows(3, epochs + 1, depth - 1),
        }
    return data


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_shown_with_its_checks_passed_or_not(name: str, tmp_path: Path) -> None:
    preset, data = PRESETS[name], fake(PRESETS[name])
    for label in preset.parts:
        records.add(
            tmp_path / evidence.RECORDS, {"key": evidence.key(preset, label, [1, 2, 3]), "data": data[label], **WHERE}
        )
    manifest.remember(tmp_path, measured={name: [1, 2, 3]})
    result = study_report.write(tmp_path)
    checks = preset.checks(data)
    assert not all(check.passed for check in checks)  # the numbers are made up
    assert [check.passed for check in result.presets[name]] == [check.passed for check in checks]
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert len(re.findall("✕ FAIL", text)) == sum(not check.passed for check in checks)
    assert len(re.findall("✓ pass", text)) == sum(check.passed for check in checks)
    words = " ".join(Page(text).words)
    for check in checks:
        assert " ".join(f"{check.measured} {check.band}".split()) in words
    assert (tmp_path / "figures" / f"{name}.png").exists()
    assert "**FAIL**" in (tmp_path / "study.md").read_text(encoding="utf-8")


def test_a_preset_that_is_half_measured_is_left_out(tmp_path: Path) -> None:
    preset = PRESETS["he-2015"]
    label = next(iter(preset.parts))
    records.add(tmp_path / evidence.RECORDS, {"key": evidence.key(preset, label, [1]), "data": {}})
    manifest.remember(tmp_path, measured={"he-2015": [1]})
    assert study_report.read(tmp_path).presets == {}


def test_a_seed_is_drawn_up_to_where_it_diverged() -> None:
    record = {"test_accuracy": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "diverged_in": [None, 2]}
    before = copy.deepcopy(record)
    found = figures.alive(record, "test_accuracy")
    np.testing.assert_array_equal(found, [[0.1, 0.2, 0.3], [0.4, np.nan, np.nan]])
    assert record == before


def test_the_geometric_mean_says_what_is_zero_and_what_is_no_number() -> None:
    found = axes.log_mean([[1.0, 4.0, 0.0, None], [4.0, 4.0, 1.0, 1.0]])
    np.testing.assert_allclose(found, [2, 4, 0, np.nan])


def test_the_same_name_has_the_same_line_and_no_two_share_one() -> None:
    names = [f"init{number}" for number in range(20)]
    styles = axes.styles_of([*names, *names])
    assert len({(style["color"], style["ls"]) for style in styles.values()}) == 20
