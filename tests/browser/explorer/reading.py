"""What a test reads from the explorer's page, and the places of a setting's numbers in the records."""

import re
from itertools import product
from typing import Any

import numpy as np
from playwright.sync_api import Page

from jax_impl.explore import fields
from jax_impl.explore import page as explorer
from jax_impl.explore.settings import Network
from jax_impl.explore.verdicts import KINDS, REASONS

NETWORKS = [Network(*choice) for choice in product((2, 5), (32, 64), ("relu", "sigmoid"))]
DEEP = "a=normal,1,5,64,relu,sgd,0.1"
ROUNDING = 0.06  # of a number with two digits: 1.4e-10
PARTS = ("init", "gain", "depth", "width", "activation", "optimizer", "rate")


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


def heights(page: Page, chart: str) -> np.ndarray:
    """The heights of a chart's dots in pixels, from below."""
    dots = page.locator(f"#chart-{chart} .mark-symbol path")
    page.locator(f"#chart-{chart} .plot").scroll_into_view_if_needed()
    dots.first.wait_for()
    places = [dot.get_attribute("transform") or "" for dot in dots.all()]
    return -np.array([float(re.split(r"[,)]", place)[1]) for place in places])


def draw_all(page: Page) -> None:
    """Scroll past every chart, so that each is drawn."""
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator("svg").wait_for()


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
