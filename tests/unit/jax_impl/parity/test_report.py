import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jax_impl.errors import UserError
from jax_impl.parity import report, summary
from jax_impl.parity.trees import folded
from jax_impl.parity.verdict import Node, Verdict
from tests.unit.jax_impl.parity.synthetic import Pair, Raw


@pytest.fixture(scope="module")
def wrong(pair: Pair) -> Verdict:
    return pair.verdict(lambda raw: raw.update(accuracy=None), between=1.4)


@pytest.fixture(scope="module")
def right(pair: Pair) -> Verdict:
    return pair.verdict()


def test_the_text_begins_with_the_answer(wrong: Verdict, right: Verdict) -> None:
    lines = summary.text(wrong).splitlines()
    assert lines[0] == wrong.first_line
    assert " 1 Settings                   PASS          8 checks" in lines
    assert " 6 Forward, training mode     FAIL          18 checks, 6 failed" in lines
    assert wrong.coverage in lines
    assert "failed, in the order of the ladder and of execution:" in lines
    assert "  14 Accuracy: no accuracies were recorded: pass accuracy= to jax_impl.parity.save" in lines
    assert "failed" not in summary.text(right)
    assert "not compared" not in summary.text(right)


def test_the_trees_are_side_by_side_with_the_place_marked(wrong: Verdict, right: Verdict) -> None:
    assert summary.trees(right) == [
        "  theirs                       ours",
        "  Net                          Net  PASS",
        "    body: Body (and 4 inside)  body: Body  PASS",
        "    head: Linear               head: Linear  PASS",
    ]
    lines = summary.trees(wrong)
    assert lines[2] == ("→   body: Body         body: Body  FAIL on rung 6: what it hands to bn differs (after fc)")
    assert lines[5] == "      relu: ReLU       -"
    assert len(lines) == 8


def node(path: str, state: str = "PASS") -> Node:
    return Node(path=path, theirs="M", ours_path=path, ours="M", state=state, rung=0, finding="", depth=0)


def test_modules_in_which_nothing_failed_are_folded() -> None:
    tree = [node(""), node("a"), node("a.b"), node("a.b.c"), node("ab"), node("d"), node("d.e", "FAIL"), node("d.f")]
    assert [(one.path, hidden) for one, hidden in folded(tree)] == [
        ("", 0), ("a", 2), ("ab", 0), ("d", 0), ("d.e", 0), ("d.f", 0)
    ]  # fmt: skip


def test_the_json_has_every_check(wrong: Verdict) -> None:
    content = json.loads(report.as_json(wrong), parse_constant=pytest.fail)
    assert content["verdict"] == "FAIL"
    assert content["first_line"] == wrong.first_line
    assert sum(len(rung["checks"]) for rung in content["rungs"]) == sum(len(rung.checks) for rung in wrong.rungs)
    assert [rung["state"] for rung in content["rungs"]].count("FAIL") == 7
    assert {"measured", "allowed", "reason", "place", "module"} <= content["rungs"][5]["checks"][0].keys()
    assert content["modules"][1]["path"] == "body"


class Page(HTMLParser):
    """The text of a page, and whether its tags are closed."""

    VOID = ("meta", "br")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def test_the_page_needs_no_other_file(wrong: Verdict) -> None:
    source = report.page(wrong)
    page = Page(source)
    assert not re.search(r"(src|href)=\"(?!#)", source)
    assert "url(" not in source
    assert "@import" not in source
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in page.tags
    assert "prefers-color-scheme: dark" in source


def test_the_page_says_what_failed_in_words(wrong: Verdict, right: Verdict) -> None:
    text = Page(report.page(wrong)).text
    assert "✕ FAIL: 6 of 14 rungs agree, 7 failed, 1 not compared" in text
    assert "First divergence: body" in text
    assert "what it hands to bn differs (after fc)" in text
    assert "measured 0.067, allowed 3.9e-14 (relative)" in text
    assert "14 Accuracy : no accuracies were recorded" in text
    good = Page(report.page(right)).text
    assert "✓ PASS: 14 of 14 rungs agree" in good
    assert "First divergence" not in good
    assert "FAIL" not in good


def test_every_link_of_the_page_has_its_target(wrong: Verdict) -> None:
    page = Page(report.page(wrong))
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"}
    assert len(links) == 14
    assert links <= ids


NASTY = "<script>alert(1)</script>|`*_&"


def nasty(raw: Raw) -> None:
    raw["modules"][1]["type"] = NASTY
    raw["mapping"]["warnings"] = [NASTY]
    raw["mapping"]["unmatched"]["ours"] = [{"name": f"{NASTY}\nx", "shape": [1]}]
    raw["versions"] = {NASTY: NASTY}


def test_names_from_other_programs_are_escaped(pair: Pair) -> None:
    verdict = pair.verdict(nasty)
    source = report.page(verdict)
    assert "<script" not in source
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in source
    Page(source)
    markdown = summary.markdown(verdict)
    assert "<script>alert" not in markdown.replace("```text", "```").split("```")[0]
    table = [line for line in markdown.splitlines() if line.startswith("| 3 ")]
    assert len(re.findall(r"(?<!\\)\|", table[0])) == 6  # the cell has no bar of its own


def test_the_markdown_has_the_table_the_trees_and_the_failures(wrong: Verdict, right: Verdict) -> None:
    text = summary.markdown(wrong)
    assert text.startswith("### FAIL: first divergence: body (forward, training mode)")
    assert "| 1 | Settings | PASS | 8 |  |" in text
    assert "| 6 | Forward, training mode | **FAIL** | 18 | body (forward" in text
    assert "| 14 | Accuracy | NOT COMPARED | 0 | no accuracies were recorded" in text
    assert text.count("```") == 2
    assert "- body (forward, evaluation mode)" in text
    assert summary.markdown(right).startswith("### PASS: 14 of 14 rungs agree")


def test_long_lists_are_cut_in_the_page_and_whole_in_the_json(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = pair.verdict(lr=(0.02, 0.02, 0.02))
    monkeypatch.setattr(report, "SHOWN", 5)
    monkeypatch.setattr(summary, "SHOWN", 3)
    assert f"… and {len(verdict.rungs[9].checks) - 5} more, all in report.json" in Page(report.page(verdict)).text
    assert f"and {len(verdict.failures) - 3} more, in report.json" in summary.text(verdict)


def test_the_files_appear_together(wrong: Verdict, tmp_path: Path) -> None:
    report.write(wrong, tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"index.html", "report.json", "report.md"}
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file"):
        report.write(wrong, tmp_path / "file")


def test_the_summary_is_appended(wrong: Verdict, tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    summary.append(path, wrong)
    assert path.read_text(encoding="utf-8").startswith("before\n### FAIL: first divergence")
    with pytest.raises(UserError, match="unset GITHUB_STEP_SUMMARY"):
        summary.append(tmp_path, wrong)
