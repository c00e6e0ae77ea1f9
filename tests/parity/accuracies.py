"""The figure of the accuracies over seeds, and its tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from jax_impl.figures.canvas import BAD, GOOD, INK, MUTED, Picture, floats
from jax_impl.figures.tables import Table, cells
from tests.parity.canvas import arm_style
from tests.parity.values import rows_of


def accuracies(data: dict[str, Any]) -> Picture | None:
    """Rung 13: the mean accuracy of every run's last epochs, and the interval of the difference against the margin."""
    arms = {arm: floats(data[arm]["accuracy"]) for arm in ("torch", "jax") if (data.get(arm) or {}).get("accuracy")}
    if not arms:
        return None
    count = max(1, int(data.get("last_epochs") or 1))
    runs = {arm: 100 * accuracy[:, -count:].mean(1) for arm, accuracy in arms.items()}
    interval = 100 * floats(data["interval"]) if data.get("interval") else None
    margin = 100 * float(data["margin"]) if data.get("margin") else None
    difference = None if data.get("difference") is None else 100 * float(data["difference"])

    def draw(figure: Figure, _: bool) -> None:
        points, gap = figure.subplots(1, 2, width_ratios=(5, 4)) if margin else (figure.subplots(), None)
        for place, (arm, values) in enumerate(runs.items()):
            color, marker = arm_style(arm)[0], "s" if arm == "torch" else "o"
            points.plot(_spread(place, values), values, marker, color=color, mec="white", mew=0.5, ms=6, alpha=0.9)
            points.hlines(values.mean(), place - 0.33, place + 0.33, color=color, lw=1.6)
        every = np.concatenate([[], *(values[np.isfinite(values)] for values in runs.values())])
        every = every if every.size else np.zeros(1)
        half = max(1.15 * np.ptp(every) / 2, 1.5 * (margin or 0), 0.01)
        if interval is not None:
            half = max(half, 1.15 * np.abs(interval[np.isfinite(interval)]).max(initial=0))
        middle = (every.max() + every.min()) / 2
        points.set(xlim=(-0.6, len(runs) - 0.4), ylim=(middle - half, middle + half), title="each run")
        points.set_xticks(range(len(runs)), [arm_style(arm)[1] for arm in runs])
        points.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.{1 if half > 0.15 else 2}f} %"))
        points.grid(visible=False, axis="x")
        if gap is not None:
            _gap(gap, half, margin, interval, difference)

    def read(figure: Figure) -> list[Table]:
        named = {arm_style(arm)[1]: values for arm, values in runs.items()}
        found = [_of_runs(figure.axes[0], named, [_spread(*pair) for pair in enumerate(runs.values())])]
        return found + ([_of_gap(figure.axes[1], margin, interval, difference)] if margin else [])

    words = ", ".join(f"{arm_style(arm)[1]} {values.mean():.3f} %" for arm, values in runs.items())
    if interval is not None and margin:
        words += f"; 90 % interval {interval[0]:+.3f} to {interval[1]:+.3f} points, margin ±{margin:g}"
    return Picture(
        draw,
        (510, 400),
        (350, 330),
        key="accuracies",
        title="Accuracy of all seeds",
        caption=f"Means of the last {count} epochs: the interval of the difference must lie inside the margin (same "
        "scale).",
        alt=f"Mean test accuracy: {words}.",
        tables=read,
        half=True,
    )


def _spread(place: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the runs of an arm are drawn, side by side."""
    return place + (np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else np.zeros(1))


def _gap(
    axes: Axes, half: float, margin: float, interval: NDArray[np.float64] | None, difference: float | None
) -> None:
    """Draw the difference of the means and its interval between the two margins."""
    axes.axhspan(-margin, margin, color=GOOD, alpha=0.10, lw=0)
    axes.axhline(0, color=MUTED, lw=0.6)
    for edge, side in ((margin, "bottom"), (-margin, "top")):
        axes.axhline(edge, color=GOOD, lw=1.2, ls=(0, (4, 2)))
        axes.text(0.97, edge, f"{edge:+.2g}", va=side, ha="right", color=GOOD, transform=axes.get_yaxis_transform())
    if interval is not None and difference is not None and np.isfinite(interval).all():
        inside = bool(np.abs(interval).max() <= margin)
        color = INK if inside else BAD
        axes.plot([0, 0], interval, "-", color=color, lw=2.4, marker="_", ms=12, mew=2)
        axes.plot([0], [difference], "o", color=color, ms=7)
        axes.text(0.12, difference, f"{difference:+.3f}", va="center", color=color, weight="bold", clip_on=True)
    axes.set(xlim=(-1, 1), ylim=(-half, half), title="JAX − PyTorch")
    axes.set_xticks([0], ["90 % interval,\n% points"])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:+.2g}" if y else "0"))
    axes.grid(visible=False)


def _of_runs(axes: Axes, runs: Mapping[str, NDArray[np.float64]], places: Sequence[NDArray[np.float64]]) -> Table:
    """Return the accuracy of each run in percent, and the means; `places` are where the runs of each arm were drawn."""
    columns = [
        [
            *cells(axes, [arm], [values.mean()], [f"{values.mean():.3f}"]),
            *cells(axes, place, values, [f"{value:.3f}" for value in values]),
        ]
        for arm, (place, values) in enumerate(zip(places, runs.values(), strict=True))
    ]
    names = ["mean", *map(str, range(1, max(map(len, columns))))]
    return Table("test accuracy (%)", ["run", *runs], rows_of(names, columns))


def _of_gap(axes: Axes, margin: float, interval: NDArray[np.float64] | None, difference: float | None) -> Table:
    """Return the difference of the means, its interval and the margin."""
    found = {} if interval is None else {"interval, from": interval[0], "interval, to": interval[1]}
    means = {} if difference is None else {"difference": difference}
    values = means | found | {"margin, from": -margin, "margin, to": margin}
    heights = list(values.values())
    column = cells(
        axes, np.zeros(len(values)), heights, ["–" if np.isnan(value) else f"{value:+.3f}" for value in heights]
    )
    return Table(
        "JAX − PyTorch (percentage points)",
        ["", "value"],
        rows_of(values, [column]),
    )
