"""Adam in one pass, against Optax's."""

import shutil

import jax
import numpy as np
import pytest

from jax_impl import train
from jax_impl.errors import UserError
from jax_impl.model import init_params
from jax_impl.recipes import Recipe
from tests.bench import one_pass

RECIPE = Recipe(name="odd", layers=(784, 57, 10))  # two threads share the first kernel


@pytest.mark.slow  # g++ takes seconds
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
def test_one_pass_takes_the_steps_of_optax() -> None:
    params, *gradients = (init_params(RECIPE, key=key) for key in jax.random.split(jax.random.key(0), 6))
    ours, theirs = (train.start(params, 0.01) for _ in range(2))
    for gradient in gradients:
        ours = jax.jit(one_pass.update, static_argnums=0)("adam", ours, gradient)
        theirs = train.update(theirs, gradient)
    assert int(ours.opt_state[0].count) == len(gradients)
    # A step of Adam is at most about the learning rate, and each of its few roundings 6e-8 of that.
    for mine, reference in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-5, atol=1e-7)
    moved = jax.tree.map(lambda new, old: float(abs(new - old).max()), ours.params, params)
    assert min(jax.tree.leaves(moved)) > 0.01


def test_without_a_compiler_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    one_pass.register.cache_clear()
    with pytest.raises(UserError, match=r"needs g\+\+: install it, or name the other trials"):
        one_pass.register()
