"""The numbers that the page shows are those of the records."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from jax_impl.explore import fields, settings
from jax_impl.explore.pack import SIZE, decode, encode
from tests.browser.explorer.reading import (
    DEEP,
    chosen,
    heights,
    index,
    number,
    same,
    table,
)

pytestmark = pytest.mark.slow


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
            assert same([row[column] for row in rows], values), (chart, field, rows)
    assert table(page, "variance")[-1][1] == "> 3e38"
    assert table(page, "gradient")[0][1] == "–"


def test_zero_is_shown_as_zero(open_at: Callable[..., Page]) -> None:
    page = open_at("a=zeros,1,5,64,relu,sgd,0.1&lang=en")
    assert [row[1] for row in table(page, "variance")] == ["0"] * 6
    shown = heights(page, "gradient")
    assert len(shown) == 6
    assert np.ptp(shown[:5]) == 0
    assert shown[5] > shown[0] + 50
    assert "0" in page.locator("#chart-gradient svg text").all_text_contents()


def test_dots_stand_at_the_logarithms_of_the_records(
    open_at: Callable[..., Page], records: dict[str, np.ndarray]
) -> None:
    page = open_at("a=xavier_normal,1,5,64,relu,sgd,0.1&lang=en")
    values = np.log10(records["variance"][index(chosen(page), False)])
    shown = heights(page, "variance")
    fitted = np.polyval(np.polyfit(values, shown, 1), values)
    assert np.ptp(shown) > 30
    assert np.abs(fitted - shown).max() < 0.5  # pixels


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
        gradient = decode(encode(records["gradient"][index(setting, False)], SIZE), SIZE)  # as the page has it
        assert f"{float(f'{(gradient[0] / gradient[4]) ** 0.25:.3g}'):g}" in text
        assert percent(setting) in text

    text = ask("pretraining")
    assert all(part in text for part in ("100 labels", "10.0 percentage", "80.0 %", "60,000", "94.0 %", "21.0 %"))
    page.locator(".jump").first.click()
    assert page.evaluate("document.activeElement.closest('figure').id") == "chart-pretraining-labels"
