"""Languages, colours, sizes, accessibility, speed, and the committed page."""

import base64
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from jax_impl.explore import page as explorer
from jax_impl.explore.pack import Scale, decode
from tests.browser.explorer.reading import (
    DEEP,
    draw_all,
    redraw_times,
)

pytestmark = pytest.mark.slow

BUILT = Path(__file__).parents[3] / "docs" / "explore" / "index.html"


def test_the_language_changes_every_text(open_at: Callable[..., Page]) -> None:
    page = open_at(f"{DEEP}&question=zeros&lang=en")
    english = page.locator("main").inner_text()
    page.locator("#language").click()
    assert page.locator("html").get_attribute("lang") == "ko"
    assert page.title() == explorer.texts_in("ko")["page"]["title"]
    korean = page.locator("main").inner_text()
    names = {"sigmoid", "explore", "jax_impl", "python", "torch", "made", "machine", "flax", "issue"}
    names |= {"depths", "widths", "activations", "relu"}  # of the command
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
    assert kinds("which")[0] in ("trains", "learns slowly")
    xavier, he = kinds("xavier")
    assert xavier == "dead"
    assert he in ("trains", "learns slowly")
    assert kinds("torch")[0] != "trains"
    assert kinds("pretraining") != ["trains"]
    assert np.median(redraw_times(page)) < 500


@pytest.mark.skipif(not BUILT.exists(), reason="docs/explore/index.html is missing")
def test_the_committed_page_has_a_sentence_for_every_reason(page: Page) -> None:
    payload = json.loads(re.findall(r'id="payload">(.*?)</script>', BUILT.read_text(encoding="utf-8"), re.DOTALL)[0])
    (field,) = [one for one in payload["fields"] if one["name"] == "reason"]
    content = gzip.decompress(base64.b64decode(payload["codes"]))
    codes = np.frombuffer(content, np.uint8, int(np.prod(field["shape"])), field["offset"]).reshape(field["shape"])
    scale = Scale(field["kind"], field["low"], field["high"], field["bits"])
    reasons = decode(codes, scale).round().astype(int)
    found = set()
    for number in np.unique(reasons):
        init, gain, depth, width, activation, rule = (int(place) for place in np.argwhere(reasons == number)[0])
        axes = payload["axes"]
        first = [axes["init"][init], axes["gain"][gain], axes["depth"][depth], axes["width"][width]]
        setting = ",".join(map(str, [*first, axes["activation"][activation], *axes["rule"][rule]]))
        page.goto("about:blank")
        page.goto(f"{BUILT.as_uri()}#a={setting}&lang=en")
        page.wait_for_selector("body[data-ready]")
        words = page.locator("#verdict-a strong").inner_text()
        assert ": " in words
        found.add(re.sub(r"\d\S*", "", words.split(": ", 1)[1]))
    assert len(found) == len(np.unique(reasons)) >= 12
