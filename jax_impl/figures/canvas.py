"""Shared by the figures and pages of all reports: colours, style, figures in two widths, and the format of numbers."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from jax_impl.figures.colors import BAD, DARK, EDGE, GOOD, GRID_LINE, INK, MUTED
from jax_impl.figures.numbers import date, duration, floats, short
from jax_impl.figures.pages import templates
from jax_impl.figures.tables import Shown, Table, in_both, shown_in

__all__ = ["BAD", "GOOD", "INK", "MUTED", "Picture", "date", "duration", "floats", "render", "short", "templates"]
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": EDGE,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8.5,
    "font.size": 8.5,
    "grid.color": GRID_LINE,
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
    tables: Callable[[Figure], list[Table]] = field(default=shown_in, kw_only=True, repr=False)  # of what was drawn

    def shown(self) -> Shown:
        """Return the figure in both widths, and its numbers. The colours follow the reader's dark mode."""
        (wide, tables), (narrow, others) = (self._drawn(narrow=narrow) for narrow in (False, True))
        return Shown(wide, narrow, [in_both(*pair) for pair in zip(tables, others, strict=True)])

    def png(self) -> bytes:
        """Return the wide figure as PNG on white, at 1.5 times its size."""
        return self._render(narrow=False, format="png", dpi=150)

    def _drawn(self, *, narrow: bool) -> tuple[str, list[Table]]:
        """Return the figure as base64 SVG, and its tables."""
        tables: list[Table] = []
        svg = self._render(
            narrow=narrow, read=lambda figure: tables.extend(self.tables(figure)), format="svg", dpi=220,
            transparent=True, metadata={"Date": None},
        )  # fmt: skip
        text = with_dark_mode(svg.decode().replace("'DejaVu Sans'", FONTS))
        return base64.b64encode(text.encode()).decode(), tables

    def _render(self, *, narrow: bool, **options: Any) -> bytes:
        width, height = self.narrow if narrow else self.wide
        return render(lambda figure: self.draw(figure, narrow), (width * PIXEL, height * PIXEL), **options)


def render(
    draw: Callable[[Figure], None],
    size: tuple[float, float],
    *,
    read: Callable[[Figure], None] = lambda _: None,
    **options: Any,
) -> bytes:
    """Return a figure of this width and height in inches as a file; `options` are those of Matplotlib's `savefig`.

    `read` gets the figure when it is drawn and every part has its place.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        file = io.BytesIO()
        figure.savefig(file, **options)
        read(figure)
    return file.getvalue()


def with_dark_mode(svg: str) -> str:
    """Return an SVG whose colours have the values of `DARK` if the reader prefers a dark page."""
    names = {color: f"--c{color[1:]}" for color in DARK}
    light = "".join(f"{name}:{color};" for color, name in names.items())
    dark = "".join(f"{names[color]}:{dark};" for color, dark in DARK.items())
    lighter = "image{filter:brightness(1.55)}"  # of points that are drawn as pixels
    style = f"<style>svg{{{light}}}@media (prefers-color-scheme: dark){{svg{{{dark}}}{lighter}}}</style>"
    svg = re.sub("|".join(DARK), lambda found: f"var({names[found[0]]})", svg)
    head, tag, rest = svg.partition("<metadata>")
    return f"{head}{style}{tag}{rest}"
