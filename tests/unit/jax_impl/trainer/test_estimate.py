"""What a run needs, from its shapes. `tests/scale/test_memory.py` compares it with processes."""

import jax
import pytest

from jax_impl.errors import LARGEST, ArgumentError
from jax_impl.recipes import RECIPES, Recipe
from jax_impl.train import compiled_epoch
from jax_impl.trainer import devices, estimate
from jax_impl.trainer.estimate import Memory, Speed, Work
from jax_impl.trainer.memory import GIB


@pytest.fixture
def ten_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "memory", lambda: 10 * GIB)
    monkeypatch.setattr(devices, "host_memory", lambda: 10 * GIB)


def needs(batch_size: int, width: int = 1) -> Memory:
    return Memory(device=batch_size * width * 2.0**20, host=2.0**30)


def test_a_step_has_the_operations_of_three_matrix_products() -> None:
    recipe = Recipe(name="tiny", layers=(5, 3, 2), batch_size=7, epochs=2)
    assert estimate.weights(recipe) == 5 * 3 + 3 * 2
    # forward X·W, backward to the weights Xᵀ·G and to the inputs G·Wᵀ: each a multiplication and an addition
    assert estimate.flops(recipe, 2) == 2 * 3 * 2 * 7 * 21
    steps = 2 * (60_000 // 7)
    assert estimate.network_work(recipe) == Work(steps * 3 * 2 * 7 * 21, steps * 2)


@pytest.mark.usefixtures("ten_gib")
def test_what_fits_is_the_largest_number_that_fits() -> None:
    """Of 10 GiB, 8 may be used. The host's copies take 1, the process 0.8."""
    fits = int((8 - 1 - 0.8) * 1024)
    estimate.refuse(needs, batch_size=fits)
    message = f"this run would need about 8 GiB of memory, more than the 8 GiB .*: use at most --batch-size {fits}$"
    with pytest.raises(ArgumentError, match=message):
        estimate.refuse(needs, batch_size=fits + 1)
    with pytest.raises(ArgumentError, match=f"use at most --batch-size {fits // 100} or --width {fits // 1000}$"):
        estimate.refuse(needs, batch_size=1000, width=100)
    with pytest.raises(ArgumentError, match=f"--batch-size {fits}$"):
        estimate.refuse(needs, batch_size=LARGEST)


@pytest.mark.usefixtures("ten_gib")
def test_an_option_that_does_not_help_is_not_named() -> None:
    with pytest.raises(ArgumentError, match=r"use at most --batch-size 63$"):
        estimate.refuse(needs, batch_size=LARGEST, width=100)
    with pytest.raises(ArgumentError, match=r"use a smaller network, or a larger machine$"):
        estimate.refuse(lambda k: Memory(2.0**60, 0.0), k=5)


@pytest.mark.usefixtures("ten_gib")
def test_an_accelerator_has_a_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Memory(device=5.0 * GIB, host=5.0 * GIB)
    assert estimate.shortage(both) == "10.8 GiB of memory, more than the 8 GiB available on this machine"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(devices, "host_memory", lambda: 20 * GIB)
    assert estimate.shortage(both) is None
    assert estimate.shortage(both._replace(device=9.0 * GIB)) == (
        "9 GiB of memory, more than the 8 GiB available on this device"
    )
    assert estimate.shortage(both._replace(host=19.0 * GIB)) == (
        "19.8 GiB of memory, more than the 16 GiB available on this machine"
    )


@pytest.mark.parametrize("limit", [4.0, float("nan")])
def test_the_user_s_limit_counts_for_the_device(limit: float) -> None:
    memory = Memory(device=5.0 * GIB, host=0.0)
    assert estimate.shortage(memory, limit) == f"5 GiB of memory, more than the {limit:.3g} GiB of --max-gib"
    assert estimate.shortage(memory, 5.0) is None


@pytest.mark.parametrize("recipe", [RECIPES["mnist_nn"], RECIPES["mnist_nn_deep"].with_changes(batch_size=6000)])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_program_needs_no_more_than_was_estimated(recipe: Recipe, optimizer: str) -> None:
    """XLA's own plan of an epoch. The estimate also holds the initial parameters, and the test images."""
    order = (60_000 // recipe.batch_size, recipe.batch_size)
    program = compiled_epoch(recipe.layers, recipe.dtype, recipe.activation, optimizer, (60_000, 784), order)
    plan = program.memory_analysis()
    planned = plan.argument_size_in_bytes + plan.temp_size_in_bytes
    estimated = estimate.network(recipe.with_changes(optimizer=optimizer)).device
    assert 0.3 * estimated < planned < estimated


def test_only_a_long_run_is_timed_and_announced() -> None:
    def never() -> Speed:
        pytest.fail("timed")

    assert estimate.hours_if_long(estimate.network_work(Recipe(name="notebook")), never) is None
    much = Work(operations=1e17, layers=1e6)
    assert estimate.hours_if_long(much, lambda: Speed(1e-11, 1e-4)) == pytest.approx((1e6 + 100) / 3600)
    assert estimate.hours_if_long(much, lambda: Speed(1e-14, 1e-4)) is None


@pytest.mark.slow
def test_the_measured_speed_is_plausible() -> None:
    speed = estimate.measure()
    assert 1e-15 < speed.flop < 1e-8
    assert 0 <= speed.layer < 1e-2
