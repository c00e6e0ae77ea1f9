"""What a signal and a gradient do on their way through a network, layer by layer, beside what theory expects.

The measurements are those of Glorot & Bengio 2010 (activations, back-propagated gradients and the singular values of
each layer's Jacobian) and of He et al. 2015. The output layer counts as a layer whose activation is the identity.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Int32, UInt8
from scipy.special import entr

from jax_impl.activations import ACTIVATIONS
from jax_impl.model import PRECISION, Params, layers_of, pre_activations, stacked
from jax_impl.pixels import scale
from jax_impl.study.meanfield import Prediction, predict

BINS = 60
FLAT = 0.05  # a unit is saturated at an image where its derivative is below this share of the steepest

ByLayer = Float[np.ndarray, "seeds layers"]


class Histogram(NamedTuple):
    """How many values fall between each two edges."""

    counts: Float[ArrayLike, "*seeds_and_layers bins"]
    edges: Float[ArrayLike, "*seeds_and_layers bins+1"]


class Signal(NamedTuple):
    """By seed and layer, over all units and images; gradients are of each image's own loss by the pre-activations.

    Attributes:
        pre_mean: Of the pre-activations; likewise their variance.
        mean: Of the activations; likewise their variance.
        gradient_mean: Of the back-propagated gradients; likewise their variance.
        saturated: Share of (unit, image) pairs that hardly pass a gradient back; for a ReLU, those that are off.
        dead: Share of units that are saturated at every image.
        kernel_gradient_norm: Of the batch's mean loss.
        rank: Of the (image, unit) matrix of activations, as `numpy.linalg.matrix_rank` counts; 0 if it is not finite.
        effective_rank: exp of the entropy of its normalised singular values (Roy & Vetterli 2007).
        jacobian: Singular values of ∂activations/∂inputs of each layer.
    """

    pre_mean: ByLayer
    pre_variance: ByLayer
    mean: ByLayer
    variance: ByLayer
    gradient_mean: ByLayer
    gradient_variance: ByLayer
    saturated: ByLayer
    dead: ByLayer
    kernel_gradient_norm: ByLayer
    rank: Int[np.ndarray, "seeds layers"]
    effective_rank: ByLayer
    pre_histogram: Histogram
    histogram: Histogram
    gradient_histogram: Histogram
    jacobian: tuple[Float[np.ndarray, "seeds images _"], ...]


class Propagation(NamedTuple):
    """What was measured, and what mean-field theory predicts for weights of this size."""

    measured: Signal
    predicted: Prediction


class _Layer(NamedTuple):
    """What one layer computes for a batch, forward and back."""

    inputs: Float[Array, "batch fan_in"]
    kernel: Float[Array, "fan_in fan_out"]
    z: Float[Array, "batch fan_out"]
    activations: Float[Array, "batch fan_out"]
    slopes: Float[Array, "batch fan_out"]  # derivative of the activation
    flat: Bool[Array, "batch fan_out"]  # whether it is too small to pass a gradient
    gradient: Float[Array, "batch fan_out"]


def propagate(
    params: Params,
    images: UInt8[Array, "batch pixels"],
    labels: Int32[Array, " batch"],
    activation: str = "relu",
    jacobian_images: int = 1,
) -> Propagation:
    """Send a batch forward and its gradients back, for many networks at once and in one compiled pass.

    Args:
        params: Of networks of one shape, each array with a first axis of its own: one entry a seed.
        images: The batch, the same for every network.
        labels: Of the images.
        activation: Between the layers.
        jacobian_images: At how many of the images each layer's Jacobian is taken.

    Returns:
        The measurements as NumPy arrays, the axis of seeds first.
    """
    found = _propagate_all(params, images, labels, activation, jacobian_images)
    columns, predicted, activations, jacobians = jax.tree.map(np.asarray, found)
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
    params: Params,
    images: UInt8[Array, "batch pixels"],
    labels: Int32[Array, " batch"],
    activation: str,
    jacobian_images: int,
) -> tuple[dict[str, Any], Prediction, list[Array], list[Array]]:
    """Return columns of measurements, the prediction, and by layer the activations and the Jacobians."""
    inputs = scale(images, jax.tree.leaves(params)[0].dtype)

    def one(params: Params) -> tuple[dict[str, Any], Prediction, list[Array], list[Array]]:
        layers = _layers(params, inputs, labels, activation)
        found = _by_shape(_measure, layers)
        kernel_squares, bias_squares = (
            [jnp.mean(jnp.asarray(params[f"linear{number}"][name]) ** 2) for number in range(1, len(layers) + 1)]
            for name in ("kernel", "bias")
        )
        return (
            {name: stacked([one[name] for one in found]) for name in found[0]},
            predict(activation, layers_of(params), kernel_squares, bias_squares, inputs, layers[-1].gradient),
            [layer.activations for layer in layers],
            [layer.kernel[None] * layer.slopes[:jacobian_images, None, :] for layer in layers],
        )

    return jax.vmap(one)(params)


def _layers(
    params: Params, inputs: Float[Array, "batch pixels"], labels: Int32[Array, " batch"], activation: str
) -> list[_Layer]:
    """Run the network, then back-propagate each image's own cross-entropy by the chain rule."""
    zs = pre_activations(params, inputs, activation)
    kernels = [jnp.asarray(params[f"linear{number}"]["kernel"]) for number in range(1, len(zs) + 1)]
    phi, identity = ACTIVATIONS[activation], ACTIVATIONS["linear"]
    gradient = jax.nn.softmax(zs[-1]) - jax.nn.one_hot(labels, zs[-1].shape[1], dtype=inputs.dtype)
    layers: list[_Layer] = []
    for place in reversed(range(len(zs))):
        last = place == len(zs) - 1
        function = identity if last else phi
        slopes = function.derivative(zs[place])
        if not last:
            gradient = jnp.matmul(gradient, kernels[place + 1].T, precision=PRECISION) * slopes
        layer = _Layer(
            inputs=phi(zs[place - 1]) if place else inputs,
            kernel=kernels[place],
            z=zs[place],
            activations=function(zs[place]),
            slopes=slopes,
            flat=jnp.abs(slopes) < FLAT * function.steepest,
            gradient=gradient,
        )
        layers.insert(0, layer)
    return layers


def _measure(layer: _Layer) -> dict[str, Any]:
    kernel_gradient = jnp.matmul(layer.inputs.T, layer.gradient, precision=PRECISION) / len(layer.z)
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
        "pre_histogram": _histogram(layer.z),
        "histogram": _histogram(layer.activations),
        "gradient_histogram": _histogram(layer.gradient),
    }


def _singular_values(matrices: Float[np.ndarray, "*many rows columns"]) -> Float[np.ndarray, "*many n"]:
    """Return them in falling order; NaN for a matrix whose own are not finite, as where a signal outgrew its dtype.

    By NumPy: on two cores XLA's own calls of LAPACK, made by several of its threads at once, wait for each other for
    ever.
    """
    finite = np.isfinite(matrices).all(axis=(-2, -1), keepdims=True)
    with np.errstate(over="ignore"):  # the largest of a finite matrix may still be too large
        values = np.linalg.svd(np.where(finite, matrices, 0), compute_uv=False)
    finite = finite[..., 0] & np.isfinite(values).all(axis=-1, keepdims=True)
    return np.where(finite, values, np.asarray(np.nan, values.dtype))


def _rank(spectra: Float[np.ndarray, "seeds n"], size: int) -> Int[np.ndarray, " seeds"]:
    """Count the singular values that are not rounding, as `numpy.linalg.matrix_rank` does; NaN is none."""
    threshold = spectra.max(axis=1, keepdims=True) * (size * np.finfo(spectra.dtype).eps)
    return np.asarray(np.sum(spectra > threshold, axis=1))


def _effective_rank(spectra: Float[np.ndarray, "seeds n"]) -> Float[np.ndarray, " seeds"]:
    relative = spectra / np.maximum(spectra.max(axis=1, keepdims=True), np.finfo(spectra.dtype).tiny)
    shares = relative / np.maximum(relative.sum(axis=1, keepdims=True), 1)  # of nothing but zeros: 0, and exp(0) is 1
    return np.asarray(np.exp(entr(shares).sum(axis=1)))


def _histogram(values: Float[Array, "batch units"]) -> Histogram:
    counts, edges = jnp.histogram(values.ravel(), bins=BINS)
    return Histogram(counts.astype(values.dtype), edges)


def _by_shape(measure: Callable[[_Layer], dict[str, Any]], layers: list[_Layer]) -> list[dict[str, Any]]:
    """Measure every layer, those of one shape by one loop: a 30-layer network compiles as fast as a 4-layer one."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, layer in enumerate(layers):
        groups.setdefault(layer.kernel.shape, []).append(place)
    found: list[dict[str, Any]] = [{}] * len(layers)
    for places in groups.values():
        results = jax.lax.map(measure, stacked([layers[place] for place in places]))
        for row, place in enumerate(places):
            found[place] = jax.tree.map(lambda leaf, row=row: leaf[row], results)
    return found
