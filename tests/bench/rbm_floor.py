"""The least that an epoch of a restricted Boltzmann machine can cost: the matrix products of its steps.

A step of CD-1 multiplies five times: the images by the weights, hidden states by their transpose, the new visible
states by the weights, and in both phases visible by hidden units, for the statistics. Nothing is drawn, no sigmoid is
computed, and the weights stay.
"""

import time
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp

from jax_impl.model import PRECISION
from tests.bench import floor

PIXELS = 784


def flop(hidden: int, batch: int) -> int:
    """Return the floating-point operations of a step's products: two, times and plus, an element."""
    return 5 * 2 * batch * PIXELS * hidden


def products(visible: jax.Array, weights: Sequence[jax.Array]) -> list[jax.Array]:
    """Multiply as a step of CD-1 does; return the statistics of the data and of the model, (visible, hidden) each."""
    (weight,) = weights
    hidden = jnp.matmul(visible, weight, precision=PRECISION)
    recreated = jnp.matmul(hidden, weight.T, precision=PRECISION)
    hidden_again = jnp.matmul(recreated, weight, precision=PRECISION)
    return [
        jnp.matmul(visible.T, hidden, precision=PRECISION),
        jnp.matmul(recreated.T, hidden_again, precision=PRECISION),
    ]


def compiled_steps(hidden: int, batch: int, steps: int) -> jax.stages.Compiled:
    """Compile `steps` steps for these shapes."""
    visible = jax.ShapeDtypeStruct((batch, PIXELS), jnp.float32)
    weights = [jax.ShapeDtypeStruct((PIXELS, hidden), jnp.float32)]
    return jax.jit(floor.run_steps, static_argnums=(2, 3)).lower(visible, weights, steps, products).compile()


def epochs(hidden: int, batch: int, steps: int) -> Iterator[float]:
    """Multiply in one jitted scan an epoch, for ever; yield each epoch's seconds."""
    run = compiled_steps(hidden, batch, steps)
    visible, weights = jax.tree.map(jnp.asarray, floor.operands((PIXELS, hidden), batch))
    while True:
        started = time.perf_counter()
        run(visible, weights).block_until_ready()
        yield time.perf_counter() - started
