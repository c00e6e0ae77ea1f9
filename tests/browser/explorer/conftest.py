"""A small explorer page of made-up measurements, and what its tests compare it with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from jax_impl.explore import fields, published, settings
from jax_impl.explore import page as explorer
from jax_impl.explore.grid import Measured
from jax_impl.explore.settings import Network
from tests.browser.explorer.reading import NETWORKS
from tests.unit.jax_impl.explore.made_up import measured
from tests.unit.jax_impl.explore.test_page import not_all_zero


def made_up(network: Network) -> Measured:
    """Numbers with an exact 0, one above the range and one that is none, in the first starts of every network."""
    one = measured(network)
    before = one.before._replace(variance=one.before.variance.copy(), gradient=one.before.gradient.copy())
    before.variance[0], before.gradient[0, :-1] = 0, 0  # zeros
    place = settings.starts().index(settings.Start("normal", 1.0))
    before.variance[place] = np.geomspace(1, 1e30, network.depth + 1)
    before.variance[place, -1] = np.inf
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
