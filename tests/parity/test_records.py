"""The ladder of `prove` on every recipe, in both precisions. The rungs read the same verdicts."""

import pytest

from jax_impl.recipes import RECIPES
from tests.parity.records import verdict
from tests.tiers import slow


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [slow(name) for name in RECIPES])
def test_every_recipe_is_proven(name: str, dtype: str) -> None:
    verdict(name, dtype).require()
