"""Shared by the figures and pages of all reports: colours, style, figures in two widths, and the format of numbers."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, MUTED, GOOD, BAD = "#23272e", "#5f656d", "#2c7a4b", "#b3261e"
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#b9bdc4",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8.5,
    "font.size": 8.5,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",  # keeps text as text, so that the page's fonts apply
    "svg.hashsalt": "report",  # makes the ids reproducible
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.color": MUTED,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}
FONTS = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
PIXEL = 1 / 100  # inches; a page shows a point as 1.39 CSS pixels, and 8.5 points as 12
Draw = Callable[[Figure, bool], None]  # the flag says whether the figure is for a narrow screen
Size = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True)
class Picture:
    """A figure in two widths, with its title, caption and alternative text."""

    draw: Draw = field(repr=False)
    wide: Size  # on a wide screen
    narrow: Size
    half: bool = False  # whether it takes half of a wide page
    key: str = field(kw_only=True)  # the name of its file
    title: str = field(kw_only=True)
    caption: str = field(kw_only=True)
    alt: str = field(kw_only=True)

    def svg(self, *, narrow: bool) -> str:
        """Return the figure for a narrow or a wide screen as base64 SVG."""
        svg = self._render(narrow=narrow, format="svg", dpi=220, transparent=True, metadata={"Date": None})
        return base64.b64encode(svg.replace(b"'DejaVu Sans'", FONTS.encode())).decode()

    def png(self) -> bytes:
        """Return the wide figure as PNG on white, at 1.5 times its size."""
        return self._render(narrow=False, format="png", dpi=150)

    def _render(self, *, narrow: bool, **options: Any) -> bytes:
        width, height = self.narrow if narrow else self.wide
        return render(lambda figure: self.draw(figure, narrow), (width * PIXEL, height * PIXEL), **options)


def render(draw: Callable[[Figure], None], size: tuple[float, float], **options: Any) -> bytes:
    """Return a figure of this width and height in inches as a file; `options` are those of Matplotlib's `savefig`."""
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        file = io.BytesIO()
        figure.savefig(file, **options)
    return file.getvalue()


def short(value: float, digits: int = 2) -> str:
    """Format a number with few digits and without padding its exponent: 1e-7, not 1e-07."""
    text = f"{value:.{digits}g}"
    if 0 < abs(value) < 1e-3:
        text = f"{value:.{digits - 1}e}"
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def duration(seconds: float | int) -> str:
    """Format seconds: 1.5 s, 2 min 05 s, 1 h 30 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def date(made: str) -> str:
    """Format an ISO 8601 time as 24 November 2026, 07:00 UTC. Return any other text unchanged."""
    try:
        moment = datetime.fromisoformat(made)
    except ValueError:
        return made
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment.tzname() or ''}".rstrip()


def floats(values: Any) -> NDArray[np.float64]:
    """Return numbers as a float64 array. None becomes NaN; the strings "nan" and "inf" are allowed."""
    return np.asarray(values, np.float64)


@lru_cache(maxsize=4)
def templates(*folders: Path) -> Environment:
    """Return the templates in these folders and this one. They escape HTML, and an undefined variable is an error."""
    loader = FileSystemLoader([*folders, Path(__file__).parent])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
