"""What `save` does around the recording."""

import jax
import jax.numpy as jnp

from jax_impl.parity.recording.save import in_own_precision


def test_fresh_models_are_built_as_the_program_builds_them() -> None:
    """Another precision draws other numbers, and compiles the user's initialisers again."""
    narrow = in_own_precision(lambda seed: jax.random.normal(jax.random.key(seed)))
    with jax.enable_x64(True):
        assert narrow(0).dtype == jnp.float32
        wide = in_own_precision(lambda seed: jax.random.normal(jax.random.key(seed)))
    assert wide(0).dtype == jnp.float64
