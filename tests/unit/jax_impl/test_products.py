import jax
import numpy as np
import pytest
from jax import lax

from jax_impl import products

PLAIN = (((1,), (0,)), ((), ()))


@pytest.mark.parametrize("fan_out", [products.NARROW, products.NARROW + 1])
def test_values_and_gradients_are_those_of_the_plain_product(fan_out: int) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    inputs, kernel = jax.random.normal(keys[0], (7, 20)), jax.random.normal(keys[1], (20, fan_out))
    ours, theirs = (
        jax.vjp(lambda x, k, dot=dot: dot(x, k, PLAIN, precision="highest"), inputs, kernel)
        for dot in (products.dot_general, lax.dot_general)
    )
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6, atol=1e-6)
    for a, b in zip(ours[1](ours[0]), theirs[1](ours[0]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(20,), (2, 3, 20)])
def test_one_input_and_more_axes_are_multiplied_as_by_flax(shape: tuple[int, ...]) -> None:
    inputs, kernel = jax.numpy.ones(shape), jax.numpy.ones((20, 4))
    numbers = (((len(shape) - 1,), (0,)), ((), ()))
    np.testing.assert_array_equal(products.dot_general(inputs, kernel, numbers), np.full((*shape[:-1], 4), 20))


@pytest.mark.parametrize(("fan_out", "expected"), [(10, "f32[10,256]"), (256, "f32[256,256]")])
def test_the_gradient_of_a_narrow_kernel_is_computed_as_its_transpose(fan_out: int, expected: str) -> None:
    def gradient(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.grad(lambda k: (products.dot_general(inputs, k, PLAIN) ** 2).sum())(kernel)

    shapes = (jax.ShapeDtypeStruct((100, 256), "float32"), jax.ShapeDtypeStruct((256, fan_out), "float32"))
    text = jax.jit(gradient).lower(*shapes).compile().as_text()
    (line,) = [line for line in text.splitlines() if "dot(" in line and "lhs_contracting_dims={0}" in line]
    assert f"= {expected}" in line
