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
from jaxtyping import Array, ArrayLike, Float, Int, Int32, UInt8
from scipy.special import entr

from jax_impl.activations import ACTIVATIONS
from jax_impl.meanfield import Prediction, predict
from jax_impl.model import Params, layers_of, pre_activations
from jax_impl.pixels import scale

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
        rank: Of the (image, unit) matrix of activations, as `numpy.linalg.matrix_rank` counts.
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
    slopes: Float[Array, "batch fan_out"]  # derivative of the activation over its steepest, signed
    jacobians: Float[Array, "images fan_in fan_out"]
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
    # By NumPy: on two cores XLA's own calls of LAPACK, made by several of its threads at once, wait for each other
    # for ever.
    spectra = [np.linalg.svd(matrix, compute_uv=False) for matrix in activations]  # (seeds, n) each
    measured = Signal(
        **columns,
        rank=np.stack(
            [_rank(values, matrix.shape[1:]) for values, matrix in zip(spectra, activations, strict=True)], axis=1
        ),
        effective_rank=np.stack([_effective_rank(values) for values in spectra], axis=1),
        jacobian=tuple(np.linalg.svd(matrix, compute_uv=False) for matrix in jacobians),
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
    inputs = scale(images, jax.tree.leaves(params)[0].dtype)
    one = partial(_propagate, inputs=inputs, labels=labels, activation=activation, jacobian_images=jacobian_images)
    return jax.vmap(one)(params)


def _propagate(
    params: Params,
    *,
    inputs: Float[Array, "batch pixels"],
    labels: Int32[Array, " batch"],
    activation: str,
    jacobian_images: int,
) -> tuple[dict[str, Any], Prediction, list[Array], list[Array]]:
    layers = _layers(params, inputs, labels, activation, jacobian_images)
    found = _by_shape(_measure, layers)
    columns = {name: _stacked([one[name] for one in found]) for name in found[0]}
    kernel_squares, bias_squares = (
        [jnp.mean(jnp.asarray(params[f"linear{number}"][name]) ** 2) for number in range(1, len(layers) + 1)]
        for name in ("kernel", "bias")
    )
    predicted = predict(activation, layers_of(params), kernel_squares, bias_squares, inputs, layers[-1].gradient)
    return columns, predicted, [layer.activations for layer in layers], [layer.jacobians for layer in layers]


def _layers(
    params: Params,
    inputs: Float[Array, "batch pixels"],
    labels: Int32[Array, " batch"],
    activation: str,
    jacobian_images: int,
) -> list[_Layer]:
    """Run the network, then back-propagate each image's own cross-entropy by the chain rule."""
    zs = pre_activations(params, inputs, activation)
    kernels = [jnp.asarray(params[f"linear{number}"]["kernel"]) for number in range(1, len(zs) + 1)]
    phi, identity = ACTIVATIONS[activation], ACTIVATIONS["linear"]
    gradient = jax.nn.softmax(zs[-1]) - jax.nn.one_hot(labels, zs[-1].shape[1], dtype=inputs.dtype)
    layers: list[_Layer] = []
    for place in reversed(range(len(zs))):
        function = identity if place == len(zs) - 1 else phi
        slopes = function.derivative(zs[place])
        if place < len(zs) - 1:
            product = jnp.matmul(gradient, kernels[place + 1].T, precision="highest")
            gradient = product * slopes
        layers.insert(
            0,
            _Layer(
                inputs=phi(zs[place - 1]) if place else inputs,
                kernel=kernels[place],
                z=zs[place],
                activations=function(zs[place]),
                slopes=slopes / function.steepest,
                jacobians=kernels[place][None] * slopes[:jacobian_images, None, :],  # (images, fan_in, fan_out)
                gradient=gradient,
            ),
        )
    return layers


def _measure(layer: _Layer) -> dict[str, Any]:
    flat = jnp.abs(layer.slopes) < FLAT
    kernel_gradient = jnp.matmul(layer.inputs.T, layer.gradient, precision="highest") / len(layer.z)
    return {
        "pre_mean": layer.z.mean(),
        "pre_variance": layer.z.var(),
        "mean": layer.activations.mean(),
        "variance": layer.activations.var(),
        "gradient_mean": layer.gradient.mean(),
        "gradient_variance": layer.gradient.var(),
        "saturated": flat.mean(dtype=layer.z.dtype),
        "dead": flat.all(axis=0).mean(dtype=layer.z.dtype),
        "kernel_gradient_norm": jnp.linalg.norm(kernel_gradient),
        "pre_histogram": _histogram(layer.z),
        "histogram": _histogram(layer.activations),
        "gradient_histogram": _histogram(layer.gradient),
    }


def _rank(spectra: Float[np.ndarray, "seeds n"], shape: tuple[int, ...]) -> Int[np.ndarray, " seeds"]:
    """Count the singular values that are not rounding, as `numpy.linalg.matrix_rank` does."""
    threshold = spectra.max(axis=1, keepdims=True) * max(shape) * np.finfo(spectra.dtype).eps
    return np.asarray(np.sum(spectra > threshold, axis=1))


def _effective_rank(spectra: Float[np.ndarray, "seeds n"]) -> Float[np.ndarray, " seeds"]:
    shares = spectra / np.maximum(spectra.sum(axis=1, keepdims=True), np.finfo(spectra.dtype).tiny)
    return np.asarray(np.exp(entr(shares).sum(axis=1)))


def _histogram(values: Float[Array, "batch units"]) -> Histogram:
    counts, edges = jnp.histogram(values.ravel(), bins=BINS)
    return Histogram(counts.astype(values.dtype), edges)


def _stacked(column: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *column)


def _by_shape(measure: Callable[[_Layer], dict[str, Any]], layers: list[_Layer]) -> list[dict[str, Any]]:
    """Measure every layer, those of one shape by one loop: a 30-layer network compiles as fast as a 4-layer one."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, layer in enumerate(layers):
        groups.setdefault(layer.kernel.shape, []).append(place)
    found: list[dict[str, Any]] = [{}] * len(layers)
    for places in groups.values():
        results = jax.lax.map(measure, _stacked([layers[place] for place in places]))
        for row, place in enumerate(places):
            found[place] = jax.tree.map(lambda leaf, row=row: leaf[row], results)
    return found
