"""The draws of a network for every initialiser, gain and seed, and what is measured before the first step."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jax_impl.data import Mnist
from jax_impl.draws import native
from jax_impl.explore.settings import GAINS, INITS, SEEDS, Network, Start, recipe, starts
from jax_impl.explore.training import PROBED, Drawn
from jax_impl.model import Params, from_linears, linears, scale
from jax_impl.starts.from_images import start_from_images
from jax_impl.study import propagation
from jax_impl.study.meanfield import predict
from jax_impl.study.propagation import effective_rank
from jax_impl.trainer.trees import stacked

SHOWN = 5  # layers whose histograms are kept, evenly from the first to the last hidden one
SMALLEST = 1e-7  # root of float64's rounding error, times ten
BINS = 25  # from -reach to reach
ByLayer = Float[np.ndarray, " layers"]
OfHistograms = Float[np.ndarray, "shown bins"]
OfShown = Float[np.ndarray, " shown"]


class Before(NamedTuple):
    """Measurements of one start before the first step, by layer. The last layer is the output.

    Variances are geometric means over the seeds; loss and shares are arithmetic means. Theory, rank, singular values
    and histograms are those of the first seed. A histogram is the share of the values in each of 25 bins from -reach
    to reach, the largest absolute value.
    """

    loss: Float[np.ndarray, ""]  # mean cross-entropy of 250 test images, in nats
    variance: ByLayer  # of the activations, over units and images
    variance_theory: ByLayer  # as mean-field theory predicts it
    gradient: ByLayer  # variance of each image's gradient with respect to the pre-activations
    gradient_theory: ByLayer
    flat: ByLayer  # share of the units that are off or saturated for every image
    saturated: ByLayer  # share of the pairs of a unit and an image
    rank: ByLayer  # effective rank of the activations
    singular: Float[np.ndarray, "layers 3"]  # smallest, mean and largest singular value of one image's Jacobian
    pre: OfHistograms  # of the pre-activations
    pre_reach: OfShown
    weights: OfHistograms
    weights_reach: OfShown
    gradients: OfHistograms  # with respect to the pre-activations
    gradients_reach: OfShown


def draw(network: Network, mnist: Mnist) -> dict[Start, list[Drawn]]:
    """Return each start's draws, one per seed. Starts that differ in the gain have the same draws, times the gain."""
    found: dict[Start, list[Drawn]] = {start: [] for start in starts()}
    for init in INITS:
        for seed in SEEDS:
            settings = recipe(network, init, seed=seed)
            drawn = start_from_images(mnist.train_images, settings, native(settings, len(mnist.train_images)))
            params, order = jax.device_get(drawn.params), next(drawn.orders)
            for gain in GAINS:
                if (start := Start(init, gain)) in found:
                    found[start].append(Drawn(_scaled(params, gain), order))
    return found


def measure(network: Network, seeds: Sequence[Drawn], mnist: Mnist) -> Before:
    """Measure one start, given as the draws of its seeds."""
    images, labels = jnp.asarray(mnist.test_images[:PROBED]), jnp.asarray(mnist.test_labels[:PROBED])
    params = stacked([drawn.params for drawn in seeds])
    inputs = scale(images, jnp.float32)
    passes = propagation.passes(params, inputs, labels, network.activation)
    layers = [propagation.Layer(*arrays) for arrays in jax.device_get(passes)]
    losses = optax.softmax_cross_entropy_with_integer_labels(layers[-1].z, labels[None])
    theory = predict(network.activation, seeds[0].params, np.asarray(inputs), layers[-1].gradient[0])
    jacobians = [
        singular_values(np.asarray(linear["kernel"]) * layer.slopes[0, 0])
        for linear, layer in zip(linears(seeds[0].params), layers, strict=True)
    ]
    shown = propagation.shown_layers(network.depth, SHOWN)
    values = {
        "pre": [layers[index].z[0] for index in shown],
        "weights": [linears(seeds[0].params)[index]["kernel"] for index in shown],
        "gradients": [layers[index].gradient[0] for index in shown],
    }
    return Before(
        loss=np.asarray(losses.mean(), np.float64),
        variance=geometric_mean([variances(layer.activations) for layer in layers]),
        variance_theory=theory.variance,
        gradient=geometric_mean([variances(layer.gradient) for layer in layers]),
        gradient_theory=theory.gradient_variance,
        flat=np.array([layer.flat.all(axis=1).mean() for layer in layers]),
        saturated=np.array([layer.flat.mean() for layer in layers]),
        rank=np.array([effective_rank(singular_values(layer.activations[0])[None])[0] for layer in layers]),
        singular=np.stack([np.array([of.min(), of.mean(), of.max()]) for of in jacobians]),
        **{name: part for kind, of in values.items() for name, part in _histograms(kind, of).items()},
    )


@np.errstate(over="ignore", invalid="ignore")  # a signal may explode
def variances(values: Float[np.ndarray, "seeds n units"]) -> Float[np.ndarray, " seeds"]:
    """Return each seed's variance over images and units."""
    return np.asarray(values.var(axis=(1, 2), dtype=np.float64))


@np.errstate(over="ignore", invalid="ignore")
def singular_values(matrix: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " n"]:
    """Return the singular values, one per row or column, whichever are fewer; NaN if one is not finite.

    They are roots of the eigenvalues of the smaller Gram matrix, ten times as fast as LAPACK's decomposition. Values
    below 1e-7 of the largest are rounding errors of the squares, and returned as 0.
    """
    tall = np.asarray(matrix, np.float64)
    tall = tall if len(tall) >= tall.shape[1] else tall.T
    gram = tall.T @ tall
    if not np.isfinite(gram).all():
        return np.full(len(gram), np.nan)
    values = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    return np.asarray(np.where(values > SMALLEST * values.max(), values, 0))


def geometric_mean(by_layer: Sequence[Float[np.ndarray, " seeds"]]) -> ByLayer:
    """Return the geometric mean over the seeds: 0 if a seed has 0, NaN if one has NaN."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.log(np.stack(by_layer)).mean(axis=1)))


def histogram(values: Float[np.ndarray, "..."]) -> tuple[Float[np.ndarray, " bins"], float]:
    """Return the share of values in each of 25 bins from -reach to reach, and reach, the largest absolute value.

    If all values are 0, so is reach, and all are in the middle bin. If one is not finite, all numbers are NaN.
    """
    if not np.isfinite(values).all():
        return np.full(BINS, np.nan), np.nan
    reach = float(np.abs(values).max())
    counts, _ = np.histogram(values, BINS, (-reach, reach) if reach else (-1, 1))
    return counts / values.size, reach


def _histograms(kind: str, of_layers: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    shares, reaches = zip(*map(histogram, of_layers), strict=True)
    return {kind: np.stack(shares), f"{kind}_reach": np.array(reaches)}


def _scaled(params: Params, gain: float) -> Params:
    """Return parameters whose kernels are multiplied by the gain."""
    return from_linears({"kernel": layer["kernel"] * gain, "bias": layer["bias"]} for layer in linears(params))
