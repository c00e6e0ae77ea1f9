"""Records to pictures. Nothing is computed here but positions on paper."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jax_impl.train import EpochRecord


def curve(records: Sequence[EpochRecord], title: str) -> bytes:
    """Return a PNG of the cost (log scale) and the test accuracy by epoch."""
    epochs = [record.epoch for record in records]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    figure.suptitle(title)
    cost, accuracy = figure.subplots(1, 2)
    cost.plot(epochs, [record.cost for record in records], "o-", color="tab:blue", markersize=4)
    cost.set(xlabel="epoch", ylabel="training cost (cross-entropy, nats)", yscale="log")
    accuracy.plot(epochs, [record.test_accuracy for record in records], "o-", color="tab:orange", markersize=4)
    accuracy.set(xlabel="epoch", ylabel="test accuracy (10,000 images)")
    accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))
    for axes in (cost, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(visible=True, which="both", alpha=0.3)
    if records:
        last = records[-1]
        cost.set_title(f"cost {last.cost:.4f} after epoch {last.epoch}", fontsize="medium")
        accuracy.set_title(f"accuracy {last.test_accuracy:.2%} after epoch {last.epoch}", fontsize="medium")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    return png.getvalue()
