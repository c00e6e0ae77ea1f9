"""How activations and gradients propagate through a network: measured layer by layer, and predicted by theory.

The measurements are those of Glorot & Bengio 2010 (activations, back-propagated gradients, and the singular values of
each layer's Jacobian) and He et al. 2015. The output layer counts as a layer with the identity as its activation.
"""

from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Int32, UInt8
from scipy.special import entr

from jax_impl.activations import ACTIVATIONS
from jax_impl.model import PRECISION, Params, layer_sizes, linears, pre_activations, scale
from jax_impl.study.meanfield import Prediction, predict
from jax_impl.trainer.trees import stacked

BINS = 60  # of a histogram
FLAT = 0.05  # a unit is saturated for an image if its slope is below this share of the activation's steepest slope

ByLayer = Float[np.ndarray, "seeds layers"]
Images = UInt8[Array, "n pixels"]
Labels = Int32[Array, " n"]


class Histogram(NamedTuple):
    """The number of values in each bin, and the edges of the bins."""

    counts: Float[ArrayLike, "*seeds_and_layers bins"]
    edges: Float[ArrayLike, "*seeds_and_layers bins+1"]


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
    """The measurements, and the predictions of mean-field theory for weights of this size."""

    measured: Signal
    predicted: Prediction


class _Layer(NamedTuple):
    """The arrays of one layer for a batch, from the forward and the backward pass."""

    inputs: Float[Array, "n fan_in"]
    kernel: Float[Array, "fan_in fan_out"]
    z: Float[Array, "n fan_out"]
    activations: Float[Array, "n fan_out"]
    slopes: Float[Array, "n fan_out"]  # derivatives of the activation at z
    flat: Bool[Array, "n fan_out"]  # whether a slope is almost 0
    gradient: Float[Array, "n fan_out"]  # of each image's loss with respect to z


def propagate(
    params: Params, images: Images, labels: Labels, activation: str = "relu", jacobian_images: int = 1
) -> Propagation:
    """Run a batch forward and backward through several networks of one shape, as one compiled program.

    Each array of `params` has a first axis of seeds, and so have the returned NumPy arrays. The images are the same for
    all networks. Each layer's Jacobian is computed for the first `jacobian_images` of them.
    """
    results = _propagate_all(params, images, labels, activation, jacobian_images)
    columns, predicted, activations, jacobians = jax.tree.map(np.asarray, results)
    spectra = [_singular_values(matrices) for matrices in activations]  # (seeds, n) each
    sizes = [max(matrices.shape[1:]) for matrices in activations]
    measured = Signal(
        **columns,
        rank=np.stack([_rank(values, size) for values, size in zip(spectra, sizes, strict=True)], axis=1),
        effective_rank=np.stack([_effective_rank(values) for values in spectra], axis=1),
        jacobian=tuple(_singular_values(matrices) for matrices in jacobians),
    )
    return Propagation(measured, predicted)


@partial(jax.jit, static_argnames=("activation", "jacobian_images"))
def _propagate_all(
    params: Params, images: Images, labels: Labels, activation: str, jacobian_images: int
) -> tuple[dict[str, Any], Prediction, list[Array], list[Array]]:
    """Return the measurements by name, the prediction, and the activations and Jacobians of each layer."""
    inputs = scale(images, jax.tree.leaves(params)[0].dtype)

    def of_network(params: Params) -> tuple[dict[str, Any], Prediction, list[Array], list[Array]]:
        layers = _layers(params, inputs, labels, activation)
        kernel_squares, bias_squares = (
            [jnp.mean(jnp.asarray(layer[name]) ** 2) for layer in linears(params)] for name in ("kernel", "bias")
        )
        return (
            _measure_all(layers),
            predict(activation, layer_sizes(params), kernel_squares, bias_squares, inputs, layers[-1].gradient),
            [layer.activations for layer in layers],
            [layer.kernel[None] * layer.slopes[:jacobian_images, None, :] for layer in layers],
        )

    return jax.vmap(of_network)(params)


def _layers(params: Params, images: Float[Array, "n pixels"], labels: Labels, activation: str) -> list[_Layer]:
    """Run the network forward, and back-propagate each image's own cross-entropy by the chain rule."""
    zs = pre_activations(params, images, activation)
    kernels = [jnp.asarray(layer["kernel"]) for layer in linears(params)]
    functions = [*[ACTIVATIONS[activation]] * (len(zs) - 1), ACTIVATIONS["linear"]]
    activations = [function(z) for function, z in zip(functions, zs, strict=True)]
    slopes = [function.derivative(z) for function, z in zip(functions, zs, strict=True)]
    flat = [jnp.abs(slope) < FLAT * function.steepest for function, slope in zip(functions, slopes, strict=True)]
    gradients = [jax.nn.softmax(zs[-1]) - jax.nn.one_hot(labels, zs[-1].shape[1], dtype=images.dtype)]
    for index in reversed(range(len(zs) - 1)):
        gradients.insert(0, jnp.matmul(gradients[0], kernels[index + 1].T, precision=PRECISION) * slopes[index])
    inputs = [images, *activations[:-1]]
    return list(map(_Layer, inputs, kernels, zs, activations, slopes, flat, gradients))


def _measure(layer: _Layer) -> dict[str, Any]:
    kernel_gradient = jnp.matmul(layer.inputs.T, layer.gradient, precision=PRECISION) / len(layer.z)
    counts, edges = jnp.histogram(layer.z.ravel(), bins=BINS)
    return {
        "pre_mean": layer.z.mean(),
        "pre_variance": layer.z.var(),
        "mean": layer.activations.mean(),
        "variance": layer.activations.var(),
        "gradient_mean": layer.gradient.mean(),
        "gradient_variance": layer.gradient.var(),
        "saturated": layer.flat.mean(dtype=layer.z.dtype),
        "dead": layer.flat.all(axis=0).mean(dtype=layer.z.dtype),
        "kernel_gradient_norm": jnp.linalg.norm(kernel_gradient),
        "pre_histogram": Histogram(counts.astype(layer.z.dtype), edges),
    }


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


def _effective_rank(spectra: Float[np.ndarray, "seeds n"]) -> Float[np.ndarray, " seeds"]:
    relative = spectra / np.maximum(spectra.max(axis=1, keepdims=True), np.finfo(spectra.dtype).tiny)
    shares = relative / np.maximum(relative.sum(axis=1, keepdims=True), 1)  # if all are 0, the effective rank is 1
    return np.asarray(np.exp(entr(shares).sum(axis=1)))


def _measure_all(layers: list[_Layer]) -> dict[str, Any]:
    """Return the measurements of all layers. Layers of one shape share a loop: 30 layers compile as fast as 4."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, layer in enumerate(layers):
        by_shape.setdefault(layer.kernel.shape, []).append(index)
    measured: dict[int, dict[str, Any]] = {}
    for indices in by_shape.values():
        results = jax.lax.map(_measure, stacked([layers[index] for index in indices]))
        measured |= {index: jax.tree.map(itemgetter(row), results) for row, index in enumerate(indices)}
    by_name: dict[str, Any] = stacked([measured[index] for index in range(len(layers))])
    return by_name
