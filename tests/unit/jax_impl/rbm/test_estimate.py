"""What machines need, from their shapes, next to XLA's own plans."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jax_impl.rbm import likelihood, training
from jax_impl.rbm.estimate import machines, machines_work
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.settings import Settings

IMAGES = 4 * 784 * 70_000  # bytes, in float32
SHAPES = ((500, 1, 100), (4000, 1, 6000), (500, 50, 100), (3000, 10, 1000))


def planned(program: Any) -> int:
    plan = program.memory_analysis()
    return int(plan.argument_size_in_bytes + plan.temp_size_in_bytes + plan.output_size_in_bytes)


@pytest.mark.parametrize(("hidden", "k", "batch_size"), SHAPES)
def test_an_epoch_needs_no_more_than_was_estimated(hidden: int, k: int, batch_size: int) -> None:
    settings = Settings(hidden=hidden, k=k, batch_size=batch_size)
    shapes = replace(settings, epochs=0, learning_rate=1.0, seed=0)
    program = training.compiled_epoch(shapes, 60_000, 784, 60_000 // batch_size)
    assert 0.3 * machines([hidden], settings).device < planned(program) < machines([hidden], settings).device


@pytest.mark.parametrize("hidden", [500, 4000])
def test_monitors_and_likelihood_need_no_more_than_was_estimated(hidden: int) -> None:
    def shape(*sizes: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(sizes, jnp.float32)

    rbm: Any = Rbm(shape(784, hidden), shape(784), shape(hidden))  # type: ignore[arg-type]
    key = jax.eval_shape(lambda: jax.random.key(0))
    monitors = training._monitors.lower(rbm, shape(10_000, 784), shape(10_000, 784), key).compile()
    estimated = machines([hidden], Settings(hidden=hidden))
    assert planned(monitors) < estimated.device
    images = likelihood._unnormalised.lower(rbm, shape(60_000, 784), key).compile()
    annealed = machines([hidden], Settings(hidden=hidden), annealed=True)
    assert planned(images) < annealed.device
    assert annealed.device > estimated.device


def test_each_setting_adds_memory_and_work() -> None:
    base = Settings(hidden=500)
    for change, sizes in (
        ({}, [5000]), ({}, [500, 5000]), ({"batch_size": 30_000}, [500]), ({"k": 1000}, [500]),
        ({"dtype": "float64"}, [500]),
    ):  # fmt: skip
        more, less = machines(sizes, replace(base, **change)), machines([500], base)  # type: ignore[arg-type]
        assert more.device > 1.5 * less.device or more.host > 1.5 * less.host, (change, sizes)
    for change, sizes, factor in (({"epochs": 20}, [500], 2), ({"k": 11}, [500], 5), ({}, [1000], 2)):
        work = machines_work(sizes, replace(base, **change)).operations  # type: ignore[arg-type]
        assert work == pytest.approx(factor * machines_work([500], base).operations)


def test_a_stack_holds_the_images_of_its_upper_machines() -> None:
    one, two = machines([500], Settings()), machines([500, 500], Settings())
    assert one.device > IMAGES
    assert two.device - one.device == 4 * 70_000 * (784 + 500)


@pytest.mark.slow
def test_the_estimate_in_parts_has_the_bits_of_the_whole() -> None:
    """`log_likelihood` anneals in parts, so that a command can show its progress."""
    rng = jax.random.key(3)
    one = Rbm(0.1 * jax.random.normal(rng, (20, 7)), jnp.zeros(20), jnp.zeros(7))
    images = jax.random.uniform(rng, (30, 20))
    seen: list[int] = []
    found = likelihood.log_likelihood(one, images, images[:10], rng, 120, seen.append)
    assert seen == [50, 100, 120]
    key = jax.random.split(rng, 3)[2]
    whole = jax.jit(lambda rbm: likelihood.annealed_importance_sampling(rbm, key, temperatures=120))(one)
    assert float(found.log_partition) == float(whole.estimate)
