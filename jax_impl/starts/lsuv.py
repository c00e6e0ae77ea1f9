"""Layer-sequential unit-variance initialisation: Mishkin & Matas 2015, "All you need is a good init", algorithm 1."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jax_impl.activations import ACTIVATIONS
from jax_impl.errors import UserError
from jax_impl.model import PRECISION, Params, from_linears, linears

TOLERANCE = 0.01  # of each layer's variance on the given images; on other images it is then 1 within a few percent
ROUNDS = 10


def rescale(params: Params, images: Float[Array, "batch pixels"], activation: str = "relu") -> Params:
    """Divide each kernel, from the first to the last, by the standard deviation of its layer's pre-activations.

    The variance is taken over units and images. Biases do not change, so a layer may need more than one round.

    Raises:
        UserError: A layer's variance does not reach 1, for example because its kernel is all 0.
    """
    inputs, scaled = images, []
    for number, layer in enumerate(linears(params), start=1):
        kernel, outputs, variance = _unit_variance(jnp.asarray(layer["kernel"]), jnp.asarray(layer["bias"]), inputs)
        if not abs(float(variance) - 1) <= TOLERANCE:
            raise UserError(
                f"lsuv cannot bring the variance of linear{number} to 1: it is {float(variance):.3g} after {ROUNDS} "
                "rounds; start from kernels that are not 0 and biases below 1"
            )
        scaled.append({"kernel": kernel, "bias": layer["bias"]})
        inputs = ACTIVATIONS[activation](outputs)
    return from_linears(scaled)


@jax.jit
def _unit_variance(
    kernel: Float[Array, "fan_in fan_out"], bias: Float[Array, " fan_out"], inputs: Float[Array, "batch fan_in"]
) -> tuple[Float[Array, "fan_in fan_out"], Float[Array, "batch fan_out"], Float[Array, ""]]:
    product = jnp.matmul(inputs, kernel, precision=PRECISION)  # dividing it divides the kernel

    def off(carry: tuple[Array, Array, Array]) -> Array:
        factor, variance, rounds = carry
        return (jnp.abs(variance - 1) > TOLERANCE) & (rounds < ROUNDS) & jnp.isfinite(factor)

    def divide(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        factor, variance, rounds = carry
        factor = factor / jnp.sqrt(variance)
        return factor, (product * factor + bias[None]).var(), rounds + 1

    start = (jnp.ones((), kernel.dtype), (product + bias[None]).var(), jnp.zeros((), jnp.int32))
    factor, variance, _ = jax.lax.while_loop(off, divide, start)
    return kernel * factor, product * factor + bias[None], variance
