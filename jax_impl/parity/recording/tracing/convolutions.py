"""Convolutions in float64 as matrix products: XLA has no fast ones for CPUs, but a fast product."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

LARGEST = 2**26  # elements of the patches (512 MiB), beyond which a convolution stays one


def slow(equation: Any) -> bool:
    """Return whether an equation is a convolution that XLA computes in plain loops, and whose patches fit memory."""
    if equation.primitive is not lax.conv_general_dilated_p or jax.default_backend() != "cpu":
        return False
    image, kernel = (variable.aval for variable in equation.invars)
    if image.dtype != jnp.float64 or equation.params["batch_group_count"] != 1:
        return False
    shape = equation.params["dimension_numbers"].rhs_spec
    elements = math.prod(kernel.shape[axis] for axis in shape[1:]) * equation.params["feature_group_count"]
    output = equation.outvars[0].aval
    return bool(elements * output.size // kernel.shape[shape[0]] <= LARGEST)


def product(
    image: Any,
    kernel: Any,
    *,
    window_strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    lhs_dilation: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    dimension_numbers: Any,
    feature_group_count: int,
    **_others: Any,
) -> Any:
    """Return what `lax.conv_general_dilated` returns: the patches of an image, times the kernel.

    The arguments are the primitive's; of several batch groups there is none.
    """
    batch, features, *places = dimension_numbers.lhs_spec
    image = jnp.transpose(image, (batch, *places, features))
    outputs, inputs, *places = dimension_numbers.rhs_spec
    kernel = jnp.transpose(kernel, (*places, inputs, outputs))
    borders = [(low, high, dilation - 1) for (low, high), dilation in zip(padding, lhs_dilation, strict=True)]
    image = lax.pad(image, jnp.zeros((), image.dtype), [(0, 0, 0), *borders, (0, 0, 0)])
    window, (width, count) = kernel.shape[:-2], kernel.shape[-2:]
    reach = [(size - 1) * dilation for size, dilation in zip(window, rhs_dilation, strict=True)]
    ends = [size - length for size, length in zip(image.shape[1:-1], reach, strict=True)]
    patches = []
    for place in np.ndindex(*window):
        first = [index * dilation for index, dilation in zip(place, rhs_dilation, strict=True)]
        last = [start + end for start, end in zip(first, ends, strict=True)]
        patches.append(
            lax.slice(image, (0, *first, 0), (image.shape[0], *last, image.shape[-1]), (1, *window_strides, 1))
        )
    groups = feature_group_count
    stacked = jnp.stack(patches, axis=-2).reshape(*patches[0].shape[:-1], len(patches), groups, width)
    kernel = kernel.reshape(len(patches), width, groups, count // groups)
    result = jnp.einsum("...kgi,kigo->...go", stacked, kernel).reshape(*patches[0].shape[:-1], count)
    batch, features, *places = dimension_numbers.out_spec
    return jnp.transpose(result, np.argsort((batch, *places, features)).tolist())
