"""Figures of RBMs and DBNs: filters, reconstructions, samples, and monitors of training.

Each takes a `title` that says what was trained.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jax_impl.figures.axes import integer_ticks
from jax_impl.figures.canvas import MUTED, render
from jax_impl.figures.colors import DASHES, MARKERS, SHADES
from jax_impl.figures.titles import wrapped
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.training import RbmRecord

SIDE = 28  # width and height of an image, in pixels
CELL = SIDE + 1  # with the line between two images
GRID = 10  # filters per row and per column
PNG: dict[str, Any] = {"format": "png", "dpi": 130}
Images = Float[np.ndarray, "n pixels"]
MONITORS = {
    "pseudo_log_likelihood": "pseudo-log-likelihood (nats per image)",
    "reconstruction_error": "reconstruction error (nats per image),\nnot the training objective",
    "free_energy_gap": "free energy, held-out minus training (nats)",
}


def filters(stack: Sequence[Rbm], title: str) -> bytes:
    """Return a PNG that shows the weights of each machine's first hundred hidden units as images.

    The image of a unit in an upper machine is the weighted sum of the images of the units below it.
    """

    def draw(figure: Figure) -> None:
        figure.suptitle(wrapped(title, figure.get_figwidth()))
        for number, axes in enumerate(np.atleast_1d(figure.subplots(1, len(stack))), start=1):
            view = _weights_as_images(stack[:number])
            limit = np.quantile(np.abs(view), 0.998)
            image = axes.imshow(_mosaic(view, GRID), cmap="RdBu_r", vmin=-limit, vmax=limit)
            kind = "weights from the pixels" if number == 1 else "weights through the layers below"
            units = stack[number - 1].weight.shape[1]
            axes.set_title(f"RBM {number}: {len(view)} of {units} hidden units, {kind}")
            axes.axis("off")
            figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)

    return render(draw, (6.4 * len(stack), 6.4), **PNG)


def reconstructions(actual: Images, recreated: Images, title: str) -> bytes:
    """Return a PNG of images, with their reconstructions below them."""

    def draw(figure: Figure) -> None:
        figure.suptitle(wrapped(title, figure.get_figwidth()))
        axes = _image_axes(figure, _mosaic(np.concatenate([actual, recreated]), len(actual)))
        axes.set_yticks([SIDE / 2 + 1, CELL + SIDE / 2 + 1], ["actual", "recreation"])
        axes.set_title("Test images, and the probabilities of their pixels after one pass up and down")

    return render(draw, (1.0 * len(actual), 3.0), **PNG)


def samples(rounds: Sequence[int], chains: Float[np.ndarray, "moments chains pixels"], title: str) -> bytes:
    """Return a PNG of Gibbs chains, one per row, after these numbers of rounds; 0 is the image where a chain starts."""

    def draw(figure: Figure) -> None:
        figure.suptitle(wrapped(title, figure.get_figwidth()))
        axes = _image_axes(figure, _mosaic(chains.swapaxes(0, 1).reshape(-1, SIDE**2), len(rounds)))
        centres = [CELL * number + SIDE / 2 + 1 for number in range(len(rounds))]
        axes.set_xticks(centres, [_rounds_text(count) for count in rounds])
        axes.xaxis.tick_top()
        axes.set_title("Gibbs chains, one per row: probabilities of the pixels")

    return render(draw, (1.0 * len(rounds) + 0.6, 1.0 * chains.shape[1] + 1.2), **PNG)


def curves(records: Sequence[RbmRecord], title: str) -> bytes:
    """Return a PNG of the monitors by epoch, with one line per machine."""

    def draw(figure: Figure) -> None:
        figure.suptitle(wrapped(title, figure.get_figwidth()))
        layers = sorted({record.layer for record in records})
        for axes, (name, label) in zip(figure.subplots(1, len(MONITORS)), MONITORS.items(), strict=True):
            looks = zip(layers, cycle(reversed(SHADES[::2])), cycle(MARKERS), cycle(DASHES), strict=False)
            for layer, color, marker, dash in looks:
                of_layer = [record for record in records if record.layer == layer]
                epochs, values = [record.epoch for record in of_layer], [getattr(record, name) for record in of_layer]
                style: dict[str, Any] = {"color": color, "marker": marker, "ls": dash, "ms": 3.5, "lw": 1.3}
                axes.plot(epochs, values, label=f"RBM {layer}", **style)
            axes.set(xlabel="epoch", ylabel=label)
            integer_ticks(axes.xaxis, min_n_ticks=1)
            if name == "free_energy_gap":
                axes.axhline(0, color=MUTED, lw=0.8)
        if len(layers) > 1:
            axes.legend()

    return render(draw, (11.0, 3.8), **PNG)


def _weights_as_images(stack: Sequence[Rbm]) -> Images:
    """Return the weights of the first hundred top units as images. Those of an upper machine have norm 1."""
    weights = np.asarray(stack[-1].weight)[:, : GRID**2]
    for rbm in reversed(stack[:-1]):
        weights = np.asarray(rbm.weight) @ weights
    if len(stack) > 1:
        weights = weights / np.linalg.norm(weights, axis=0)
    return np.ascontiguousarray(weights.T)


def _mosaic(images: Images, columns: int) -> Float[np.ndarray, "height width"]:
    """Return the images row by row as one array, with a line of NaN around each."""
    rows = -(-len(images) // columns)
    canvas = np.full((rows * CELL + 1, columns * CELL + 1), np.nan, images.dtype)
    for index, image in enumerate(images):
        top, left = (1 + CELL * part for part in divmod(index, columns))
        canvas[top : top + SIDE, left : left + SIDE] = image.reshape(SIDE, SIDE)
    return canvas


def _image_axes(figure: Figure, pixels: Float[np.ndarray, "height width"]) -> Axes:
    """Draw pixels from 0 to 1 in grey; return the axes, which have neither frame nor ticks."""
    axes = figure.subplots()
    axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])
    return axes


def _rounds_text(rounds: int) -> str:
    if rounds == 0:
        return "a test image"
    return f"{rounds:,} round{'' if rounds == 1 else 's'}"
