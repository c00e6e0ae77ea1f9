"""The reports in a browser: values on hover and by keyboard, without a script too, and for a screen reader."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from jax_impl.data import Mnist
from jax_impl.parity import report as prove
from jax_impl.storage import records
from jax_impl.study import grid, manifest
from jax_impl.study import page as study
from jax_impl.study.presets import PRESETS
from jax_impl.study.presets.preset import RECORDS, record_key
from tests.parity import report as parity
from tests.power import report as power
from tests.unit.jax_impl.parity.synthetic import Pair
from tests.unit.jax_impl.study.presets.made_up import made_up_data
from tests.unit.parity_report.made_up import fail, with_data
from tests.unit.test_power import GOOD

pytestmark = pytest.mark.slow

NAMES = ("study", "parity", "power", "prove")
CHARTS = {"study": 4 + len(PRESETS), "parity": 5}  # figures


@pytest.fixture(scope="session")
def reports(small: Mnist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one report of each kind: of a small grid, and of made-up numbers."""
    root = tmp_path_factory.mktemp("reports")
    failed = with_data()
    fail(failed, 3)
    parity.write(failed, root / "parity")
    power.write(GOOD, root / "power")
    pair = Pair(tmp_path_factory.mktemp("records"))
    prove.write(pair.verdict(lambda raw: raw.update(accuracy=None), between=1.4), root / "prove")
    cells = grid.Grid(inits=("zeros", "xavier_normal"), depths=(3,), width=8, seeds=2, epochs=1).cells()
    assert len(list(grid.run_remaining(cells, small, root / "study"))) == 2
    for name, preset in PRESETS.items():
        for label, data in made_up_data(preset).items():
            made = {"made": "2026-11-24T07:00:00Z", "where": "a made-up machine"}
            records.add(root / "study" / RECORDS, {"key": record_key(preset, label, [1, 2, 3]), "data": data, **made})
        manifest.remember(root / "study", measured={name: [1, 2, 3]})
    manifest.remember(root / "study", cells=cells, command=f"python -m jax_impl study {'--width 8 ' * 30}")
    study.write(root / "study")
    return root


def opened(page: Page, reports: Path, name: str) -> Page:
    page.goto((reports / name / "index.html").as_uri())
    return page


def words_of(cell: Locator) -> list[str]:
    """What the chart must say of a cell: the table's title, the name of its row, and its column with its value."""
    return cell.evaluate(
        """cell => {
          const table = cell.closest("table"), head = table.tHead.rows[0].cells, row = cell.parentElement;
          const where = [head[0].textContent, row.cells[0].textContent].filter(Boolean).join(": ");
          return [table.caption.textContent, where, `${head[cell.cellIndex].textContent}: ${cell.textContent}`];
        }"""
    )


def hover(figure: Locator, cell: Locator, *, narrow: bool = False) -> list[str]:
    """Move the pointer to where the figure shows a cell; return the lines that appear."""
    x, y = [int(part) / 1000 for part in (cell.get_attribute("data-at") or "").split()][2 * narrow :][:2]
    image = figure.locator("img")
    box = image.bounding_box()
    assert box is not None
    image.hover(position={"x": x * box["width"], "y": y * box["height"]}, force=True)
    assert figure.locator(".tip").is_visible()
    return figure.locator(".tip").inner_text().splitlines()


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_shows_its_values_on_hover(page: Page, reports: Path, name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    figures = opened(page, reports, name).locator("figure").all()
    assert len(figures) == CHARTS[name]
    for figure in figures:
        cells = figure.locator("[data-at]").all()
        assert cells
        for cell in cells[:: max(1, len(cells) // 6)]:
            title, where, value = words_of(cell)
            shown = hover(figure, cell, narrow=width < 620)
            assert shown[:2] == [title, where]
            assert value in shown[2:]
        page.mouse.move(0, 0)
        assert not figure.locator(".tip").is_visible()


def test_a_value_of_0_is_0_on_hover(page: Page, reports: Path) -> None:
    figure = opened(page, reports, "study").locator("figure", has_text="Variance of activations and gradients").first
    zeros = [cell for cell in figure.locator("[data-at]").all() if words_of(cell)[2] == "zeros: 0"]
    assert len(zeros) == 3 + 1 + 3  # activations of three hidden layers and the output, gradients of the hidden ones
    assert {hover(figure, cell)[2] for cell in zeros} == {"zeros: 0"}


def test_the_keyboard_reaches_every_value(page: Page, reports: Path) -> None:
    figure = opened(page, reports, "parity").locator("figure").first
    paper, tip = figure.locator(".paper"), figure.locator(".tip")

    def press(key: str) -> list[str]:
        page.keyboard.press(key)
        return tip.inner_text().splitlines()[1:]

    for _ in range(100):
        page.keyboard.press("Tab")
        if paper.evaluate("paper => paper === document.activeElement"):
            break
    assert tip.is_visible()
    assert "↑ ↓" in tip.inner_text()
    assert press("ArrowLeft") == ["training step: 0", "float32: 0", "float64: 0"]
    assert press("ArrowRight") == ["training step: 1", "float32: 1e-6"]
    assert press("ArrowDown") == ["training step: 1", "float64: 0"]
    assert press("End") == ["training step: 2", "float64: 1e-16"]
    assert press("ArrowRight") == ["training step: 2", "float64: 1e-16"]
    assert press("ArrowUp") == ["training step: 2", "float32: 0.001"]
    assert press("Home") == ["training step: 0", "float32: 0", "float64: 0"]
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    assert press("ArrowRight") == ["training step: 1", "float32: 1e-6"]
    page.keyboard.press("Tab")
    assert not tip.is_visible()


@pytest.mark.parametrize("name", CHARTS)
def test_without_scripts_the_tables_have_the_values(browser: Browser, reports: Path, name: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    figures = opened(page, reports, name).locator("figure").all()
    for figure in figures:
        figure.locator("summary").click()
        assert figure.locator("table").first.is_visible()
        assert figure.locator(".tip").count() == 0
    page.close()


@pytest.mark.parametrize("name", NAMES)
def test_the_page_fits_its_window(page: Page, reports: Path, name: str) -> None:
    for width in (400, 800, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        assert opened(page, reports, name).evaluate("document.scrollingElement.scrollWidth") == width


def test_links_lead_to_the_other_reports(page: Page, reports: Path) -> None:
    assert opened(page, reports, "study").locator("nav a").all_inner_texts() == ["Parity ladder", "Power of the ladder"]
    assert opened(page, reports, "power").locator("nav a").all_inner_texts() == ["Parity ladder"]  # written before
    assert opened(page, reports, "parity").locator("nav").count() == 0  # it was the first
    opened(page, reports, "study")
    page.get_by_role("navigation", name="Other reports").get_by_text("Parity ladder").click()
    assert page.title() == "Parity ladder: 14 of 15 rungs pass"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_a_screen_reader_can_read_the_page(page: Page, reports: Path, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for width in (400, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        opened(page, reports, name).evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        if name in CHARTS:
            hover(page.locator("figure").first, page.locator("[data-at]").first, narrow=width < 620)
        assert violations(page) == []


def violations(page: Page) -> list[tuple[str, list[str]]]:
    found = Axe().run(page).response["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


def test_a_page_that_a_screen_reader_cannot_read_is_seen(page: Page, reports: Path) -> None:
    opened(page, reports, "parity").evaluate("document.querySelector('figure img').removeAttribute('alt')")
    page.evaluate("document.querySelector('.about').style.color = '#ccc'")
    assert {rule for rule, _ in violations(page)} == {"image-alt", "color-contrast"}
