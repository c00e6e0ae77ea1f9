"""The fixtures themselves: which browser is taken, and whether a page's errors are seen."""

from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import conftest

pytestmark = pytest.mark.slow


def test_the_browser_is_the_named_one_or_one_on_the_path_or_playwrights(monkeypatch: pytest.MonkeyPatch) -> None:
    playwright = SimpleNamespace(chromium=SimpleNamespace(executable_path="/nowhere/chrome"))
    monkeypatch.setenv("CHROMIUM", "/named/chromium")
    assert conftest.executable(playwright) == "/named/chromium"
    monkeypatch.delenv("CHROMIUM")
    monkeypatch.setattr(conftest.shutil, "which", lambda name: __file__ if name == "google-chrome" else None)
    assert conftest.executable(playwright) == __file__
    monkeypatch.setattr(conftest.shutil, "which", lambda name: None)
    assert conftest.executable(playwright) is None
    playwright.chromium.executable_path = __file__
    assert conftest.executable(playwright) == __file__


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("<p>nothing fails</p>", None),
        ("<script>console.error('planted')</script>", "planted"),
        ("<script>missing()</script>", "missing is not defined"),
    ],
)
def test_an_error_of_a_page_fails_its_test(browser: Browser, body: str, error: str | None) -> None:
    steps = conftest.page.__wrapped__(browser)
    page: Page = next(steps)
    page.set_content(body)
    if error is None:
        with pytest.raises(StopIteration):
            next(steps)
    else:
        with pytest.raises(AssertionError, match=error):
            next(steps)
