"""The comparisons of leaves, for the tests that hold for several of them."""

from jax_impl import compare

# Every comparison of leaves as a function of (actual, expected), loose enough to pass close ones.
LEAFWISE = {
    "exact": compare.exact,
    "relative_l2": lambda a, b: compare.relative_l2(a, b, tolerance=0.5),
    "max_abs": lambda a, b: compare.max_abs(a, b, tolerance=0.5),
    "max_relative": lambda a, b: compare.max_relative(a, b, tolerance=0.5),
    "allclose": lambda a, b: compare.allclose(a, b, rtol=0.5),
    "ulp_distance": lambda a, b: compare.ulp_distance(a, b, tolerance=4),
    "trajectory": lambda a, b: compare.trajectory(a, b, tolerance=0.5),
}
TREEWISE = {name: function for name, function in LEAFWISE.items() if name != "trajectory"}
ROUNDED = {name: function for name, function in LEAFWISE.items() if name != "exact"}
