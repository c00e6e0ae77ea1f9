"""Pictures of RBMs and of stacks of them: what the units look for, recreate and imagine, and how training went."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jax_impl.figures.axes import COLORS
from jax_impl.figures.canvas import MUTED, STYLE
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.training import RbmRecord

SIDE = 28  # pixels of an image's edge
GRID = 10  # filters in a row and in a column
Images = Float[np.ndarray, "n pixels"]
MONITORS = {
    "pseudo_log_likelihood": "pseudo-log-likelihood (nats an image)",
    "reconstruction_error": "reconstruction error (nats an image),\nwhich is not what is trained",
    "free_energy_gap": "free energy, held-out minus training (nats)",
}


def filters(stack: Sequence[Rbm]) -> bytes:
    """Return a PNG of the first hundred hidden units of each machine as images.

    A unit of an upper machine is the weighted sum of the images of the units below it.
    """
    views = [_projected(stack[: number + 1]) for number in range(len(stack))]

    def draw(figure: Figure) -> None:
        for number, (axes, view) in enumerate(zip(np.atleast_1d(figure.subplots(1, len(stack))), views, strict=True)):
            limit = np.quantile(np.abs(view), 0.998)
            picture = axes.imshow(_mosaic(view, GRID), cmap="RdBu_r", vmin=-limit, vmax=limit)
            below = "weights from the pixels" if number == 0 else "weights, through the layers below"
            axes.set_title(f"RBM {number + 1}: {len(view)} of {stack[number].weight.shape[1]} hidden units, {below}")
            axes.axis("off")
            figure.colorbar(picture, ax=axes, shrink=0.6, pad=0.02)

    return _png(draw, (6.4 * len(stack), 6.0))


def reconstructions(actual: Images, recreated: Images) -> bytes:
    """Return a PNG of images above what one pass up and down makes of them."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.imshow(_mosaic(np.concatenate([actual, recreated]), len(actual)), cmap="gray_r", vmin=0, vmax=1)
        _bare(axes)
        axes.set_yticks([SIDE / 2 + 1, 1.5 * SIDE + 2], ["actual", "recreation"])
        axes.set_title("Test images, and the probabilities of their pixels after one pass up and down")

    return _png(draw, (1.0 * len(actual), 2.6))


def samples(moments: Sequence[int], chains: Float[np.ndarray, "moments chains pixels"]) -> bytes:
    """Return a PNG of Gibbs chains: one a row, from left to right the number of rounds; 0 is where it started."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.imshow(_mosaic(chains.swapaxes(0, 1).reshape(-1, SIDE**2), len(moments)), cmap="gray_r", vmin=0, vmax=1)
        places = [(SIDE + 1) * number + SIDE / 2 + 1 for number in range(len(moments))]
        _bare(axes)
        axes.set_xticks(places, [_moment(rounds) for rounds in moments])
        axes.xaxis.tick_top()
        axes.set_title("Gibbs chains, one a row: probabilities of the pixels")

    return _png(draw, (1.0 * len(moments) + 0.6, 1.0 * chains.shape[1] + 0.8))


def curves(records: Sequence[RbmRecord]) -> bytes:
    """Return a PNG of the monitors by epoch, a line a machine."""

    def draw(figure: Figure) -> None:
        layers = sorted({record.layer for record in records})
        for axes, (name, label) in zip(figure.subplots(1, len(MONITORS)), MONITORS.items(), strict=True):
            for layer, color in zip(layers, (COLORS * len(layers))[: len(layers)], strict=True):
                here = [record for record in records if record.layer == layer]
                values = [getattr(record, name) for record in here]
                axes.plot(
                    [record.epoch for record in here], values, "o-", ms=3.5, color=color, lw=1.3, label=f"RBM {layer}"
                )
            axes.set(xlabel="epoch", ylabel=label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            if name == "free_energy_gap":
                axes.axhline(0, color=MUTED, lw=0.8)
        if len(layers) > 1:
            axes.legend()

    return _png(draw, (11.0, 3.4))


def _projected(stack: Sequence[Rbm]) -> Images:
    """Return what the first hundred top units look for, as images of their own length 1 for an upper machine."""
    weights = np.asarray(stack[-1].weight)[:, : GRID**2]
    for rbm in reversed(stack[:-1]):
        weights = np.asarray(rbm.weight) @ weights
    if len(stack) > 1:
        weights = weights / np.linalg.norm(weights, axis=0)
    return np.ascontiguousarray(weights.T)


def _mosaic(images: Images, columns: int) -> Float[np.ndarray, "height width"]:
    """Return images side by side, row after row, with a line of nothing about each."""
    rows = -(-len(images) // columns)
    canvas = np.full((rows * (SIDE + 1) + 1, columns * (SIDE + 1) + 1), np.nan, images.dtype)
    for place, image in enumerate(images):
        top, left = (1 + (SIDE + 1) * part for part in divmod(place, columns))
        canvas[top : top + SIDE, left : left + SIDE] = image.reshape(SIDE, SIDE)
    return canvas


def _moment(rounds: int) -> str:
    if rounds == 0:
        return "a test image"
    return f"{rounds:,} round{'' if rounds == 1 else 's'}"


def _bare(axes: Axes) -> None:
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])


def _png(draw: Callable[[Figure], None], size: tuple[float, float]) -> bytes:
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=130)
    return file.getvalue()
