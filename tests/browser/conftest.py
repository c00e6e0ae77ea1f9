"""A browser for the tests of pages. All of them belong to the slow tier, and are skipped where there is no browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW = (
    "there is no browser: set CHROMIUM to the path of one, install chromium, or run `.venv/bin/playwright install "
    "chromium`"
)


def executable(playwright: Playwright) -> str | None:
    """Return $CHROMIUM, a browser on the path, or the one that Playwright downloaded; None if there is none."""
    if named := os.environ.get("CHROMIUM"):
        return named
    found = next(filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path)
    return found if Path(found).exists() else None


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = executable(playwright)
        if path is None:
            pytest.skip(HOW)
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of 1,280 × 800 pixels. Its test fails if a script fails or the console shows an error."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []
