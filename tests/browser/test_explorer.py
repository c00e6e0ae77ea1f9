"""The explorer in a browser: its controls, and the numbers that it shows next to the records that it was built from."""

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from jax_impl.explore import fields, published, settings
from jax_impl.explore import page as explorer
from jax_impl.explore.grid import Measured
from jax_impl.explore.settings import Network
from jax_impl.explore.verdicts import KINDS, REASONS
from tests.unit.jax_impl.explore.made_up import measured
from tests.unit.jax_impl.explore.test_page import not_all_zero

pytestmark = pytest.mark.slow

NETWORKS = [Network(*choice) for choice in product((2, 5), (32, 64), ("relu", "sigmoid"))]
DEEP = "a=normal,1,5,64,relu,sgd,0.1"
BUILT = Path(__file__).parents[2] / "docs" / "explore" / "index.html"
ROUNDING = 0.06  # of a number with two digits: 1.4e-10
PARTS = ("init", "gain", "depth", "width", "activation", "optimizer", "rate")


def made_up(network: Network) -> Measured:
    """Numbers with an exact 0, one above the range and one that is none, in the first starts of every network."""
    one = measured(network)
    before = one.before._replace(variance=one.before.variance.copy(), gradient=one.before.gradient.copy())
    before.variance[0], before.gradient[0, :-1] = 0, 0  # zeros
    place = settings.starts().index(settings.Start("normal", 1.0))
    before.variance[place] = np.geomspace(1, 1e30, network.depth + 1)
    before.gradient[place, 0] = np.nan
    return one._replace(before=before)


@pytest.fixture(scope="module")
def records() -> dict[str, np.ndarray]:
    """The page's numbers by field, as `fields.build` has them before they are packed."""
    return {name: values for name, (values, _) in fields.build({one: made_up(one) for one in NETWORKS}).items()}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = published.results({"presets": {"not-all-zero": not_all_zero(), "pretraining": pretraining()}})
    html = explorer.render(explorer.payload({one: made_up(one) for one in NETWORKS}), results, [])
    path = tmp_path_factory.mktemp("explorer") / "index.html"
    path.write_text(html, encoding="utf-8")
    return path


def pretraining() -> dict[str, Any]:
    starts = {"dbn": 0.8, "xavier_uniform": 0.7, "kaiming_uniform": 0.69}
    parts: dict[str, Any] = {
        init: {"labels": [100, 60_000], "test_accuracy": [[share, 0.98], [share, 0.98]]}
        for init, share in starts.items()
    }
    last = {"dbn": 0.94, "xavier_uniform": 0.21, "small_normal": 0.1}
    return {
        "command": "",
        "parts": parts | {f"deep {init}": {"test_accuracy": [[0.1, end]]} for init, end in last.items()},
    }


@pytest.fixture
def open_at(page: Page, path: Path) -> Callable[..., Page]:
    def at(fragment: str = "lang=en", width: int = 1280, **media: Any) -> Page:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(**media)
        page.goto(f"{path.as_uri()}#{fragment}")
        page.wait_for_selector("body[data-ready]")
        return page

    return at


def index(setting: dict[str, Any], by_rule: bool) -> tuple[int, ...]:
    """The place of a setting in a field."""
    axes = fields.axes(NETWORKS)
    first = tuple(axes[name].index(setting[name]) for name in ("init", "gain", "depth", "width", "activation"))
    return (*first, axes["rule"].index([setting["optimizer"], setting["rate"]])) if by_rule else first


def chosen(page: Page, letter: str = "a") -> dict[str, Any]:
    """The setting that the controls show."""
    values = {part: page.locator(f"#{letter}-{part}").input_value() for part in PARTS}
    numbers = {part: float(values[part]) for part in ("gain", "depth", "width", "rate")}
    return values | numbers


def table(page: Page, chart: str) -> list[list[str]]:
    """Open a chart's table and return the texts of its rows, without the heads."""
    details = page.locator(f"#chart-{chart} details")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    details.locator("tbody tr").first.wait_for()
    rows = details.locator("tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def number(text: str) -> float:
    """The number that a text of the page stands for."""
    if text == "–":
        return np.nan
    if text.startswith(">"):
        return np.inf
    value = float(text.split(" (")[0].replace(",", "").replace(" %", ""))
    return value / 100 if "%" in text else value


def same(texts: list[str], values: np.ndarray) -> bool:
    shown = np.array([number(text) for text in texts])
    return bool(np.allclose(shown, values, rtol=ROUNDING, atol=6e-3 if "%" in texts[0] else 0, equal_nan=True))


def test_every_chart_over_layers_shows_the_records(
    open_at: Callable[..., Page], records: dict[str, np.ndarray]
) -> None:
    page = open_at(f"{DEEP}&lang=en")
    setting = chosen(page)
    for chart, columns, layers in (
        ("variance", ("variance", "variance_theory"), 6),
        ("gradient", ("gradient", "gradient_theory"), 6),
        ("flat", ("flat_before", "flat_after"), 5),
        ("saturated", ("saturated",), 5),
        ("rank", ("rank",), 6),
        ("update", ("update",), 6),
    ):
        rows = table(page, chart)
        assert [row[0] for row in rows] == [str(layer + 1) for layer in range(layers)]
        for column, field in enumerate(columns, start=1):
            values = records[field][index(setting, field in fields.OF_TRAINING)][:layers]
            values = np.where(values > 1e24, np.inf, values)
            assert same([row[column] for row in rows], values), (chart, field, rows)
    assert table(page, "variance")[-1][1] == "> 1e24"
    assert table(page, "gradient")[0][1] == "–"


def test_zero_is_shown_as_zero(open_at: Callable[..., Page]) -> None:
    page = open_at("a=zeros,1,5,64,relu,sgd,0.1&lang=en")
    assert [row[1] for row in table(page, "variance")] == ["0"] * 6
    assert "0" in page.locator("#chart-variance svg text").all_text_contents()


def test_loss_accuracy_and_bands_show_the_records(open_at: Callable[..., Page], records: dict[str, np.ndarray]) -> None:
    page = open_at("a=orthogonal,2,2,32,sigmoid,adam,0.001&lang=en")
    setting = chosen(page)
    place = index(setting, True)
    rows = table(page, "loss")
    assert same([rows[0][1]], records["loss_before"][index(setting, False)][None])
    assert same([row[2] for row in rows[1:]], records["loss"][place][:, 0])
    rows = table(page, "accuracy")
    assert same([row[1] for row in rows], records["accuracy"][place][:, 0])
    ends = [re.findall(r"\d[\d.]*", row[1])[1:] for row in rows]
    assert np.allclose(np.array(ends, float) / 100, records["accuracy"][place][:, 1:], atol=6e-4)
    steps = settings.STEPS / len(rows)
    assert [number(row[0]) for row in rows] == [steps * (at + 1) for at in range(len(rows))]


def test_singular_values_and_histograms_show_the_records(
    open_at: Callable[..., Page], records: dict[str, np.ndarray]
) -> None:
    page = open_at("a=kaiming_normal,1,5,32,relu,sgd,1&lang=en")
    place = index(chosen(page), False)
    assert same([row[1] for row in table(page, "singular")], records["singular"][place][:, 1])
    for name in ("pre", "weights", "gradients"):
        rows = table(page, name)
        assert [row[0] for row in rows] == [f"A, layer {layer}" for layer in (1, 2, 3, 4, 5)]
        assert same([row[1] for row in rows], records[f"{name}_reach"][place])
        assert same(rows[2][2:], records[name][place][2])


def test_the_coordinate_check_shows_the_chosen_layer(
    open_at: Callable[..., Page], records: dict[str, np.ndarray]
) -> None:
    page = open_at(f"{DEEP}&lang=en")
    for name, followed in (("last", 2), ("output", 3), ("first", 0)):
        page.locator("#layer").select_option(name)
        assert name == "last" or f"layer={name}" in page.url
        rows = table(page, "coordinates")
        assert [row[0] for row in rows] == ["32", "64"]
        for row, width in zip(rows, (32, 64), strict=True):
            place = index(chosen(page) | {"width": width}, True)
            assert same(row[1:], records["sizes"][place][followed])


@pytest.mark.parametrize("part", PARTS)
def test_each_control_works_by_keyboard(
    open_at: Callable[..., Page], records: dict[str, np.ndarray], part: str
) -> None:
    page = open_at("a=normal,1,2,32,relu,sgd,0.1&lang=en")
    before = chosen(page)
    page.locator(f"#a-{part}").focus()
    page.keyboard.press("ArrowDown")
    after = chosen(page)
    assert after[part] != before[part]
    assert {name for name in PARTS if after[name] != before[name]} <= {part, "rate" if part == "optimizer" else part}
    assert page.evaluate("document.activeElement.id") == f"a-{part}"
    check_verdict(page, records, after)


def check_verdict(page: Page, records: dict[str, np.ndarray], setting: dict[str, Any], letter: str = "a") -> None:
    """The verdict names the record's kind, reason, layer, accuracy and loss."""
    text = page.locator(f"#verdict-{letter}").inner_text()
    place = index(setting, True)
    texts = explorer.texts_in("en")
    kind, reason = KINDS[int(records["kind"][place])], REASONS[int(records["reason"][place])]
    assert text.startswith(f"{texts['kinds'][kind]}: ")
    pattern = re.escape(texts["reasons"][reason]).replace(r"\{layer\}", str(int(records["layer"][place])))
    assert re.search(re.sub(r"\\\{\w+\\\}", r"\\S+( %)?", pattern), text), (reason, text)
    accuracy = records["accuracy"][place][-1, 0]
    assert np.isnan(accuracy) or f": {100 * accuracy:.1f} %" in text
    assert f"{records['loss_before'][index(setting, False)]:.3f}"[:4] in text
    assert "2.303" in text


def test_the_gain_is_off_where_it_changes_nothing(open_at: Callable[..., Page]) -> None:
    page = open_at("a=normal,2,2,32,relu,sgd,0.1&lang=en")
    assert page.locator("#a-gain").is_enabled()
    page.locator("#a-init").select_option("lsuv")
    assert page.locator("#a-gain").is_disabled()
    assert page.locator("#a-gain").input_value() == "1"


def test_the_map_shows_the_records_and_a_click_chooses(
    open_at: Callable[..., Page], records: dict[str, np.ndarray]
) -> None:
    page = open_at("a=normal,1,2,64,sigmoid,adam,0.01&lang=en")
    setting = chosen(page)
    buttons = page.locator(".map button").all()
    cells = list(product(settings.INITS, (2, 5)))
    assert len(buttons) == len(cells)
    for button, (init, depth) in zip(buttons, cells, strict=True):
        place = index(setting | {"init": init, "depth": depth}, True)
        word, share = button.locator("> span").all_inner_texts()
        assert word.split("\n")[0].removesuffix("A").strip() == KINDS[int(records["kind"][place])]
        assert same([share], records["accuracy"][place][-1, :1])
    pressed = page.locator(".map button[aria-pressed=true]")
    assert pressed.get_attribute("aria-label").startswith("N(0, 1), 2 layers")
    buttons[-1].click()
    assert chosen(page) == setting | {"init": "lsuv", "depth": 5}
    assert pressed.get_attribute("aria-label").startswith("LSUV, 5 layers")


def test_two_settings_side_by_side(open_at: Callable[..., Page], records: dict[str, np.ndarray]) -> None:
    page = open_at(f"{DEEP}&lang=en")
    assert page.locator("#panel-b").is_hidden()
    page.locator("#compare").focus()
    page.keyboard.press("Space")
    assert page.locator("#panel-b").is_visible()
    page.locator("#b-init").select_option("orthogonal")
    page.locator("#b-depth").select_option("2")
    rows = table(page, "variance")
    for letter, column in (("a", 1), ("b", 3)):
        setting = chosen(page, letter)
        values = records["variance"][index(setting, False)]
        assert same([row[column] for row in rows], np.where(values > 1e24, np.inf, values))
        check_verdict(page, records, setting, letter)
    draw_all(page)
    assert page.locator("#chart-pre .key").inner_text().split() == ["A", "B"]
    page.locator("#pair").click()
    assert [chosen(page, letter)["init"] for letter in "ab"] == ["torch_default", "flax_default"]
    page.locator("#compare").click()
    assert page.locator("#panel-b").is_hidden()


def test_the_link_stores_the_settings(open_at: Callable[..., Page], browser: Browser) -> None:
    page = open_at("lang=ko")
    page.locator("#a-init").select_option("lsuv")
    page.locator("#compare").click()
    page.locator("#b-rate").select_option("1")
    page.locator("#layer").select_option("middle")
    page.locator("#theme").select_option("dark")
    page.locator("[data-question=zeros]").click()
    other = browser.new_page()
    other.goto(page.url)
    other.wait_for_selector("body[data-ready]")
    for letter in "ab":
        assert chosen(other, letter) == chosen(page, letter)
    assert other.locator("#layer").input_value() == "middle"
    assert other.locator("#theme").input_value() == "dark"
    assert other.locator("html").get_attribute("lang") == "ko"
    assert other.locator("#answer").inner_text() == page.locator("#answer").inner_text()
    other.close()


def test_a_wrong_link_falls_back(open_at: Callable[..., Page]) -> None:
    page = open_at("a=planted,7,1000,,no,sgd,x&b=&layer=4&theme=pink&question=what&lang=xx")
    known = {"init": "xavier_normal", "gain": 2, "depth": 5, "width": 64}  # of numbers, the nearest
    assert chosen(page) == known | {"activation": "relu", "optimizer": "sgd", "rate": 0.1}
    assert page.locator("#panel-b").is_hidden()
    assert page.locator("html").get_attribute("lang") == "en"
    page.evaluate("location.hash = 'a=lsuv,1,2,32,sigmoid,adam,0.01&lang=ko'")
    page.wait_for_selector("html[lang=ko]")
    assert chosen(page)["init"] == "lsuv"


def test_hover_and_arrow_keys_show_the_values(open_at: Callable[..., Page]) -> None:
    page = open_at("a=xavier_normal,1,5,64,relu,sgd,0.1&lang=en")
    rows = table(page, "rank")
    plot, tip = page.locator("#chart-rank .plot"), page.locator("#chart-rank .tip")
    assert tip.is_hidden()
    plot.hover(position={"x": plot.bounding_box()["width"] - 10, "y": 80})
    assert tip.inner_text().split("\n") == ["Layer 6", f"A, before training: {rows[5][1]}"]
    plot.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert tip.inner_text().split("\n") == ["Layer 2", f"A, before training: {rows[1][1]}"]
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    bars = page.locator("#chart-weights .plot")
    bars.focus()
    page.keyboard.press("ArrowLeft")
    tip = page.locator("#chart-weights .tip")
    rows = table(page, "weights")
    box = bars.bounding_box()
    bars.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert tip.inner_text().startswith("A, layer 3")
    assert f"{rows[2][2 + 12]} of the values" in tip.inner_text()
    share = rows[-1][-1]
    bars.focus()
    page.keyboard.press("End")
    assert f"{share} of the values" in tip.inner_text()


def test_the_answers_have_the_numbers_of_the_records(
    open_at: Callable[..., Page], records: dict[str, np.ndarray]
) -> None:
    page = open_at()
    answer = page.locator("#answer")
    assert answer.is_hidden()

    def ask(name: str) -> str:
        page.locator(f"[data-question={name}]").click()
        return answer.inner_text()

    def last(setting: dict[str, Any]) -> float:
        return records["accuracy"][index(setting, True)][-1, 0]

    def percent(setting: dict[str, Any]) -> str:
        return f"{100 * last(setting):.1f} %"

    text = ask("zeros")
    a, b = chosen(page), chosen(page, "b")
    assert (a["init"], b["init"]) == ("zeros", "kaiming_normal")
    assert "layer 1 is 0," in text
    assert percent(a) in text
    assert percent(b) in text

    text = ask("which")
    a = chosen(page)
    found = [a | {"init": init, "rate": rate} for init in settings.INITS for rate in settings.RATES["sgd"]]
    assert a == max(found, key=lambda one: np.nan_to_num(last(one)))
    best = [max(np.nan_to_num(last(one)) for one in found if one["init"] == init) for init in settings.INITS]
    assert all(f"{100 * share:.1f} %" in text for share in best)

    text = ask("xavier")
    a, b = chosen(page), chosen(page, "b")
    assert (a["init"], b["init"], a["rate"]) == ("xavier_normal", "kaiming_normal", b["rate"])
    for setting in (a, b):
        variance = records["variance"][index(setting, False)]
        assert percent(setting) in text
        assert f"{variance[4] / variance[0]:.3g}" in text or f"{variance[4] / variance[0]:.1e}" in text

    text = ask("torch")
    a, b = chosen(page), chosen(page, "b")
    assert (a["init"], b["init"]) == ("torch_default", "flax_default")
    for setting in (a, b):
        gradient = records["gradient"][index(setting, False)]
        assert f"{(gradient[0] / gradient[4]) ** 0.25:.3g}"[:4] in text
        assert percent(setting) in text

    text = ask("pretraining")
    assert all(part in text for part in ("100 labels", "10.0 percentage", "80.0 %", "60,000", "94.0 %", "21.0 %"))
    page.locator(".jump").first.click()
    assert page.evaluate("document.activeElement.closest('figure').id") == "chart-pretraining-labels"


def test_the_language_changes_every_text(open_at: Callable[..., Page]) -> None:
    page = open_at(f"{DEEP}&question=zeros&lang=en")
    english = page.locator("main").inner_text()
    page.locator("#language").click()
    assert page.locator("html").get_attribute("lang") == "ko"
    assert page.title() == explorer.texts_in("ko")["page"]["title"]
    korean = page.locator("main").inner_text()
    names = {"sigmoid", "explore", "jax_impl", "python", "torch", "made", "machine", "flax", "issue"}
    english_words, korean_words = (set(re.findall(r"\b[a-z]{4,}\b", text)) for text in (english, korean))
    assert len(english_words) > 100
    assert (korean_words & english_words) - names == set()
    page.locator("#language").click()
    assert page.locator("main").inner_text() == english


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_at: Callable[..., Page], language: str, scheme: str) -> None:
    page = open_at(f"{DEEP}&b=lsuv,1,2,32,relu,sgd,1&question=zeros&lang={language}", color_scheme=scheme)
    draw_all(page)
    page.locator("#chart-variance summary").click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def draw_all(page: Page) -> None:
    """Scroll past every chart, so that each is drawn."""
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator("svg").wait_for()


@pytest.mark.parametrize("width", [400, 900, 1600])
def test_nothing_is_wider_than_the_window(open_at: Callable[..., Page], width: int) -> None:
    page = open_at(f"{DEEP}&b=lsuv,1,2,32,relu,sgd,1&question=which&lang=en", width=width)
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for picture in page.locator(".plot svg").all():
        assert picture.bounding_box()["width"] <= width


def test_the_colours_follow_the_system_or_the_switch(open_at: Callable[..., Page]) -> None:
    page = open_at(color_scheme="light")

    def background() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = background()
    page.emulate_media(color_scheme="dark")
    dark = background()
    assert dark != light
    page.locator("#theme").select_option("light")
    assert background() == light
    page.emulate_media(color_scheme="light")
    page.locator("#theme").select_option("dark")
    assert background() == dark
    page.locator("#theme").select_option("auto")
    assert background() == light


def test_the_page_asks_for_no_other_file(page: Page, path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    draw_all(page)
    assert asked == [path.as_uri()]


def test_without_scripts_the_page_says_what_is_missing(browser: Browser, path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert "needs JavaScript" in page.locator("noscript").inner_text()
    context.close()


def redraw_times(page: Page) -> list[float]:
    """Milliseconds that changes of the initialiser take, with every chart drawn in sight of the window."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#a-init option")].map(({ value }) => {
            const select = document.getElementById("a-init");
            const began = performance.now();
            select.value = value;
            select.dispatchEvent(new Event("change"));
            document.body.getBoundingClientRect();
            return performance.now() - began;
        })"""
    )


def test_a_change_redraws_fast(open_at: Callable[..., Page]) -> None:
    page = open_at(f"{DEEP}&b=lsuv,1,5,32,relu,sgd,1&lang=en")
    page.locator("#chart-variance").scroll_into_view_if_needed()
    times = redraw_times(page)
    assert np.median(times) < 500, times  # the target is 100; a busy machine must not fail the test


@pytest.mark.skipif(not BUILT.exists(), reason="docs/explore/index.html is missing")
def test_the_committed_page_answers_the_questions(page: Page) -> None:
    assert BUILT.stat().st_size < 4e6
    page.goto(f"{BUILT.as_uri()}#lang=en")
    page.wait_for_selector("body[data-ready]")
    assert page.locator("[data-question]").count() == 5

    def kinds(name: str) -> list[str]:
        page.locator(f"[data-question={name}]").click()
        places: list[Locator] = page.locator(".outcome:visible strong").all()
        return [place.inner_text().split(":")[0] for place in places]

    assert kinds("zeros") == ["dead", "trains"]
    assert kinds("which") == ["trains"]
    assert kinds("xavier") == ["dead", "trains"]
    assert kinds("torch")[0] != "trains"
    assert kinds("pretraining") != ["trains"]
    assert np.median(redraw_times(page)) < 500
