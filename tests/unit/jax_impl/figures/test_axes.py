import numpy as np

from jax_impl.figures import axes


def test_geometric_means_keep_zeros_and_nan() -> None:
    found = axes.log_mean([[1.0, 4.0, 0.0, None], [4.0, 4.0, 1.0, 1.0]])
    np.testing.assert_allclose(found, [2, 4, 0, np.nan])


def test_every_name_has_a_line_style_of_its_own() -> None:
    names = [f"init{number}" for number in range(20)]
    styles = axes.styles_of([*names, *names])
    assert len({(style["color"], style["ls"]) for style in styles.values()}) == 20
