"""Framework-neutral comparisons: NumPy in, a measured number and a verdict out.

    compare.relative_l2(jax_grads, torch_grads, tolerance=1e-5).require()

Arguments are anything `np.asarray` takes (detach torch tensors first), alone or in nested dicts, lists, tuples and
NamedTuples. Leaves are matched by their dotted path, so a flat `{"linear1.weight": …}` matches a nested
`{"linear1": {"weight": …}}`; a list's entry `net[1]` does not match torch's `net.1`. In every comparison

- NaN fails, on either side and against NaN; an infinity fails too, except in `exact`;
- another shape, a missing or an extra leaf fails by name: nothing is broadcast or skipped;
- nothing to compare (no leaves, no elements, no steps) is a ValueError: it would pass whatever the port did;
- complex and object arrays are a TypeError; integers, booleans and bfloat16 are welcome;
- differences are taken in float64.

A tolerance that is not finite or is below 0 is a ValueError. The comparisons of samples, from the files below this one,
are here as well; import this file alone. `docs/your-own-port.md` shows which comparison answers which question.
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
    "Comparison",
    "Equivalence",
    "Significance",
    "Trajectory",
    "allclose",
    "exact",
    "holm",
    "ks_two_sample",
    "max_abs",
    "max_relative",
    "moments",
    "not_worse_than",
    "relative_l2",
    "runs_needed",
    "tost",
    "tost_power",
    "trajectory",
    "ulp_distance",
]
