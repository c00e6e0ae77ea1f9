"""Each rung can fail: each fault of the catalogue is planted, and the rung that must catch it first does."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from jax_impl import model, train
from jax_impl.model import init_params
from jax_impl.recipes import Recipe
from tests.parity.faults import FAST, FAULTS, Fault, catches, caught_by, planted
from tests.parity.ladder import RUNGS, TINY, number, rung


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_expected_rung_catches_it_first(fault: Fault) -> None:
    assert caught_by(fault, first_only=True) == [fault.expected]


@pytest.mark.slow
def test_without_a_fault_every_rung_passes() -> None:
    """The small climb that the faults are planted into is itself sound."""
    for stem in RUNGS[:-1]:
        rung(stem).measure(TINY).require()


@pytest.mark.parametrize("name", FAST)
def test_one_fault_of_each_kind_is_caught(name: str) -> None:
    """The fast tier asks only the rung that the catalogue names."""
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    (stem,) = (stem for stem in RUNGS if number(stem) == fault.expected)
    with planted(fault):
        assert catches(stem, TINY)


def test_every_fault_can_be_planted_and_leaves_the_code_as_it_was() -> None:
    before = programs()
    for fault in FAULTS:
        with planted(fault):
            pass
    assert programs() == before


def test_every_judging_rung_catches_something() -> None:
    assert {fault.expected for fault in FAULTS} == {number(stem) for stem in RUNGS[:-1]}
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 50
    assert {fault.name for fault in FAULTS} >= set(FAST)


def programs() -> str:
    """Return the programs that training and testing compile, as text."""
    recipe = Recipe(name="programs", layers=(784, 8, 8, 10))
    state = jax.eval_shape(lambda: train.start(init_params(recipe, key=jax.random.key(0)), recipe.learning_rate))
    images, labels = jax.ShapeDtypeStruct((20, 784), jnp.uint8), jax.ShapeDtypeStruct((20,), jnp.int32)
    count = partial(getattr(model.count_correct, "__wrapped__", model.count_correct), activation="relu")
    epoch = jax.make_jaxpr(partial(train.run_epoch))(state, images, labels, jax.ShapeDtypeStruct((2, 5), jnp.int32))
    return f"{epoch}\n{jax.make_jaxpr(count)(state.params, images, labels)}"


@pytest.mark.slow
def test_a_fault_changes_compiled_programs_only_if_it_says_so() -> None:
    """The climbs of other faults share compiled programs, so no fault may leave one behind."""
    clean = programs()
    for fault in FAULTS:
        if not fault.compiles:
            with planted(fault):
                assert programs() == clean, fault.name
