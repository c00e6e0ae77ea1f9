"""The notebook's multilayer perceptron as a Flax NNX module, and the pure functions that training uses.

NNX only defines the network. It is split once; `jit`, `scan` and `vmap` see a plain dict of arrays,
{"linear1": {"kernel": (fan_in, fan_out), "bias": (fan_out,)}, …}.
"""

from collections.abc import Iterable
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, Int32, PRNGKeyArray, UInt8

from jax_impl import initializers
from jax_impl.activations import ACTIVATIONS
from jax_impl.recipes import DATA_DRIVEN, Recipe

Layer = dict[str, Array | np.ndarray]  # kernel and bias
Params = dict[str, Layer]

# PyTorch multiplies float32 in float32. JAX's default on recent GPUs and on TPUs is TF32 or bfloat16.
PRECISION = "highest"
IMAGES_AT_ONCE = 1_000  # that a run is tested with
NARROW = 32  # outputs of a layer up to which `narrow_product` is faster on a CPU


class MLP(nnx.Module):
    """`linear1` … `linearN` with an activation between them: the notebook's `torch.nn.Sequential`.

    Args:
        layers: Units per layer, from the pixels to the classes.
        activation: Between the layers, a name in `ACTIVATIONS`. The notebook uses relu.
        kernel_init: Initialiser of every kernel.
        bias_init: Takes a layer's fan_in and returns its bias initialiser: torch's default depends on fan_in.
        dtype: Of the parameters, and of the computation if the inputs have it too.
        rngs: Source of the keys, stream `params`.
    """

    def __init__(
        self,
        layers: tuple[int, ...],
        *,
        activation: str,
        kernel_init: initializers.Initializer,
        bias_init: initializers.BiasInitializer,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ) -> None:
        self.depth = len(layers) - 1
        self.activation = activation
        for number, (fan_in, fan_out) in enumerate(pairwise(layers), start=1):
            layer = nnx.Linear(
                fan_in,
                fan_out,
                kernel_init=kernel_init,
                bias_init=bias_init(fan_in),
                param_dtype=dtype,
                precision=PRECISION,
                dot_general=narrow_product,
                rngs=rngs,
            )
            setattr(self, f"linear{number}", layer)

    def __call__(self, images: Float[Array, "batch pixels"]) -> list[Float[Array, "batch _"]]:
        """Return the pre-activations of every layer. The last ones are the logits."""
        outputs: list[Array] = []
        for number in range(1, self.depth + 1):
            inputs = ACTIVATIONS[self.activation](outputs[-1]) if outputs else images
            outputs.append(getattr(self, f"linear{number}")(inputs))
        return outputs


def init_params(recipe: Recipe, *, key: PRNGKeyArray) -> Params:
    """Draw the initial parameters of `recipe` from JAX's own generator. A data-driven `init` gets its random start."""
    kernel_init, bias_init = initializers.named(DATA_DRIVEN.get(recipe.init, recipe.init), recipe.bias_init)
    model = MLP(
        recipe.layers,
        activation=recipe.activation,
        kernel_init=kernel_init,
        bias_init=bias_init,
        dtype=recipe.dtype,
        rngs=nnx.Rngs(params=key),
    )
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def pre_activations(
    params: Params, images: Float[Array, "batch pixels"], activation: str = "relu"
) -> list[Float[Array, "batch _"]]:
    """Return what every layer computes before its activation, for images in [0, 1]."""
    model = nnx.merge(_graph(layer_sizes(params), activation), nnx.State(params))
    return model(images)


def apply(
    params: Params, images: Float[Array, "batch pixels"], activation: str = "relu"
) -> Float[Array, "batch classes"]:
    """Return the logits of images in [0, 1]."""
    return pre_activations(params, images, activation)[-1]


@partial(jax.jit, static_argnames="activation")
def count_correct(
    params: Params, images: UInt8[Array, "n pixels"], labels: Int32[Array, " n"], activation: str = "relu"
) -> Int32[Array, ""]:
    """Return how many images have their largest logit at their label.

    It tests `IMAGES_AT_ONCE` images at a time: their activations fit into a CPU's cache (docs/performance.md).
    """

    def correct(part: tuple[Array, Array]) -> Array:
        logits = apply(params, scale(part[0], jax.tree.leaves(params)[0].dtype), activation)
        return jnp.sum(jnp.argmax(logits, axis=1) == part[1], dtype=jnp.int32)

    whole = len(images) // IMAGES_AT_ONCE * IMAGES_AT_ONCE
    parts = [array[:whole].reshape(-1, IMAGES_AT_ONCE, *array.shape[1:]) for array in (images, labels)]
    in_parts: Array = jax.lax.map(correct, tuple(parts)).sum(dtype=jnp.int32)
    return in_parts + correct((images[whole:], labels[whole:]))


def accuracy(
    params: Params, images: UInt8[Array, "n pixels"], labels: Int32[Array, " n"], activation: str = "relu"
) -> float:
    """Return the share of correctly classified images, from 0 to 1."""
    return int(count_correct(params, images, labels, activation)) / len(labels)


def scale(images: UInt8[Array, "batch pixels"], dtype: DTypeLike) -> Float[Array, "batch pixels"]:
    """Map pixels 0 … 255 to [0, 1], as `torchvision.transforms.ToTensor` does.

    A table does it, because XLA may compute `x / 255` as `x * (1 / 255)`: that changes the last bit of 126 of the 256
    values.
    """
    table = np.arange(256, dtype=dtype) / np.asarray(255, dtype)
    return jnp.asarray(table)[images]


def narrow_product(
    inputs: Float[Array, "*batch fan_in"],
    kernel: Float[Array, "fan_in fan_out"],
    dimension_numbers: jax.lax.DotDimensionNumbers,
    **options: Any,
) -> Float[Array, "*batch fan_out"]:
    """Return inputs @ kernel, as `jax.lax.dot_general` does. On a CPU the gradient of a narrow kernel is faster.

    That gradient is inputs.T @ gradient, (fan_in, batch) times (batch, fan_out). For 256 × 10 and batch 100, XLA's CPU
    takes 43 µs for it and 11 µs for its transpose (docs/performance.md). So a narrow kernel is multiplied as its
    transpose. The barrier stops XLA from undoing that.
    """

    def plain(inputs: Array, kernel: Array) -> Array:
        return jax.lax.dot_general(inputs, kernel, dimension_numbers, **options)

    def transposed(inputs: Array, kernel: Array) -> Array:
        return jax.lax.dot_general(inputs, jax.lax.optimization_barrier(kernel.T), (((1,), (1,)), ((), ())), **options)

    if inputs.ndim != 2 or kernel.shape[1] > NARROW:
        return plain(inputs, kernel)
    product: Array = jax.lax.platform_dependent(inputs, kernel, cpu=transposed, default=plain)
    return product


def linears(params: Params) -> list[Layer]:
    """Return the layers `linear1` … `linearN` in order."""
    return [params[f"linear{number}"] for number in range(1, len(params) + 1)]


def from_linears(layers: Iterable[Layer]) -> Params:
    """Return layers under the names `linear1` … `linearN`: the inverse of `linears`."""
    return {f"linear{number}": layer for number, layer in enumerate(layers, start=1)}


def layer_sizes(params: Params) -> tuple[int, ...]:
    """Return the units per layer, from the pixels to the classes."""
    kernels = [layer["kernel"] for layer in linears(params)]
    return (kernels[0].shape[0], *(kernel.shape[1] for kernel in kernels))


@lru_cache(maxsize=32)
def _graph(layers: tuple[int, ...], activation: str) -> nnx.GraphDef[MLP]:
    """Return the static half of the network without allocating its arrays."""

    def build() -> MLP:
        zeros = initializers.zeros()
        return MLP(
            layers,
            activation=activation,
            kernel_init=zeros,
            bias_init=lambda _: zeros,
            dtype="float32",
            rngs=nnx.Rngs(0),
        )

    return nnx.graphdef(nnx.eval_shape(build))
