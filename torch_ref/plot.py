"""The picture of a run: curve.png."""

import io
import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from torch_ref.train import EpochRecord


def curve(records: Sequence[EpochRecord], title: str) -> bytes:
    """Return a PNG of the cost and of the test accuracy by epoch. A cost that falls far gets a logarithmic axis."""
    epochs = [record.epoch for record in records]
    costs = [record.cost for record in records]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    figure.suptitle("\n".join(textwrap.wrap(title, 96)))  # characters that fit
    cost, accuracy = figure.subplots(1, 2)
    cost.plot(epochs, costs, "o-", color="tab:blue", markersize=4)
    cost.set(xlabel="epoch", ylabel="training cost (cross-entropy, nats)")
    if max(costs) > 3 * min(costs) > 0:
        cost.set_yscale("log")
        cost.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        cost.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        cost.yaxis.set_minor_formatter(NullFormatter())
    accuracy.plot(epochs, [record.test_accuracy for record in records], "o-", color="tab:orange", markersize=4)
    accuracy.set(xlabel="epoch", ylabel="test accuracy (10,000 images)")
    accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))
    for axes in (cost, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(visible=True, alpha=0.3)
    last = records[-1]
    cost.set_title(f"cost {last.cost:.4f} after epoch {last.epoch}", fontsize="medium")
    accuracy.set_title(f"accuracy {last.test_accuracy:.2%} after epoch {last.epoch}", fontsize="medium")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    return png.getvalue()
