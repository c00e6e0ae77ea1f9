import numpy as np
import pytest

from jax_impl.parity.arrays import Store
from jax_impl.parity.recording.tracing.align import candidates, match, relative_error
from jax_impl.parity.recording.tracing.aligned import Aligned, recorded
from jax_impl.parity.recording.tracing.passes import Call


@pytest.mark.parametrize(
    ("theirs", "ours", "count"),
    [
        ((2, 3), (2, 3), 1),
        ((2, 3, 4, 5), (2, 4, 5, 3), 1),
        ((2, 2), (2, 2), 2),
        ((6,), (2, 3), 1),
        ((), (), 1),
        ((1, 3), (2, 3), 1),
        ((3,), (4,), 0),
    ],
)
def test_candidates_fit_and_are_inverses(theirs: tuple[int, ...], ours: tuple[int, ...], count: int) -> None:
    found = candidates(theirs, ours)
    assert len(found) == count
    array = np.broadcast_to(np.random.default_rng(0).normal(size=ours)[:1], ours) if ours else np.zeros(())
    for axes in found:
        assert axes.to_theirs(array).shape == theirs
        np.testing.assert_array_equal(axes.to_ours(axes.to_theirs(array)), array)


def test_numbers_decide_where_shapes_tie() -> None:
    image = np.random.default_rng(0).normal(size=(4, 4, 4, 4))  # NCHW
    (found,) = match([(image.shape, image)], [image.transpose(0, 2, 3, 1)], limit=10_000)
    assert found is not None
    assert found.error == 0
    np.testing.assert_array_equal(found.axes.to_theirs(image.transpose(0, 2, 3, 1)), image)


def test_the_usual_order_is_taken_where_no_order_agrees() -> None:
    rng = np.random.default_rng(0)
    last, swapped = (0, 3, 1, 2), (0, 3, 2, 1)
    for _ in range(8):  # by the least error alone, about half of them would be exchanged
        theirs, ours = rng.normal(size=(5, 3, 8, 8)), rng.normal(size=(5, 8, 8, 3))
        (found,) = match([(theirs.shape, theirs)], [ours], limit=10_000, usual={last})
        assert found is not None
        assert found.axes.order == last
    (found,) = match([(theirs.shape, theirs)], [theirs.transpose(0, 3, 2, 1)], limit=10_000, usual={last})
    assert found is not None
    assert found.axes.order == swapped  # it agrees


def test_arrays_of_a_call_are_paired_once_and_the_rest_is_left() -> None:
    a, b = np.zeros((2, 3)), np.ones((2, 3))
    found = match([(a.shape, a), (b.shape, b), ((9,), np.zeros(9))], [b, a], limit=10)
    assert [one and one.index for one in found] == [1, 0, None]


def test_a_mask_of_truth_values_is_that_of_the_same_numbers() -> None:
    mask, segments = np.array([[1, 1, 0], [1, 0, 0]]), np.array([[0, 1, 1], [0, 0, 1]])
    theirs = [(one.shape, one) for one in (mask, segments)]
    assert [one and one.index for one in match(theirs, [segments, mask > 0], limit=10)] == [1, 0]
    assert match(theirs[:1], [mask == 0], limit=10) == [None]  # the opposite is no error of 0 and 1
    assert match([(mask.shape, 1.0 * mask)], [mask > 0], limit=10) == [None]


def test_the_shapes_of_arrays_without_a_partner_are_recorded() -> None:
    x, y = np.zeros((2, 3)), np.ones((2, 5, 5, 4))
    both = match([((2, 3), x), ((2, 4, 6, 6), np.ones((2, 4, 6, 6)))], [x, y], limit=10)
    call = Call("conv", 0, 0, inputs=[x, y], outputs=[x])
    aligned = {("conv", 0): Aligned(call, {}, both, match([((2, 3), x)], [x], limit=10))}
    (found,) = recorded(Store(), aligned, 10)
    assert found["inputs"][1] is None
    assert found["own_inputs"] == [[2, 5, 5, 4]]
    assert "own_outputs" not in found


def test_fills_do_not_hide_an_error_and_nan_is_one() -> None:
    fill = np.finfo(np.float32).min
    assert relative_error(np.array([fill, 2.0]), np.array([fill, 1.0])) == 1
    assert relative_error(np.array([-np.inf, 1.0]), np.array([-np.inf, 1.0])) == 0
    assert relative_error(np.array([0.0, 1.0]), np.array([-np.inf, 1.0])) == np.inf
    assert relative_error(np.array([np.nan]), np.array([np.nan])) == np.inf


def test_a_row_that_the_port_repeats_is_compared_once() -> None:
    row = np.arange(3.0)[None]
    repeated = np.repeat(row, 4, axis=0)
    (found,) = match([(row.shape, row)], [repeated], limit=100)
    assert found is not None
    assert found.error == 0
    repeated[3, 1] += 1  # not the same in every row
    assert match([(row.shape, row)], [repeated], limit=100) == [None]
