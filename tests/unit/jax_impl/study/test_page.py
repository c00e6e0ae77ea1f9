"""The report shows what the records hold, and is complete in itself."""

import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jax
import pytest

from jax_impl.data import Mnist
from jax_impl.storage import records
from jax_impl.study import grid, manifest, verdicts
from jax_impl.study import page as study_report
from jax_impl.study.figures import VITALS
from jax_impl.study.presets import PRESETS
from jax_impl.study.presets.preset import RECORDS, record_key
from tests.unit.jax_impl.study.presets.made_up import made_up_data

pytestmark = pytest.mark.slow  # a study of its own; the fast tests of the command write a report, too

GRID = grid.Grid(inits=("xavier_normal", "zeros", "normal"), depths=(1, 3), width=8, seeds=2, epochs=2)


@pytest.fixture(scope="module")
def folder(small: Mnist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a grid. In one of its records, a seed is changed to one that diverged."""
    out = tmp_path_factory.mktemp("study")
    cells = GRID.cells()
    for _ in grid.run_remaining(cells, small, out):
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
        if self.open and self.open[-1] not in {"style", "script"}:
            self.words += data.split()


def test_the_page_is_well_formed_and_links_to_nothing_outside(folder: Path) -> None:
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.links
    assert all(link.startswith(("data:", "#")) for link in page.links)


def test_the_page_shows_every_row_and_every_advice(folder: Path) -> None:
    words = " ".join(Page((folder / "index.html").read_text(encoding="utf-8")).words)
    rows = study_report.read(folder).rows
    assert len(rows) == 6
    for row in rows:
        assert " ".join(study_report.table_row(row).values()) in words
    assert "1 of 2" in words
    for advice in study_report.read(folder).advice:
        assert verdicts.words(advice) in words


def test_markdown_has_the_same_table(folder: Path) -> None:
    text = (folder / "study.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 6
    assert len({line.count("|") for line in lines}) == 1
    assert "xavier_normal | 1 | relu | sgd" in text


def test_every_figure_is_also_a_file(folder: Path) -> None:
    names = {path.stem for path in (folder / "figures").iterdir()}
    kinds = {f"{kind}-{depth}-relu-sgd" for kind in ("curves", "ladder", "vitals", "histograms") for depth in (1, 3)}
    assert names == kinds
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "figures").iterdir())


def test_the_heat_map_shows_every_cell(folder: Path) -> None:
    rows = study_report.read(folder).rows
    (found,) = study_report.heat_maps(rows)
    assert found["depths"] == [1, 3]
    assert [line["label"] for line in found["lines"]] == list(GRID.inits or ())
    by_place = {(row.label, row.depth): row for row in rows}
    for line in found["lines"]:
        for depth, place in zip((1, 3), line["cells"], strict=True):
            assert place == by_place[line["label"], depth]
    (found,) = study_report.heat_maps(rows[:-1])
    assert found["lines"][-1]["cells"][-1] is None


def test_a_study_without_training_has_ladders_and_no_curves(small: Mnist, tmp_path: Path) -> None:
    cells = grid.Grid(**{**GRID.__dict__, "epochs": 0, "depths": (1,)}).cells()
    for _ in grid.run_remaining(cells, small, tmp_path):
        pass
    manifest.remember(tmp_path, cells=cells)
    result = study_report.write(tmp_path)
    assert {row.verdict for row in result.rows} == {"not trained"}
    assert {path.stem.split("-")[0] for path in (tmp_path / "figures").iterdir()} == {"ladder", "vitals", "histograms"}


def test_figures_of_an_earlier_grid_are_deleted(small: Mnist, tmp_path: Path) -> None:
    for depth in (1, 2):
        cells = grid.Grid(inits=("zeros",), depths=(depth,), width=8, seeds=1, epochs=0).cells()
        for _ in grid.run_remaining(cells, small, tmp_path):
            pass
        manifest.remember(tmp_path, cells=cells)
        study_report.write(tmp_path)
        assert {path.stem.split("-")[1] for path in (tmp_path / "figures").iterdir()} == {str(depth)}


def test_the_report_names_machines_and_times(small: Mnist, tmp_path: Path) -> None:
    cells = grid.Grid(inits=("zeros", "ones"), depths=(1,), width=8, seeds=1, epochs=0).cells()
    for _ in grid.run_remaining(cells, small, tmp_path):
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


def test_the_report_links_to_those_beside_it(tmp_path: Path) -> None:
    records.add(tmp_path / "study" / grid.RECORDS, {"key": "of no shown cell"})
    manifest.remember(tmp_path / "study")
    (tmp_path / "explore").mkdir()
    (tmp_path / "explore" / "index.html").touch()
    study_report.write(tmp_path / "study")
    text = (tmp_path / "study" / "index.html").read_text(encoding="utf-8")
    assert [link for link in Page(text).links if link[0] != "#"] == ["../explore/index.html"]


def test_an_empty_folder_gives_an_empty_report(tmp_path: Path) -> None:
    assert study_report.read(tmp_path) == ([], [], [], {}, "")


WHERE = {"made": "2026-11-24T07:00:00Z", "where": "a made-up machine"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_shown_with_the_verdicts_of_its_checks(name: str, tmp_path: Path) -> None:
    preset, data = PRESETS[name], made_up_data(PRESETS[name])
    for label in preset.parts:
        records.add(tmp_path / RECORDS, {"key": record_key(preset, label, [1, 2, 3]), "data": data[label], **WHERE})
    manifest.remember(tmp_path, measured={name: [1, 2, 3]})
    result = study_report.write(tmp_path)
    checks = preset.checks(data)
    assert not all(check.passed for check in checks)  # the numbers are made up
    assert [check.passed for check in result.presets[name].checks] == [check.passed for check in checks]
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert len(re.findall("✕ FAIL", text)) == sum(not check.passed for check in checks)
    assert len(re.findall("✓ pass", text)) == sum(check.passed for check in checks)
    words = " ".join(Page(text).words)
    for check in checks:
        assert " ".join(f"{check.measured} {check.band}".split()) in words
    assert (tmp_path / "figures" / f"{name}.png").exists()
    assert "**FAIL**" in (tmp_path / "study.md").read_text(encoding="utf-8")


def test_each_file_is_read_once(small: Mnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = grid.Grid(inits=("zeros", "ones"), depths=(1,), width=8, seeds=1, epochs=0).cells()
    assert len(list(grid.run_remaining(cells, small, tmp_path))) == 2
    manifest.remember(tmp_path, cells=cells, measured={"lsuv": [1], "he-2015": [1]})
    for preset in (PRESETS["lsuv"], PRESETS["he-2015"]):
        for label, data in made_up_data(preset).items():
            records.add(tmp_path / RECORDS, {"key": record_key(preset, label, [1]), "data": data, **WHERE})
    reads: Counter[str] = Counter()
    for method in ("read_text", "read_bytes"):
        real = getattr(Path, method)

        def counted(path: Path, *arguments: Any, real: Any = real, **options: Any) -> Any:
            reads[path.name] += path.parent == tmp_path
            return real(path, *arguments, **options)

        monkeypatch.setattr(Path, method, counted)
    assert list(study_report.write(tmp_path).presets) == ["he-2015", "lsuv"]
    assert +reads == {"study.json": 1, "cells.jsonl": 1, "presets.jsonl": 1}


def test_an_incomplete_preset_is_left_out(tmp_path: Path) -> None:
    preset = PRESETS["he-2015"]
    label = next(iter(preset.parts))
    records.add(tmp_path / RECORDS, {"key": record_key(preset, label, [1]), "data": {}})
    manifest.remember(tmp_path, measured={"he-2015": [1]})
    assert study_report.read(tmp_path).presets == {}


def test_the_page_tells_how_it_was_made(small: Mnist, tmp_path: Path) -> None:
    cells = grid.Grid(inits=("zeros", "ones"), depths=(1,), width=8, seeds=1, epochs=1).cells()
    for _ in grid.run_remaining(cells, small, tmp_path):
        pass
    manifest.remember(tmp_path, cells=cells, command="python -m jax_impl study --width 8")
    study_report.write(tmp_path)
    words = " ".join(Page((tmp_path / "index.html").read_text(encoding="utf-8")).words)
    for text in (
        "command python -m jax_impl study --width 8", "width 8 units", "learning rate 0.01 (sgd)", "batch size 100",
        "epochs 1", "seeds 0 data MNIST", f"jax {jax.__version__}",
    ):  # fmt: skip
        assert text in words
    assert "±" not in words.partition("Training curves")[0]  # one seed has no deviation
    for name, meaning in verdicts.MEANINGS.items():
        assert (f"{name} {meaning}" in words) == (name in {row.verdict for row in study_report.read(tmp_path).rows})


def test_every_figure_has_a_table_of_its_values(folder: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    figures = re.findall(r"<figure.*?</figure>", text, re.S)
    titles = [re.findall(r"<caption>(.*?)</caption>", figure) for figure in figures]
    of_group = [
        ["training loss (nats)", "test accuracy (%)"],
        ["variance of activations", "variance of gradients"],
        list(VITALS.values()),
        ["pre-activations of the first seed, mean ± standard deviation over units and images"],
    ]
    assert [[unescape(title).removesuffix(", up to 2") for title in one] for one in titles] == 2 * of_group
    assert all(figure.count("data-at") > 2 for figure in figures)
    (zeros,) = re.findall(r"variance of activations</caption>.*?</table>", text, re.S)[:1]
    rows = [re.findall(r">([^<]*)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", zeros)]
    place = rows[0].index("zeros")
    assert [row[place] for row in rows[1:]] == ["0", "0"]  # of a hidden layer and the output
    assert "e+00" not in text.partition("</style>")[2]


def test_seeds_that_did_not_start_are_told_with_the_reason(small: Mnist, tmp_path: Path) -> None:
    cells = grid.Grid(inits=("zeros",), depths=(1,), width=8, seeds=2, epochs=1).cells()
    ((_, record, _),) = grid.run_remaining(cells, small, tmp_path)
    record |= {"diverged_in": [1, 1], "not_started": ["a made-up reason"] * 2, "loss": [[None]] * 2}
    signal = record["propagation"]["measured"]
    signal["pre_variance"] = signal["pre_mean"] = [[None, None]] * 2
    (tmp_path / grid.RECORDS).unlink()
    records.add(tmp_path / grid.RECORDS, record)
    manifest.remember(tmp_path, cells=cells)
    result = study_report.write(tmp_path)
    assert [row.verdict for row in result.rows] == ["not started"]
    text = " ".join(Page((tmp_path / "index.html").read_text(encoding="utf-8")).words)
    assert "zeros, 1 hidden layer, relu, sgd did not start: a made-up reason" in text
    assert "None trains: every seed failed to start." in text
