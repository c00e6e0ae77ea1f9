"""The report: it shows every rung, the failures first, and it refers to no other file."""

import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from tests.parity import report
from tests.unit.parity_report.made_up import Text, comparison, fail, rung, written


def test_every_rung_is_on_the_page_and_in_the_table(tmp_path: Path, result: dict[str, Any]) -> None:
    html, text, table = written(result, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"parity.json", "parity.md", "index.html"}
    for number in range(1, 16):
        assert f'id="rung-{number}" class="pass"' in html
        assert f"title {number} Does {number} hold?" in str(text)
        assert f"| {number} | title {number} | pass | 100× | 1e-7 | 1e-5 | gradient: linear1.weight[3, 4] |" in table
    assert "15 of 15 rungs pass" in str(text)
    assert "15 of 15 rungs pass" in table
    assert 'class="alarm"' not in html
    assert "23 November 2026, 21:00 UTC in 20 min 34 s of work (quick size) on made-up, 2 cores" in str(text)
    assert "| kernel transposed | seen in a port | 5 | 5 | 8 |" in table
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows[:17]} == {10}


def test_a_failed_rung_is_at_the_top_with_its_first_failure(tmp_path: Path, result: dict[str, Any]) -> None:
    fail(result, 8)
    html, text, table = written(result, tmp_path)
    alarm = str(Text("</style>" + html[html.index('class="alarm"') : html.index('id="ladder"')]))
    assert "Rung 8: title 8" in alarm
    assert "2 of 3 comparisons failed" in alarm
    assert "bad gradient where linear2.bias[7] measured 3e-4, tolerance 1e-5 detail nine" in alarm
    assert "worse gradient" not in alarm
    assert 'id="rung-8" class="fail"' in html
    assert html.count('" class="pass"') == 14
    assert "14 of 15 rungs pass" in str(text)
    assert re.search(r'id="rung-8".*?FAIL.*?none.*?infinite.*?worse gradient', html, re.DOTALL)  # the worst in the row
    assert "**FAILED, rung 8, title 8**: bad gradient: linear2.bias[7]: measured 3e-4, tolerance 1e-5 (nine)" in table
    assert "| 8 | title 8 | **FAIL** | none | infinite |" in table


@pytest.mark.parametrize(
    "contradiction",
    [
        rung(8, comparison(passed=False, measured=1.0), passed=True),
        rung(8, comparison(), passed=False),
        rung(8, passed=True) | {"comparisons": []},
    ],
    ids=["a failed comparison", "a failed verdict", "nothing compared"],
)
def test_what_does_not_prove_a_pass_is_not_shown_as_one(
    tmp_path: Path, result: dict[str, Any], contradiction: dict[str, Any]
) -> None:
    result["rungs"][7] = contradiction
    html, text, table = written(result, tmp_path)
    assert "14 of 15 rungs pass" in str(text)
    assert 'id="rung-8" class="fail"' in html
    assert "FAILED, rung 8" in table


def test_a_rung_that_did_not_run_is_named(tmp_path: Path, result: dict[str, Any]) -> None:
    del result["rungs"][9]
    html, text, table = written(result, tmp_path)
    assert "14 of 15 rungs pass" in str(text)
    assert "Not run: rung 10" in str(text)
    assert 'class="alarm"' in html
    assert "**NOT RUN, rung 10**" in table


def test_a_fault_that_no_rung_caught_is_red(tmp_path: Path, result: dict[str, Any]) -> None:
    result["faults"] += [
        {"name": "sneaky", "source": "", "expected": 6, "first": None, "caught_by": []},
        {"name": "early", "source": "", "expected": 9, "first": 4, "caught_by": [9, 4]},
    ]
    html, text, table = written(result, tmp_path)
    row = html[html.index('<tr class="fail"><th scope="row">sneaky') :]
    assert "caught by no rung, expected at 6" in row[: row.index("</tr>")]
    assert "Not caught first where expected: 2 planted faults sneaky; early." in str(text)
    assert "| sneaky |  | 6 | **none** | – |" in table
    assert html.count('<span class="hidden">first</span>') == 2
    assert html.count('<span class="hidden">caught</span>') == 2
    assert "expected at rung 9" in str(text)


def test_text_is_escaped(tmp_path: Path, drawn: dict[str, Any]) -> None:
    attack = "<script>alert(1)</script>\" onload='x' a|b"
    fail(drawn, 3)
    for one in drawn["rungs"][2]["comparisons"]:
        one.update(name=attack, where=attack, detail=attack)
    drawn["rungs"][2].update(title=attack, question=attack, note=attack)
    drawn["faults"][0].update(name=attack, source=attack)
    drawn["machine"].update(processor=attack)
    drawn["rungs"][14]["data"]["seconds"] = {attack: [1.0]}  # goes into an alternative text
    html, text, table = written(drawn, tmp_path)
    assert html.count("<script") == 1  # the page's own
    assert not any("onload" in attributes for _, attributes in text.elements)
    assert attack in str(text)
    assert "<script" not in table
    assert "a|b" not in table


def test_the_page_needs_nothing_from_outside(whole: tuple[str, Text, str]) -> None:
    html, text, _ = whole
    assert "http://" not in html
    assert "https://" not in html
    assert not re.search(r"url\(|@import|<script |<link|<iframe|fetch\(|import\(", html)
    assert re.findall(r'src(?:set)?="(?!data:)', html) == []
    assert all(attributes["href"].startswith("#") for _, attributes in text.elements if "href" in attributes)
    ids = [attributes["id"] for _, attributes in text.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for tag, attributes in text.elements if tag == "a"} <= set(ids)


def test_headings_are_in_order(whole: tuple[str, Text, str]) -> None:
    levels = [int(tag[1]) for tag, _ in whole[1].elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_json_is_strict_and_reads_back_to_the_same_page(tmp_path: Path, drawn: dict[str, Any]) -> None:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(constant)

    fail(drawn, 8)
    drawn["rungs"][12]["data"]["difference"] = np.float32(0.5)
    drawn["rungs"][11]["data"]["float32"] = np.array([0.0, np.nan, -np.inf])
    html, _, table = written(drawn, tmp_path)
    again = json.loads((tmp_path / "parity.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert again["rungs"][7]["comparisons"][2]["measured"] == "inf"
    assert again["rungs"][11]["data"]["float32"] == [0.0, "nan", "-inf"]
    assert again["rungs"][12]["data"]["difference"] == 0.5
    assert again["rungs"][0] == drawn["rungs"][0]
    assert written(again, tmp_path)[::2] == (html, table)


def test_long_lists_are_cut_with_the_failures_first(tmp_path: Path, result: dict[str, Any]) -> None:
    many = [comparison(name=f"one {index}") for index in range(250)]
    many[249] = comparison(name="one 249", passed=False, measured=1.0)
    result["rungs"][4] = rung(5, *many)
    _, text, _ = written(result, tmp_path)
    assert "250 comparisons of rung 5 , 1 failed" in str(text)
    assert "… and 50 more, all in parity.json" in str(text)
    assert "✕ FAIL one 249" in str(text)
    assert "one 198" in str(text)
    assert "one 199" not in str(text)


@pytest.mark.parametrize(
    ("measured", "tolerance", "expected"),
    [
        (0.0, 0.0, "exact"),
        (0.0, 1e-3, "∞"),
        (1.0, 0.0, "none"),
        (math.inf, 1.0, "none"),
        (math.nan, 1.0, "none"),
        (2.004, 2.0, "0.99×"),
        (1.9, 2.0, "1×"),
        (1e-7, 1e-4, "1,000×"),
        (1.3e-4, 1e-2, "76×"),
        (1e-16, 1e-3, "1e13×"),
    ],
)
def test_headroom_never_flatters(measured: float, tolerance: float, expected: str) -> None:
    assert report.headroom(measured, tolerance) == expected


def test_a_significance_shows_its_p_value(tmp_path: Path, result: dict[str, Any]) -> None:
    result["rungs"][6] = rung(7, comparison(measured=-math.log10(0.043), tolerance=3.0, p_value=0.043))
    _, text, table = written(result, tmp_path)
    assert "p = 0.043 p > 0.001" in str(text)
    assert "| 2.1× | p = 0.043 | p > 0.001 |" in table


def test_a_narrow_failure_shows_enough_digits(tmp_path: Path, result: dict[str, Any]) -> None:
    result["rungs"][7] = rung(8, comparison(measured=2.004, tolerance=2.0, passed=False))
    assert "measured 2.004, tolerance 2 " in str(written(result, tmp_path)[1])


def test_durations_are_in_words() -> None:
    durations = [report.duration(seconds) for seconds in (0.04, 9.94, 59.4, 59.6, 3599.7, 7260)]
    assert durations == ["0.0 s", "9.9 s", "59 s", "1 min 00 s", "1 h 00 min", "2 h 01 min"]


def test_the_page_links_to_reports_beside_it(tmp_path: Path, result: dict[str, Any]) -> None:
    assert "<nav" not in written(result, tmp_path / "parity")[0]
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "index.html").touch()
    html, text, _ = written(result, tmp_path / "parity")
    assert '<nav class="reports" aria-label="Other reports">' in html
    outside = [attributes["href"] for tag, attributes in text.elements if tag == "a" and attributes["href"][0] != "#"]
    assert outside == ["../study/index.html"]
