"""The figures of the ladder's report. Only medians and ranges over seeds are computed here."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from jax_impl.figures.axes import log_axis
from jax_impl.figures.canvas import BAD, INK, MUTED, Picture, floats, short
from tests.parity import values as tables
from tests.parity.accuracies import accuracies
from tests.parity.canvas import DTYPES, JAX, TORCH, arm_style, power


def pictures(rungs: Sequence[dict[str, Any]]) -> list[Picture]:
    """Draw the rungs' data. A figure without numbers is left out."""
    data = {rung["number"]: rung.get("data") or {} for rung in rungs}
    drawn = (
        divergence(data.get(12, {})),
        losses(data.get(13, {})),
        accuracies(data.get(13, {})),
        histograms(data.get(7, {})),
        speed(data.get(15, {})),
    )
    return [picture for picture in drawn if picture]


def divergence(data: dict[str, Any]) -> Picture | None:
    """Rung 12: the difference of the two losses, step by step."""
    curves = {dtype: floats(data[dtype]) for dtype in DTYPES if data.get(dtype)}
    if not curves:
        return None
    every = np.concatenate(list(curves.values()))
    positive = every[np.isfinite(every) & (every > 0)]
    top = min(1e9, 10 ** np.ceil(np.log10(positive.max(initial=1e-2)) + 0.5))
    last = max(map(len, curves.values()))

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for dtype, curve in curves.items():
            off = ~(curve <= top)  # NaN too
            shown = np.where(off, np.nan, curve)
            dots = {"color": DTYPES[dtype], "mew": 0, "label": dtype, "rasterized": True}
            axes.plot(shown, "o", ms=1.4 if len(curve) > 1000 else 3.2, alpha=0.55, **dots)
            if off.any():
                axes.plot(
                    np.flatnonzero(off), [top] * off.sum(), "x", color=BAD, label=f"{dtype}, off the scale or NaN"
                )
        for limit in data.get("tolerances") or []:
            _limit(axes, limit, last, narrow)
        log_axis(axes)
        axes.set(xlim=(-0.01 * last, 1.01 * last), xlabel="training step", ylabel="|loss JAX − loss PyTorch|")
        axes.xaxis.set_major_locator(MaxNLocator(4 if narrow else 9, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        figure.legend(
            loc="outside upper left",
            ncols=2 if narrow else 4,
            handletextpad=0.2,
            columnspacing=1.2,
            borderpad=0,
            markerscale=4 if last > 1000 else 2,
        )

    worst = ", ".join(f"{dtype} up to {short(float(curve.max()))}" for dtype, curve in curves.items())
    return Picture(
        draw,
        (1070, 430),
        (350, 400),
        key="divergence",
        title="One training, step by step",
        caption="Same weights, same batches: float64 must stay under its bars, as only the same algorithm does; "
        "float32 parts early by rounding alone. The band at the bottom is for differences of exactly 0.",
        alt=f"Difference of the two losses over {last:,} training steps on a logarithmic scale: {worst}.",
        tables=lambda figure: [tables.of_steps(figure.axes[0], curves, top)],
    )


def _limit(axes: Axes, limit: dict[str, Any], last: int, narrow: bool) -> None:
    """Draw a tolerance over its steps, with its value beside a short line or above a long one."""
    start, end, height, color = limit["from"], limit["to"], float(limit["tolerance"]), DTYPES[limit["dtype"]]
    axes.plot([start, end], [height, height], "|-", color=color, lw=2.2, ms=7, mew=1.6, solid_capstyle="butt")
    label = f"{limit['dtype']}: {power(height)}" if narrow else f"{limit['dtype']}: at most {power(height)}"
    long = end - start > 0.05 * last
    box = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1.5}
    words = {"color": color, "weight": "bold", "bbox": box, "textcoords": "offset points"}
    axes.annotate(label, (start if long else end, height), (3, 5) if long else (6, -3), **words)


def losses(data: dict[str, Any]) -> Picture | None:
    """Rung 13: the cost of every epoch, both frameworks on top of each other."""
    costs = {arm: floats(data[arm]["cost"]) for arm in ("torch", "jax") if (data.get(arm) or {}).get("cost")}
    if not costs:
        return None
    notebook = floats(data.get("notebook") or []).reshape(-1, 2)

    def draw(figure: Figure, _: bool) -> None:
        axes = figure.subplots()
        for arm, cost in costs.items():
            color, title, line = arm_style(arm)
            epochs = np.arange(1, cost.shape[1] + 1)
            axes.fill_between(epochs, cost.min(0), cost.max(0), color=color, alpha=0.16, lw=0)
            axes.plot(epochs, np.median(cost, 0), line, color=color, lw=1.6, label=f"{title}, {len(cost)} seeds")
        if len(notebook):
            style = {"mfc": "white", "mec": INK, "mew": 1.0, "ms": 4.5, "zorder": 5}
            axes.plot(notebook[:, 0], notebook[:, 1], "D", label="printed in the notebook", **style)
        log_axis(axes)
        axes.set(xlabel="epoch", ylabel="training cost (nats)")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.legend(loc="best")

    ends = ", ".join(f"{arm_style(arm)[1]} {short(float(np.median(cost[:, -1])), 3)}" for arm, cost in costs.items())
    return Picture(
        draw,
        (510, 400),
        (350, 330),
        key="losses",
        title="Loss of all seeds",
        caption="Median and range over the seeds: the bands must overlap; the notebook's own points are one more seed.",
        alt=f"Training cost by epoch on a logarithmic scale. Median after the last epoch: {ends}.",
        half=True,
    )


def histograms(data: dict[str, Any]) -> Picture | None:
    """Rung 7: the distribution of every initialiser, torch filled and JAX as a line."""
    panels = [panel for panel in data.get("histograms") or [] if len(panel["edges"]) > 1]
    if not panels:
        return None

    def draw(figure: Figure, narrow: bool) -> None:
        columns = 2 if narrow else min(5, len(panels))
        grid = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            edges, torch, jax = (np.nan_to_num(floats(panel[side])) for side in ("edges", "torch", "jax"))
            axes.stairs(torch, edges, fill=True, color=TORCH, alpha=0.38, lw=0, label="PyTorch")
            axes.stairs(jax, edges, baseline=None, color=JAX, lw=1.3, label="JAX")
            axes.set_title(panel["init"], color=INK, pad=3)
            axes.set(ylim=(0, 1.12 * max(torch.max(), jax.max(), 1e-12)), yticks=[])
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}".replace("-", "−")))
            axes.tick_params(labelsize=7.5, pad=1)
            axes.spines["left"].set_visible(False)
            axes.grid(visible=False)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2, columnspacing=1.2, borderpad=0)

    return Picture(
        draw,
        (1070, 50 + 125 * -(-len(panels) // 5)),
        (350, 50 + 115 * -(-len(panels) // 2)),
        key="histograms",
        title="Initial weights",
        caption="Each blue line must trace the edge of the orange area: same bounds, same shape, same tails.",
        alt=f"Histograms of the initial weights, PyTorch over JAX: {', '.join(panel['init'] for panel in panels)}.",
        tables=lambda figure: [tables.of_histogram(*pair) for pair in zip(figure.axes, panels, strict=False)],
    )


def speed(data: dict[str, Any]) -> Picture | None:
    """Rung 15: seconds per round, fastest first."""
    rounds = {str(title): floats(seconds) for title, seconds in (data.get("seconds") or {}).items() if seconds}
    if not rounds:
        return None
    order = sorted(rounds, key=lambda title: median(rounds[title]))

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        longest = max(values.max() for values in rounds.values())
        for row, title in enumerate(order):
            values, middle = rounds[title], median(rounds[title])
            color = JAX if "jax" in title.lower() else TORCH if "torch" in title.lower() else MUTED
            axes.barh(row, middle, height=0.42, color=color, alpha=0.8)
            axes.plot([values.min(), values.max()], [row, row], color=INK, lw=1)
            axes.plot(values, [row] * len(values), "o", color="white", mec=INK, mew=0.8, ms=3.6)
            end = {"xytext": (7, 0), "textcoords": "offset points", "va": "center", "weight": "bold"}
            axes.annotate(f"{short(middle, 3)} s", (values.max(), row), **end)
            axes.annotate(title, (0, row - 0.26), (1, 2), textcoords="offset points", va="bottom")
        axes.set(xlim=(0, longest * (1.22 if narrow else 1.1)), ylim=(len(order) - 0.5, -0.75), yticks=[])
        axes.set_xlabel("seconds per round")
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")

    words = ", ".join(f"{title} {short(median(rounds[title]), 3)} s" for title in order)
    return Picture(
        draw,
        (1070, 60 + 58 * len(order)),
        (350, 60 + 58 * len(order)),
        key="speed",
        title="Speed",
        caption="Bars are medians, dots the single rounds, which alternated on one machine: shorter is faster.",
        alt=f"Median seconds per round: {words}.",
        tables=lambda figure: [tables.of_rounds(figure.axes[0], {title: rounds[title] for title in order})],
    )
