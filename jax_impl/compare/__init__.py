"""Comparisons of numbers from any two programs. Arguments are arrays; results are a measured number and a verdict.

    compare.relative_l2(jax_grads, torch_grads, tolerance=1e-5).require()

An argument is an array (anything that `np.asarray` accepts; detach torch tensors first) or a tree of arrays: nested
dicts, lists, tuples and NamedTuples. Leaves are matched by their dotted paths. A flat `{"linear1.weight": …}` matches a
nested `{"linear1": {"weight": …}}`, but the list entry `net[1]` does not match torch's `net.1`. In every comparison:

- NaN fails, on either side and also against NaN. An infinity fails, except in `exact`.
- A different shape and a missing or unexpected leaf fail by name. Nothing is broadcast or skipped.
- It is a ValueError if there is nothing to compare (no leaves, no elements, no steps), because that would always pass.
- Complex and object arrays are a TypeError. Integers, booleans and bfloat16 are allowed.
- Differences are computed in float64.
- A tolerance that is negative or not finite is a ValueError.

Import this package, not its files. `docs/your-own-port.md` shows which comparison answers which question.
"""

from jax_impl.compare.arrays import (
    Trajectory,
    allclose,
    exact,
    max_abs,
    max_relative,
    not_worse_than,
    relative_l2,
    trajectory,
    ulp_distance,
)
from jax_impl.compare.equivalence import Equivalence, runs_needed, tost, tost_power
from jax_impl.compare.results import Comparison
from jax_impl.compare.statistics import Significance, holm, ks_two_sample, moments

__all__ = [
    "Comparison", "Equivalence", "Significance", "Trajectory", "allclose", "exact", "holm", "ks_two_sample", "max_abs",
    "max_relative", "moments", "not_worse_than", "relative_l2", "runs_needed", "tost", "tost_power", "trajectory",
    "ulp_distance",
]  # fmt: skip
