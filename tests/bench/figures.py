"""What the benchmarks measured, drawn."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from jax_impl.figures.canvas import BAD, INK, MUTED, Picture, short
from jax_impl.figures.colors import BLUE, GREY

JAX, OTHER = BLUE, GREY
WIDE = 12  # times the fastest, beyond which the slowest needs a logarithmic axis
Epochs = Mapping[str, Mapping[str, Any]]  # by recipe, what `epochs.summary` returns


def epochs(found: Epochs) -> Picture:
    """Draw the seconds of an epoch, a panel a recipe, fastest first; the floor is a line."""
    trained = {recipe: _trained(epoch) for recipe, epoch in found.items()}
    rows = max(map(len, trained.values()))

    def draw(figure: Figure, narrow: bool) -> None:
        panels = figure.subplots(*((len(found), 1) if narrow else (1, len(found))), squeeze=False).ravel()
        for axes, (recipe, contenders) in zip(panels, trained.items(), strict=True):
            _bars(axes, contenders)
            _floor(axes, found[recipe]["floor"])
            _seconds_axis(axes, contenders, found[recipe]["floor"])
            axes.set_title(f"{recipe}, {'-'.join(map(str, found[recipe]['layers']))}", color=INK, loc="left", pad=18)

    words = "; ".join(
        f"{recipe}: " + ", ".join(f"{one['title']} {short(one['median'], 3)} s" for one in contenders.values())
        for recipe, contenders in trained.items()
    )
    return Picture(
        draw,
        (1070, 90 + 44 * rows),
        (350, (90 + 44 * rows) * len(found)),
        key="epochs",
        title="Seconds per epoch",
        caption="Bars are medians, whiskers the range of the rounds, which alternated on one machine. The dashed line "
        "is the floor: the matrix products of an epoch and nothing else.",
        alt=f"Median seconds per epoch. {words}.",
    )


def _trained(epoch: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return those that trained, fastest first."""
    trained = [
        (name, found)
        for name, found in epoch["contenders"].items()
        if "median" in found and not name.startswith("floor")
    ]
    return dict(sorted(trained, key=lambda pair: pair[1]["median"]))


def _bars(axes: Axes, contenders: Mapping[str, Mapping[str, Any]]) -> None:
    for row, (name, found) in enumerate(contenders.items()):
        axes.barh(row, found["median"], height=0.4, color=JAX if name == "jax" else OTHER, alpha=0.8)
        axes.plot([found["min"], found["max"]], [row, row], "|-", color=INK, lw=1, ms=6)
        times = "" if name == "jax" else f"  {short(found['times_jax']['median'], 3)}×"
        end = {"xytext": (7, 0), "textcoords": "offset points", "va": "center", "weight": "bold"}
        axes.annotate(f"{short(found['median'], 3)} s{times}", (found["max"], row), **end)
        box = {"facecolor": "white", "lw": 0, "pad": 0.8}  # over the floor's line
        beside = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "bottom", "bbox": box}
        axes.annotate(found["title"], (0, row - 0.24), (2, 1), **beside)
    axes.set(ylim=(len(contenders) - 0.5, -0.75), yticks=[], xlabel="seconds per epoch")
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")


def _floor(axes: Axes, floor: Mapping[str, Any] | None) -> None:
    if floor is None:
        return
    axes.axvline(floor["median"], color=BAD, lw=1.2, ls="--")
    above = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "bottom", "color": BAD}
    axes.annotate(f"floor {short(floor['median'], 3)} s", (floor["median"], 1), (0, 2), fontsize=7.5, **above)


def _seconds_axis(axes: Axes, contenders: Mapping[str, Mapping[str, Any]], floor: Mapping[str, Any] | None) -> None:
    """Begin at 0 where the differences can be seen so, else be logarithmic."""
    medians = [found["median"] for found in contenders.values()] + ([floor["median"]] if floor else [])
    longest = max(found["max"] for found in contenders.values())
    if longest <= WIDE * min(medians):
        axes.set_xlim(0, 1.3 * longest)
        return
    low = min(medians) / 2
    axes.set(xscale="log", xlim=(low, longest * (longest / low) ** 0.35))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(x)))
    axes.tick_params(axis="x", colors=MUTED)
