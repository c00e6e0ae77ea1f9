"""Pairs torch's parameters and buffers with the leaves of a JAX model. NumPy and SciPy only."""

from jax_impl.parity.mapping.deciding import decide
from jax_impl.parity.mapping.layouts import converted, recorded_names, restored, terms, value
from jax_impl.parity.mapping.leaves import Choice, Layout, Leaf, Pair, Proposal, Scores, Unmatched
from jax_impl.parity.mapping.module_pairs import alternatives, modules
from jax_impl.parity.mapping.proposing import propose

__all__ = [
    "Choice", "Layout", "Leaf", "Pair", "Proposal", "Scores", "Unmatched", "alternatives", "converted", "decide",
    "modules", "propose", "recorded_names", "restored", "terms", "value",
]  # fmt: skip
