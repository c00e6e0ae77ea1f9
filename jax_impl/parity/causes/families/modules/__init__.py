"""Families of causes in single modules that can be computed again from input, weights and settings.

Read `again` first: what a module of the reference does. `making` finds the call that makes the array which differs.
"""

from jax_impl.parity.causes.families.modules import (
    convolutions,
    embeddings,
    linear,
    pooling,
    precision,
    resizing,
    rows,
)

FAMILIES = (
    *convolutions.FAMILIES,
    *rows.FAMILIES,
    *linear.FAMILIES,
    *embeddings.FAMILIES,
    *pooling.FAMILIES,
    *resizing.FAMILIES,
    *precision.FAMILIES,
)
