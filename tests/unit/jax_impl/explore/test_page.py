import base64
import gzip
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from jax_impl.errors import UserError
from jax_impl.explore import grid, page, published, settings, verdicts
from jax_impl.explore.grid import Measured
from jax_impl.explore.settings import Network
from tests.unit.jax_impl.explore.made_up import measured

NETWORKS = [Network(*choice) for choice in product((2, 5), (32,), ("relu", "tanh"))]
NUMBERS = Path(__file__).parents[4] / "docs" / "study" / "numbers.json"
LONGEST = 250  # lines of a file


@pytest.fixture(scope="module")
def known() -> dict[Network, Measured]:
    return {network: measured(network) for network in NETWORKS}


@pytest.fixture(scope="module")
def html(known: dict[Network, Measured]) -> str:
    return page.render(page.payload(known), [], [("guide", "../guide.md")])


def leaves(texts: dict[str, Any], before: str = "") -> dict[str, str]:
    """Every text by its whole key."""
    found: dict[str, str] = {}
    for key, value in texts.items():
        found |= leaves(value, f"{before}{key}/") if isinstance(value, dict) else {before + key: value}
    return found


def embedded(html: str, name: str) -> Any:
    """The JSON of a script element, which must have no NaN."""
    (text,) = re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.DOTALL)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_the_page_embeds_the_payload(html: str, known: dict[Network, Measured]) -> None:
    found, payload = embedded(html, "payload"), json.loads(json.dumps(page.payload(known)))
    assert {name: found[name] for name in payload} == payload
    assert found["published"] == []
    last = found["fields"][-1]
    assert len(gzip.decompress(base64.b64decode(found["codes"]))) >= last["offset"]
    assert found["axes"]["depth"] == [2, 5]
    assert found["axes"]["without_gain"] == ["zeros", "lsuv"]


def test_text_cannot_end_a_script(known: dict[Network, Measured]) -> None:
    planted = "</script><b>planted"
    first = known[NETWORKS[0]]
    changed = known | {NETWORKS[0]: first._replace(facts=first.facts | {"where": planted})}
    html = page.render(page.payload(changed), [], [])
    assert planted not in html
    assert planted in embedded(html, "payload")["where"]


def test_the_page_loads_nothing(html: str) -> None:
    assert re.findall(r'(?:src|href)="([^"]*)"', html) == ["../guide.md"]
    assert not re.findall(r"@import|url\(", html.split("</style>")[0])
    assert "globalThis.vega=" in html
    assert "University of Washington Interactive Data Lab" in html


def test_the_whole_page_stays_below_4_megabytes() -> None:
    whole = page.payload({network: measured(network) for network in settings.networks()})
    found = published.results(json.loads(NUMBERS.read_text(encoding="utf-8"))) if NUMBERS.exists() else []
    assert 1e6 < len(page.render(whole, found, []).encode()) < 4e6  # numbers at random take the most room


def test_both_languages_have_the_same_texts() -> None:
    english, korean = (leaves(page.texts_in(language)) for language in page.LANGUAGES)
    assert english.keys() == korean.keys()
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", korean[key])), key
    same = {key for key, text in english.items() if text == korean[key] and re.search("[a-z]{3}", text)}
    names = {"optimizers/adam", "activations/tanh", "activations/sigmoid", "published/names/tanh_linear_default"}
    assert same - names <= {f"published/names/{name}" for name in page.texts_in("en")["published"]["names"]} | {
        "inits/xavier_normal"
    }
    assert re.search("[가-힣]", korean["page/title"])


def test_every_choice_verdict_and_reason_has_a_text() -> None:
    texts = page.texts_in("en")
    assert set(texts["inits"]) == set(settings.INITS)
    assert set(texts["activations"]) == set(settings.ACTIVATIONS)
    assert set(texts["optimizers"]) == set(settings.RATES)
    assert set(texts["kinds"]) == set(verdicts.KINDS)
    assert set(texts["reasons"]) == set(verdicts.REASONS)


def test_every_verdict_has_a_colour(html: str) -> None:
    for kind in verdicts.KINDS:
        assert f".{kind.replace(' ', '-')}" in html


def test_files_of_the_page_stay_short() -> None:
    paths = [path for path in page.WEB.rglob("*") if path.is_file() and path.name != "en.json"]
    assert len(paths) > 15
    for path in paths:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, path


def test_write_reads_the_measurements_and_links_to_the_documentation(
    known: dict[Network, Measured], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for network, one in known.items():
        grid.save(grid.path_of(tmp_path, network), one)
    monkeypatch.setattr(page, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(page, "NUMBERS", tmp_path / "docs" / "numbers.json")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "weight-initialization.md").touch()
    path = page.write(tmp_path, NETWORKS[:1])
    assert path == tmp_path / "index.html"
    html = path.read_text(encoding="utf-8")
    assert 'href="docs/weight-initialization.md"' in html
    assert "study.md" not in html
    assert 'id="published-title"' not in html
    assert embedded(html, "payload")["axes"]["depth"] == [2]
    (tmp_path / "docs" / "numbers.json").write_text(json.dumps({"presets": {"not-all-zero": not_all_zero()}}))
    deeper = page.write(tmp_path, NETWORKS, tmp_path / "docs" / "explore" / "index.html").read_text(encoding="utf-8")
    assert 'href="../weight-initialization.md"' in deeper
    assert 'id="published-title"' in deeper
    assert embedded(deeper, "payload")["published"][0]["id"] == "not-all-zero"


def not_all_zero() -> dict[str, Any]:
    """The numbers of two seeds, three layers, and two epochs."""
    gradient = [[[9, 9, 9], [1, 2, 3]], [[9, 9, 9], [3, 4, 7]]]
    zero = [[[0, 0, 0], [0, 0, 0]]] * 2
    parts = {
        "zeros": {"kernel_gradient": zero, "test_accuracy": [[0.1135, 0.1135]] * 2},
        "constant": {"kernel_gradient": gradient, "test_accuracy": [[0.1, 0.2], [0.2, 0.4]]},
    }
    return {"command": "python -m jax_impl study --preset not-all-zero", "parts": parts}


def test_a_missing_chart_library_is_an_error_that_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    page.check_installed()
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="make explore"):
        page.check_installed()


def test_a_verdict_has_the_numbers_that_its_reason_names() -> None:
    script = (page.WEB / "js" / "page.js").read_text(encoding="utf-8")
    (given,) = re.findall(r"const reason = t\(.*?\{$(.*?)^  \}\);", script, re.DOTALL | re.MULTILINE)
    named = {name for text in page.texts_in("en")["reasons"].values() for name in re.findall(r"\{(\w+)\}", text)}
    assert "rank" in named
    assert named <= set(re.findall(r"^\s+(\w+):", given, re.MULTILINE))


def test_the_committed_page_is_made_of_these_files(monkeypatch: pytest.MonkeyPatch) -> None:
    committed = (page.DOCS / "explore" / "index.html").read_text(encoding="utf-8")
    without_library = re.sub(r"<script>.*?</script>", "<script></script>", committed, count=1, flags=re.DOTALL)
    monkeypatch.setattr(page, "chart_library", lambda: "")
    payload = embedded(committed, "payload")
    measured = {name: value for name, value in payload.items() if name != "published"}
    assert payload["published"] == published.results(json.loads(NUMBERS.read_text(encoding="utf-8")))
    made = page.render(measured, payload["published"], page.links_from(page.DOCS / "explore"))
    assert without_library == made, "write it again: page.write(Path('reports/explore'), …, docs/explore/index.html)"
    kept = {"kinds": list(verdicts.KINDS), "reasons": list(verdicts.REASONS), "steps": settings.STEPS}
    assert {name: payload[name] for name in kept} == kept


def test_the_command_names_what_was_measured(known: dict[Network, Measured]) -> None:
    assert page.payload(known)["command"] == (
        "python -m jax_impl explore --depths 2,5 --widths 32 --activations relu,tanh"
    )
    every = {"depth": settings.DEPTHS, "width": settings.WIDTHS, "activation": settings.ACTIVATIONS}
    assert page.command({name: list(values) for name, values in every.items()}) == "python -m jax_impl explore"


def test_the_page_links_to_the_other_reports_that_exist(tmp_path: Path, known: dict[Network, Measured]) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "index.html").write_text("a study")
    links = page.links_from(tmp_path / "explore")
    assert links[0] == ("reports.study", "../study/index.html")
    assert [key for key, _ in links] == ["reports.study", *page.LINKED]
    html = page.render(page.payload(known), [], links)
    assert '<a href="../study/index.html" data-text="source.reports.study">Initialisation study</a>' in html
