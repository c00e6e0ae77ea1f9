"""The notebook's multilayer perceptron as a Flax NNX module, and the pure functions that training sees.

NNX defines the network and nothing else: it is split once, and what travels through `jit`, `scan` and `vmap` is a
plain dict of arrays, {"linear1": {"kernel": (fan_in, fan_out), "bias": (fan_out,)}, …}.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from jax_impl import initializers, products
from jax_impl.activations import ACTIVATIONS
from jax_impl.recipes import Recipe

Params = dict[str, dict[str, Array | np.ndarray]]

# PyTorch multiplies float32 in float32. JAX's default on recent GPUs and on TPUs is TF32 or bfloat16.
PRECISION = "highest"


class MLP(nnx.Module):
    """`linear1` … `linearN` with an activation between each two: the notebook's `torch.nn.Sequential`.

    Args:
        layers: Units of each layer, from the pixels to the classes.
        activation: Between the layers, a name of `ACTIVATIONS`; the notebook's is relu.
        kernel_init: Initialiser of every kernel.
        bias_init: Gives the initialiser of a bias from its layer's fan_in, which torch's default draw depends on.
        dtype: Of the parameters and, the inputs being of the same, of all that is computed.
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
                dot_general=products.dot_general,
                rngs=rngs,
            )
            setattr(self, f"linear{number}", layer)

    def __call__(self, images: Float[Array, "batch pixels"]) -> list[Float[Array, "batch _"]]:
        """Return the pre-activations of every layer; the last are the logits."""
        outputs: list[Array] = []
        for number in range(1, self.depth + 1):
            inputs = ACTIVATIONS[self.activation](outputs[-1]) if outputs else images
            outputs.append(getattr(self, f"linear{number}")(inputs))
        return outputs


def init_params(recipe: Recipe, *, key: PRNGKeyArray) -> Params:
    """Draw the initial parameters of `recipe` from JAX's own generator.

    Raises:
        ArgumentError: The recipe's `init` or `bias_init` is no name that `initializers` knows.
    """
    kernel_init, bias_init = initializers.named(recipe.init, recipe.bias_init)
    rngs = nnx.Rngs(params=key)
    model = MLP(
        recipe.layers,
        activation=recipe.activation,
        kernel_init=kernel_init,
        bias_init=bias_init,
        dtype=recipe.dtype,
        rngs=rngs,
    )
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def pre_activations(
    params: Params, images: Float[Array, "batch pixels"], activation: str = "relu"
) -> list[Float[Array, "batch _"]]:
    """Run the network and return what every layer computes before its activation; images lie in [0, 1]."""
    model = nnx.merge(_graph(layers_of(params), activation), nnx.State(params))
    return model(images)


def apply(
    params: Params, images: Float[Array, "batch pixels"], activation: str = "relu"
) -> Float[Array, "batch classes"]:
    """Return the logits of images in [0, 1]."""
    return pre_activations(params, images, activation)[-1]


def layers_of(params: Params) -> tuple[int, ...]:
    """Return the layer sizes that the shapes of `params` tell."""
    kernels = [params[f"linear{number}"]["kernel"] for number in range(1, len(params) + 1)]
    return (kernels[0].shape[0], *(kernel.shape[1] for kernel in kernels))


def stacked(trees: Sequence[Any]) -> Any:
    """Return one tree whose leaves have a first axis more: one entry a tree, such as the parameters of one seed."""
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trees)


@lru_cache(maxsize=32)
def _graph(layers: tuple[int, ...], activation: str) -> nnx.GraphDef[MLP]:
    """Return the static half of the network; its arrays are never made."""

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
