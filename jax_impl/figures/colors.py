"""The colours of all reports: one look per initialiser, and what each colour becomes on a dark page.

The colours of initialisers can be told apart with the common kinds of colour blindness, and have a contrast of at least
3 to the page, light or dark. Related initialisers share a colour; then their dashes and markers differ.
"""

from typing import Any, NamedTuple

Dash = str | tuple[int, tuple[float, ...]]

INK, MUTED, GOOD, BAD = "#23272e", "#5f656d", "#2c7a4b", "#b3261e"
WHITE, EDGE, GRID_LINE, BAND = "#ffffff", "#b9bdc4", "#e6e8eb", "#f2f0eb"

GREY, BROWN, PINK, PURPLE, BLUE = "#5a5a5a", "#582902", "#f73992", "#a736c7", "#4491fa"
GREEN, TEAL, OLIVE, INDIGO = "#086101", "#1c9293", "#909533", "#352872"
# For what is no initialiser, such as the layers of one network: from pale to dark.
SHADES = ("#8b929c", "#6f7680", "#545a63", "#3b4149", INK)

# What a figure's colour becomes on a dark page. Colours that are not here suit both.
DARK = {
    INK: "#e6e7e9", MUTED: "#a2a8b0", GOOD: "#7fd0a0", BAD: "#ff9d94",
    WHITE: "#1c2025", EDGE: "#555c66", GRID_LINE: "#30353c", BAND: "#262c33",
    GREY: "#c4c4c4", BROWN: "#d59267", PINK: "#ce5787", PURPLE: "#e69afe", BLUE: "#809bc2",
    GREEN: "#6edc64", TEAL: "#89fefe", OLIVE: "#e9f192", INDIGO: "#8671fa",
    "#2166ac": "#6ea8e0", "#c8540a": "#f2955a", "#8a4fa3": "#c79ade", "#0f766e": "#4fbdb2",  # of the parity ladder
    "#8b929c": "#737a84", "#6f7680": "#8d949d", "#545a63": "#a9afb7", "#3b4149": "#c6cacf",
}  # fmt: skip

SOLID, DASHED, DOTTED, MIXED = "-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 1.6, 1.2, 1.6))
DASHES: tuple[Dash, ...] = (SOLID, DASHED, DOTTED, MIXED)
MARKERS = "os^DvPX*<>"


class Look(NamedTuple):
    """How an initialiser is drawn."""

    color: str
    dash: Dash
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """The keywords of its line."""
        return {"color": self.color, "ls": self.dash}

    def points(self, size: float) -> dict[str, Any]:
        """Return the keywords of its markers, without those of its line."""
        size = 1.5 * size if self.marker in "*P" else size  # these cover less than the others
        return {"color": self.color, "marker": self.marker, "ms": size, "mec": WHITE, "mew": 0.4}


INITIALISERS = {
    "zeros": Look(GREY, SOLID, "o"),
    "eye": Look(GREY, DASHED, "s"),
    "constant": Look(INDIGO, SOLID, "s"),
    "ones": Look(INDIGO, DASHED, "^"),
    "small_normal": Look(BROWN, SOLID, "s"),
    "sparse": Look(BROWN, DASHED, "D"),
    "normal": Look(PINK, SOLID, "X"),
    "uniform": Look(PINK, DASHED, "o"),
    "trunc_normal": Look(PINK, DOTTED, "v"),
    "linear_default": Look(PURPLE, SOLID, "v"),
    "lecun_normal": Look(PURPLE, DASHED, "^"),
    "lecun_uniform": Look(PURPLE, DOTTED, "D"),
    "xavier_normal": Look(BLUE, SOLID, "D"),
    "xavier_uniform": Look(BLUE, DASHED, "s"),
    "glorot_normal": Look(BLUE, DOTTED, "o"),
    "glorot_uniform": Look(BLUE, MIXED, "^"),
    "kaiming_normal": Look(GREEN, SOLID, "^"),
    "kaiming_uniform": Look(GREEN, DASHED, "v"),
    "he_normal": Look(GREEN, DOTTED, "s"),
    "he_uniform": Look(GREEN, MIXED, "o"),
    "orthogonal": Look(TEAL, SOLID, "P"),
    "lsuv": Look(OLIVE, SOLID, "*"),
    "dbn": Look(OLIVE, DASHED, "o"),
}


def looks_of(inits: dict[str, str]) -> dict[str, Look]:
    """Return a look for each name, given the initialiser of each. Names with the same initialiser share its colour."""
    looks: dict[str, Look] = {}
    for name, init in inits.items():
        color, dash, marker = INITIALISERS[init]
        free = [Look(color, dash, marker), *(Look(color, d, m) for m in MARKERS for d in DASHES)]
        looks[name] = next((look for look in free if look not in looks.values()), free[0])
    return looks
