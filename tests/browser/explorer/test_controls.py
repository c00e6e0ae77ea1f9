"""The controls, by mouse and by keyboard."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from jax_impl.explore import settings
from jax_impl.explore.verdicts import KINDS
from tests.browser.explorer.reading import DEEP, PARTS, check_verdict, chosen, draw_all, index, same, table

pytestmark = pytest.mark.slow


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
        assert same([row[column] for row in rows], values)
        check_verdict(page, records, setting, letter)
    draw_all(page)
    assert page.locator("#chart-pre .key").inner_text().split() == ["A", "B"]
    dots = page.locator("#chart-rank .mark-symbol path").all()
    looks = [tuple(dot.get_attribute(name) for name in ("stroke", "fill", "d")) for dot in dots]
    assert sorted({look[:2] for look in looks}) == [("var(--a)", "var(--a)"), ("var(--b)", "var(--card)")]
    assert len({look[2] for look in looks}) == 2  # shapes
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
    assert chosen(page) == known | {"activation": "relu", "optimizer": "sgd", "rate": 0.01}
    assert page.locator("#panel-b").is_hidden()
    assert page.locator("html").get_attribute("lang") == "en"
    page.evaluate("location.hash = 'a=lsuv,1,2,32,sigmoid,adam,0.01&lang=ko'")
    page.wait_for_selector("html[lang=ko]")
    assert chosen(page)["init"] == "lsuv"


def test_hover_and_arrow_keys_show_the_values(open_at: Callable[..., Page]) -> None:
    page = open_at("a=xavier_normal,1,5,64,relu,sgd,0.1&lang=en")
    rows = table(page, "rank")
    plot, tip = page.locator("#chart-rank .plot"), page.locator("#chart-rank .bubble")
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
    tip = page.locator("#chart-weights .bubble")
    rows = table(page, "weights")
    box = bars.bounding_box()
    bars.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert tip.inner_text().startswith("A, layer 3")
    assert f"{rows[2][2 + 12]} of the values" in tip.inner_text()
    share = rows[-1][-1]
    bars.focus()
    page.keyboard.press("End")
    assert f"{share} of the values" in tip.inner_text()
