"""How activations and gradients propagate through a network: measured layer by layer, and predicted by theory.

The measurements are those of Glorot & Bengio 2010 (activations, back-propagated gradients, and the singular values of
each layer's Jacobian) and He et al. 2015. The output layer counts as a layer with the identity as its activation.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32, UInt8
from scipy.special import entr

from jax_impl.activations import ACTIVATIONS
from jax_impl.model import PRECISION, Params, linears, pre_activations, scale
from jax_impl.study.meanfield import Prediction, predict

BINS = 60  # of a histogram
FLAT = 0.05  # a unit is saturated for an image if its slope is below this share of the activation's steepest slope

ByLayer = Float[np.ndarray, "seeds layers"]
Images = UInt8[Array, "n pixels"]
Labels = Int32[Array, " n"]
OfBatch = Float[np.ndarray, "seeds n fan_out"]


class Histogram(NamedTuple):
    """The number of values in each bin, and the bins' edges. If a value is not finite, counts are 0 and edges NaN."""

    counts: Float[np.ndarray, "*seeds_and_layers bins"]
    edges: Float[np.ndarray, "*seeds_and_layers bins+1"]


class Signal(NamedTuple):
    """The measurements by seed and layer, over all units and images.

    Gradients are those of each image's own loss with respect to the pre-activations.
    """

    pre_mean: ByLayer  # of the pre-activations
    pre_variance: ByLayer
    mean: ByLayer  # of the activations
    variance: ByLayer
    gradient_mean: ByLayer  # of the back-propagated gradients
    gradient_variance: ByLayer
    saturated: ByLayer  # share of the pairs of a unit and an image with a slope of almost 0; a ReLU is then off
    dead: ByLayer  # share of the units that are saturated for every image
    kernel_gradient_norm: ByLayer  # norm of the gradient of the batch's mean loss with respect to the kernel
    rank: Int[np.ndarray, "seeds layers"]  # of the (image, unit) matrix of activations; 0 if it is not finite
    effective_rank: ByLayer  # exp of the entropy of this matrix's normalised singular values (Roy & Vetterli 2007)
    pre_histogram: Histogram  # of the pre-activations
    jacobian: tuple[Float[np.ndarray, "seeds images _"], ...]  # singular values of each layer's ∂activations/∂inputs


class Propagation(NamedTuple):
    """The measurements, and the predictions of mean-field theory for weights of this mean square."""

    measured: Signal
    predicted: Prediction


class Layer(NamedTuple):
    """The arrays of one layer for a batch, from the forward and the backward pass."""

    z: OfBatch
    activations: OfBatch
    slopes: OfBatch  # derivatives of the activation at z
    flat: Bool[np.ndarray, "seeds n fan_out"]  # whether a slope is almost 0
    gradient: OfBatch  # of each image's loss with respect to z


@np.errstate(over="ignore", invalid="ignore")  # a signal may explode
def propagate(
    params: Params, images: Images, labels: Labels, activation: str = "relu", jacobian_images: int = 1
) -> Propagation:
    """Run a batch forward and backward through several networks of one shape, and measure every layer.

    JAX runs the two passes. NumPy measures, because compiling the measurements would take longer than making them.
    Each array of `params` has a first axis of seeds, and so have the returned arrays. The images are the same for all
    networks. Each layer's Jacobian is computed for the first `jacobian_images` of them.
    """
    inputs = scale(images, jax.tree.leaves(params)[0].dtype)
    layers = [Layer(*arrays) for arrays in jax.device_get(passes(params, inputs, labels, activation))]
    params, inputs = jax.device_get((params, inputs))
    n_seeds = len(layers[0].z)
    inputs_by_layer = [np.broadcast_to(inputs, (n_seeds, *inputs.shape)), *(layer.activations for layer in layers[:-1])]
    by_name = jax.tree.map(lambda *by_layer: np.stack(by_layer, axis=1), *map(_measure, layers, inputs_by_layer))
    jacobian = tuple(
        _singular_values(np.asarray(linear["kernel"])[:, None] * layer.slopes[:, :jacobian_images, None, :])
        for linear, layer in zip(linears(params), layers, strict=True)
    )
    predictions = [
        predict(activation, jax.tree.map(lambda leaf, seed=seed: leaf[seed], params), inputs, layers[-1].gradient[seed])
        for seed in range(n_seeds)
    ]
    predicted = Prediction(*(np.stack(by_seed) for by_seed in zip(*predictions, strict=True)))
    return Propagation(Signal(**by_name, jacobian=jacobian), predicted)


@partial(jax.jit, static_argnames="activation")
def passes(params: Params, inputs: Float[Array, "n pixels"], labels: Labels, activation: str) -> list[Any]:
    """Run networks forward, and back-propagate each image's own cross-entropy by the chain rule.

    Each array of `params` has a first axis of seeds. Returns the fields of each layer's `Layer`.
    """

    def of_network(params: Params) -> list[Any]:
        zs = pre_activations(params, inputs, activation)
        functions = [ACTIVATIONS[activation]] * (len(zs) - 1) + [ACTIVATIONS["linear"]]
        kernels = [jnp.asarray(layer["kernel"]) for layer in linears(params)]
        gradient = jax.nn.softmax(zs[-1]) - jax.nn.one_hot(labels, zs[-1].shape[1], dtype=inputs.dtype)
        layers: list[Any] = []
        for z, function, above in reversed(list(zip(zs, functions, [*kernels[1:], None], strict=True))):
            slopes = function.derivative(z)
            if above is not None:
                gradient = jnp.matmul(gradient, above.T, precision=PRECISION) * slopes
            layers.insert(0, (z, function(z), slopes, jnp.abs(slopes) < FLAT * function.steepest, gradient))
        return layers

    layers: list[Any] = jax.vmap(of_network)(params)
    return layers


def _measure(layer: Layer, inputs: Float[np.ndarray, "seeds n fan_in"]) -> dict[str, Any]:
    """Return a layer's measurements by name, each with one entry per seed."""
    kernel_gradient = inputs.swapaxes(1, 2) @ layer.gradient / inputs.shape[1]
    spectra = _singular_values(layer.activations)
    over_batch: Any = {"axis": (1, 2), "dtype": np.float64}
    return {
        "pre_mean": layer.z.mean(**over_batch),
        "pre_variance": layer.z.var(**over_batch),
        "mean": layer.activations.mean(**over_batch),
        "variance": layer.activations.var(**over_batch),
        "gradient_mean": layer.gradient.mean(**over_batch),
        "gradient_variance": layer.gradient.var(**over_batch),
        "saturated": layer.flat.mean(**over_batch),
        "dead": layer.flat.all(axis=1).mean(axis=1),
        "kernel_gradient_norm": np.linalg.norm(kernel_gradient, axis=(1, 2)),
        "rank": _rank(spectra, max(layer.activations.shape[1:])),
        "effective_rank": effective_rank(spectra),
        "pre_histogram": _histogram(layer.z),
    }


def _histogram(values: OfBatch) -> Histogram:
    finite = np.isfinite(values).all(axis=(1, 2))
    nothing = np.zeros(BINS), np.full(BINS + 1, np.nan)
    pairs = [np.histogram(of_seed, BINS) if ok else nothing for of_seed, ok in zip(values, finite, strict=True)]
    counts, edges = (np.stack(part).astype(np.float64) for part in zip(*pairs, strict=True))
    return Histogram(counts, edges)


def shown_layers(hidden: int, most: int = 5) -> list[int]:
    """Return the indices of the hidden layers whose histograms are shown: evenly from the first to the last."""
    return sorted({int(layer) for layer in np.linspace(0, hidden - 1, min(most, hidden)).round()})


def _singular_values(matrices: Float[np.ndarray, "*many rows columns"]) -> Float[np.ndarray, "*many n"]:
    """Return the singular values in falling order; NaN for a matrix if it or its singular values are not finite.

    NumPy computes them. On two cores XLA's threads, which call LAPACK at the same time, wait for each other forever.
    """
    finite = np.isfinite(matrices).all(axis=(-2, -1), keepdims=True)
    with np.errstate(over="ignore"):  # the largest singular value of a finite matrix may overflow
        values = np.linalg.svd(np.where(finite, matrices, 0), compute_uv=False)
    finite = finite[..., 0] & np.isfinite(values).all(axis=-1, keepdims=True)
    return np.where(finite, values, np.asarray(np.nan, values.dtype))


def _rank(spectra: Float[np.ndarray, "seeds n"], size: int) -> Int[np.ndarray, " seeds"]:
    """Count the singular values that exceed rounding errors, as `numpy.linalg.matrix_rank` does. NaN does not count."""
    threshold = spectra.max(axis=1, keepdims=True) * (size * np.finfo(spectra.dtype).eps)
    return np.asarray(np.sum(spectra > threshold, axis=1))


def effective_rank(spectra: Float[np.ndarray, "seeds n"]) -> Float[np.ndarray, " seeds"]:
    """Return exp of the entropy of normalised singular values (Roy & Vetterli 2007), from 1 to n."""
    relative = spectra / np.maximum(spectra.max(axis=1, keepdims=True), np.finfo(spectra.dtype).tiny)
    shares = relative / np.maximum(relative.sum(axis=1, keepdims=True), 1)  # if all are 0, the effective rank is 1
    return np.asarray(np.exp(entr(shares).sum(axis=1)))
