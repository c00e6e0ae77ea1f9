"""The least that an epoch can cost: the matrix products of its steps, as often as it has steps, and nothing else.

A network of L layers multiplies 3L - 1 times a step: L products forward, L for the gradients of the weights, and L - 1
for those of the inputs, which the first layer does not need. They hang together as in training, each on what the last
gave, without activations and loss; the weights stay. So none can be left out, nor one for all steps be made.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.data import Mnist
from jax_impl.model import NARROW
from jax_impl.recipes import Recipe
from tests.bench.contenders import Epoch, timed

NO_COST = float("nan")
Products = Callable[[jax.Array, Sequence[jax.Array]], Sequence[jax.Array]]  # of inputs and weights, in a step


def flop(layers: Sequence[int], batch: int) -> int:
    """Return the floating-point operations of a step's products: two, times and plus, an element."""
    weights = [fan_in * fan_out for fan_in, fan_out in pairwise(layers)]
    return 2 * batch * (3 * sum(weights) - weights[0])


def operands(layers: Sequence[int], batch: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a batch of inputs and the weights, (fan_in, fan_out) each, of numbers that stay near 1 layer by layer."""
    rng = np.random.default_rng(0)
    kernels = [rng.normal(0, fan_in**-0.5, (fan_in, fan_out)) for fan_in, fan_out in pairwise(layers)]
    return rng.normal(size=(batch, layers[0])).astype(np.float32), [kernel.astype(np.float32) for kernel in kernels]


def products(inputs: jax.Array, kernels: Sequence[jax.Array]) -> list[jax.Array]:
    """Multiply as a step does; return the gradients of the weights, the last layer's first, of a narrow one transposed.

    The outputs stand for their own gradients.
    """
    outputs = [inputs]
    for kernel in kernels:
        outputs.append(jnp.matmul(outputs[-1], kernel, precision="highest"))
    delta, gradients = outputs.pop(), []
    for kernel in reversed(kernels):
        pair = (outputs.pop(), delta)
        sides = pair if kernel.shape[1] > NARROW else pair[::-1]
        gradients.append(jax.lax.dot_general(*sides, (((0,), (0,)), ((), ())), precision="highest"))
        if outputs:
            delta = jnp.matmul(delta, kernel.T, precision="highest")
    return gradients


def run_steps(inputs: jax.Array, kernels: Sequence[jax.Array], steps: int, multiply: Products = products) -> jax.Array:
    """Multiply for `steps` steps; one element of every result goes into the next step's inputs, times 0."""

    def step(inputs: jax.Array, _: None) -> tuple[jax.Array, None]:
        total = sum(result[0, 0] for result in multiply(inputs, kernels))
        return inputs.at[0, 0].set(0 * total), None  # floating-point: 0 times a number is not known before it

    return jax.lax.scan(step, inputs, None, length=steps)[0]


@lru_cache(maxsize=8)
def compiled_steps(layers: tuple[int, ...], batch: int, steps: int) -> jax.stages.Compiled:
    """Compile `run_steps` for these shapes."""
    inputs = jax.ShapeDtypeStruct((batch, layers[0]), jnp.float32)
    kernels = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in pairwise(layers)]
    return jax.jit(run_steps, static_argnums=2).lower(inputs, kernels, steps).compile()


def epochs(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Multiply in one jitted scan an epoch."""
    steps = len(mnist.train_images) // recipe.batch_size
    run, given = compiled_steps(recipe.layers, recipe.batch_size, steps), operands(recipe.layers, recipe.batch_size)
    inputs, kernels = jax.tree.map(jnp.asarray, given)

    def epoch() -> float:
        run(inputs, kernels).block_until_ready()
        return NO_COST

    return timed(epoch)
