"""The floor of the benchmarks multiplies all that a training step multiplies, at every step, and nothing else."""

import re
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from tests.bench import floor, floor_torch, rbm_floor

LAYERS, BATCH, STEPS = (12, 40, 36, 7), 5, 3
SHAPES = [(784, 256, 256, 10), (784, 512, 512, 512, 512, 10), (784, *[64] * 8, 10), LAYERS]


def by_hand(layers: tuple[int, ...], batch: int) -> list[tuple[int, int]]:
    """Shapes of the results of a step's products, 3L - 1 of them; a weight's gradient in either orientation."""
    pairs = list(pairwise(layers))
    forward = [(batch, fan_out) for _, fan_out in pairs]
    weights = [tuple(sorted(pair)) for pair in pairs]
    inputs = [(batch, fan_in) for fan_in, _ in pairs[1:]]
    return sorted(forward + weights + inputs)


def reference(inputs: np.ndarray, kernels: list[np.ndarray]) -> list[np.ndarray]:
    """The gradients of the weights in float64, the last layer's first, (fan_in, fan_out) each."""
    outputs = [inputs.astype(np.float64)]
    for kernel in kernels:
        outputs.append(outputs[-1] @ kernel)
    delta, gradients = outputs.pop(), []
    for kernel in reversed(kernels):
        gradients.append(outputs.pop().T @ delta)
        delta = delta @ kernel.T
    return gradients


def computations(hlo: str) -> dict[str, str]:
    """The bodies of an HLO module's computations by name; the entry is ENTRY."""
    found = re.findall(r"^(ENTRY )?%(\S+) \(.*?\{\n(.*?)^\}$", hlo, re.MULTILINE | re.DOTALL)
    return {"ENTRY" if entry else name: body for entry, name, body in found}


def products_under(name: str, bodies: dict[str, str], *, loops: bool = True) -> list[tuple[int, int]]:
    """Shapes of the products that one run of a computation makes, of all that it calls with them."""
    shapes = [tuple(map(int, sizes)) for sizes in re.findall(r"= f32\[(\d+),(\d+)\]\S* dot\(", bodies[name])]
    called = re.findall(
        r"(?:calls|to_apply|body)=%([\w.\-]+)" if loops else r"(?:calls|to_apply)=%([\w.\-]+)", bodies[name]
    )
    return shapes + [shape for other in called for shape in products_under(other, bodies, loops=loops)]


@pytest.mark.parametrize("layers", SHAPES)
def test_xla_makes_every_product_in_every_step(layers: tuple[int, ...]) -> None:
    hlo = floor.compiled_steps(layers, BATCH, STEPS).as_text()
    bodies = computations(hlo)
    (loop,) = re.findall(r"while\(.*body=%([\w.\-]+)", hlo)
    made = [shape if shape[0] == BATCH else tuple(sorted(shape)) for shape in products_under(loop, bodies)]
    assert len(made) == 3 * (len(layers) - 1) - 1
    assert sorted(made) == by_hand(layers, BATCH)
    assert products_under("ENTRY", bodies, loops=False) == []
    assert re.findall(r'"known_trip_count":\{"n":"(\d+)"\}', hlo) == [str(STEPS)]


def test_torch_makes_every_product_in_every_step(mnist: Mnist) -> None:
    made: list[tuple[int, int]] = []
    others: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if function is torch.ops.aten.mm.out:
                made.append(tuple(result.shape))
            else:
                others.append(str(function))
            return result

    part = mnist._replace(train_images=mnist.train_images[:16], train_labels=mnist.train_labels[:16])
    epochs = floor_torch.epochs(Recipe(name="floor", layers=LAYERS, batch_size=BATCH), part)
    next(epochs)
    with Watch():
        next(epochs)
    made = [shape if shape[0] == BATCH else tuple(sorted(shape)) for shape in made]
    assert sorted(made) == sorted(by_hand(LAYERS, BATCH) * STEPS)  # 16 images are three batches
    assert set(others) == {"aten.select.int", "aten._local_scalar_dense.default"}  # one number, waited for


def test_both_floors_give_the_gradients_of_a_linear_network() -> None:
    inputs, kernels = floor.operands(LAYERS, BATCH)
    expected = reference(inputs, kernels)
    in_jax = floor.products(jnp.asarray(inputs), [jnp.asarray(kernel) for kernel in kernels])
    calls = floor_torch.products(torch.from_numpy(inputs), [torch.from_numpy(kernel.T.copy()) for kernel in kernels])
    for left, right, result in calls:
        torch.mm(left, right, out=result)
    in_torch = [result.T.numpy() for left, _, result in calls if len(result) != BATCH]
    for gradient, jax_gradient, torch_gradient in zip(expected, in_jax, in_torch, strict=True):
        transposed = jax_gradient.T if gradient.shape[1] <= floor.NARROW else jax_gradient
        # float32 keeps seven digits; sums of up to 40 products lose one of them.
        np.testing.assert_allclose(transposed, gradient, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(torch_gradient, gradient, rtol=1e-4, atol=1e-5)


def test_flop_is_what_xla_counts() -> None:
    # 2 * 5 * (3 * (12 * 40 + 40 * 36 + 36 * 7) - 12 * 40)
    assert floor.flop(LAYERS, BATCH) == 60_360
    counted = floor.compiled_steps(LAYERS, BATCH, STEPS).cost_analysis()["flops"]  # of a step
    assert 60_360 <= counted < 60_380  # a few are the element of each gradient that goes into the next step


def test_the_floor_of_a_machine_multiplies_five_times_in_every_step() -> None:
    compiled = rbm_floor.compiled_steps(hidden=40, batch=BATCH, steps=STEPS)
    hlo = compiled.as_text()
    bodies = computations(hlo)
    (loop,) = re.findall(r"while\(.*body=%([\w.\-]+)", hlo)
    made = [shape if shape[0] == BATCH else tuple(sorted(shape)) for shape in products_under(loop, bodies)]
    # Hidden units, visible ones, hidden ones again, and the statistics of both phases
    assert sorted(made) == sorted([(BATCH, 40), (BATCH, 784), (BATCH, 40), (40, 784), (40, 784)])
    assert products_under("ENTRY", bodies, loops=False) == []
    assert re.findall(r'"known_trip_count":\{"n":"(\d+)"\}', hlo) == [str(STEPS)]
    assert rbm_floor.flop(40, BATCH) == 5 * 2 * BATCH * 784 * 40
    assert rbm_floor.flop(40, BATCH) <= compiled.cost_analysis()["flops"] < rbm_floor.flop(40, BATCH) + 20


def test_the_floor_of_a_machine_gives_the_statistics_of_a_linear_one() -> None:
    inputs, (weight,) = floor.operands((784, 40), BATCH)
    found = rbm_floor.products(jnp.asarray(inputs), [jnp.asarray(weight)])
    v, w = inputs.astype(np.float64), weight.astype(np.float64)
    recreated = v @ w @ w.T
    for statistics, expected in zip(found, (v.T @ (v @ w), recreated.T @ (recreated @ w)), strict=True):
        # float32 keeps seven digits; sums of up to 784 products lose two of them.
        np.testing.assert_allclose(statistics, expected, rtol=1e-3, atol=1e-4)
