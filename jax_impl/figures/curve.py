"""The figure of a training run, `curve.png`: cost and test accuracy by epoch."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from jax_impl.figures.titles import wrapped


def curve(costs: Sequence[float], accuracies: Sequence[float], title: str) -> bytes:
    """Return a PNG of cost (nats) and test accuracy (0 to 1) by epoch.

    The axis of a cost that falls to a third is logarithmic.
    """
    epochs = range(1, len(costs) + 1)
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    figure.suptitle(wrapped(title, figure.get_figwidth()))
    cost, accuracy = figure.subplots(1, 2)
    cost.plot(epochs, costs, "o-", color="tab:blue", markersize=4)
    cost.set(xlabel="epoch", ylabel="training cost (cross-entropy, nats)")
    if max(costs) > 3 * min(costs) > 0:
        cost.set_yscale("log")
        cost.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        cost.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        cost.yaxis.set_minor_formatter(NullFormatter())
    accuracy.plot(epochs, accuracies, "o-", color="tab:orange", markersize=4)
    accuracy.set(xlabel="epoch", ylabel="test accuracy (10,000 images)")
    accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))
    for axes in (cost, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(visible=True, alpha=0.3)
    cost.set_title(f"cost {costs[-1]:.4f} after epoch {len(costs)}", fontsize="medium")
    accuracy.set_title(f"accuracy {accuracies[-1]:.2%} after epoch {len(costs)}", fontsize="medium")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    return png.getvalue()
