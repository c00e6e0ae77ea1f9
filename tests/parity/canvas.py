"""What the report's figures have in common: colours, style, two widths, and how numbers are written."""

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

JAX, TORCH, INK, MUTED, GOOD, BAD = "#2166ac", "#c8540a", "#23272e", "#5f656d", "#2c7a4b", "#b3261e"
DTYPES = {"float32": "#8a4fa3", "float64": "#0f766e"}
STYLE = {
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
    "svg.fonttype": "none",  # text stays text, in the page's own fonts
    "svg.hashsalt": "parity",  # the same ids every time
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.color": MUTED,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}
FONTS = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
PIXEL = 1 / 100  # inches: figures are shown at 1.39 CSS pixels a point, so that 8.5 points read as 12 pixels
Draw = Callable[[Figure, bool], None]  # (figure, whether it is for a narrow screen)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One figure in two widths, as base64 SVG, and the words around it."""

    key: str
    title: str
    caption: str
    alt: str
    wide: str
    narrow: str
    half: bool  # whether two stand side by side on a wide screen


def short(value: float, digits: int = 2) -> str:
    """Return a number without the zeros that `g` puts into its exponent: 1e-7, not 1e-07."""
    text = f"{value:.{digits}g}"
    if 0 < abs(value) < 1e-3:
        text = f"{value:.{digits - 1}e}"
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def power(value: float) -> str:
    """Return a power of ten as one: 1e-3, not 0.001."""
    exponent = math.log10(value)
    return f"1e{round(exponent)}" if abs(exponent - round(exponent)) < 1e-9 and value != 1 else short(value)


def arm_style(arm: str) -> tuple[str, str, str]:
    """Return an arm's colour, name and line style."""
    return (JAX, "JAX", "-") if arm == "jax" else (TORCH, "PyTorch", "--")


def floats(values: Any) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)  # reads "nan" and "inf" too, as parity.json spells them


def picture(draw: Draw, wide: tuple[int, int], narrow: tuple[int, int], half: bool = False, **words: str) -> Picture:
    """Draw a figure in both widths, given in pixels."""
    return Picture(wide=_svg(draw, wide, False), narrow=_svg(draw, narrow, True), half=half, **words)


def _svg(draw: Draw, size: tuple[int, int], narrow: bool) -> str:
    with rc_context(STYLE):
        figure = Figure(figsize=(size[0] * PIXEL, size[1] * PIXEL), layout="constrained")
        draw(figure, narrow)
        file = io.StringIO()
        figure.savefig(file, format="svg", dpi=220, transparent=True, metadata={"Date": None})
    svg = file.getvalue().replace("'DejaVu Sans'", FONTS)
    return base64.b64encode(svg.encode()).decode()
