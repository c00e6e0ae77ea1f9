"""Comparisons of numbers from any two programs. Arguments are arrays; results are a measured number and a verdict.

    compare.relative_l2(jax_grads, torch_grads, tolerance=1e-5).require()

An argument is an array (anything that `np.asarray` accepts; detach torch tensors first) or a tree of arrays: nested
dicts, lists, tuples and NamedTuples. Leaves are matched by their dotted paths. A flat `{"linear1.weight": …}` matches a
nested `{"linear1": {"weight": …}}`, but the list entry `net[1]` does not match torch's `net.1`. In every comparison:

- NaN fails, on either side and also against NaN.
- An infinity must be the same on both sides; in `trajectory` it fails. In the comparisons that divide by the size of a
  leaf the same holds for numbers near the largest float, such as `finfo.min`. They fill attention masks, and do not
  count in the size of a leaf: they would make it so large that no other difference mattered.
- A different shape and a missing or unexpected leaf fail by name. Nothing is broadcast or skipped. A shape that differs
  only by axes of length 1 fails, too, but the message says whether the values agree.
- It is a ValueError if there is nothing to compare (no leaves, no elements, no steps), because that would always pass.
- Complex and object arrays are a TypeError. Integers, booleans and bfloat16 are allowed.
- Differences are computed in float64.
- A tolerance that is negative or not finite is a ValueError.

All comparisons of trees take these keywords:

- `mask`, a boolean array or a tree of them: True where elements are compared. Leaves without a mask are compared whole.
  Use it where elements do not matter, as in padding, and for fill values that look like numbers, such as -1e9.
- `order`, names of leaves or modules in the order of execution: failures are reported in this order, not in that of the
  expected tree.

`relative_l2`, `max_relative` and `not_worse_than` divide by the size of what is expected. They also take `noise`, the
size of rounding errors where it is known: one number, or a tree of numbers or arrays by leaf; leaves that it does not
name have none. Of an array the comparison takes its own norm, L2 or the largest magnitude. To measure noise, run the
reference again with another order of summation (the batch reversed, another number of threads), or with inputs
multiplied by 1 ± u at random, and subtract. Such a deviation is random itself, so multiply it by 10:

    noise = {name: 10 * (again[name] - once[name]) for name in once}

Import this package, not its files. `docs/by-hand.md` shows which comparison answers which question.
"""

from jax_impl.compare.arrays import allclose, exact, max_abs, max_relative, relative_l2, ulp_distance
from jax_impl.compare.curves import Trajectory, trajectory
from jax_impl.compare.equivalence import Equivalence, runs_needed, tost, tost_power
from jax_impl.compare.results import Comparison
from jax_impl.compare.rounding import not_worse_than
from jax_impl.compare.statistics import Significance, holm, ks_two_sample, moments

__all__ = [
    "Comparison", "Equivalence", "Significance", "Trajectory", "allclose", "exact", "holm", "ks_two_sample", "max_abs",
    "max_relative", "moments", "not_worse_than", "relative_l2", "runs_needed", "tost", "tost_power", "trajectory",
    "ulp_distance",
]  # fmt: skip
