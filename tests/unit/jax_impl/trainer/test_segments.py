import pytest

from jax_impl.trainer.segments import segments


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (None, [10]),
        (1, [2, 4, 6, 8, 10]),
        (2, [2, 4, 6, 8, 10]),
        (3, [3, 6, 10]),
        (4, [4, 8, 10]),
        (9, [10]),
        (10, [10]),
        (99, [10]),
    ],
)
def test_a_segment_has_the_given_number_of_steps_but_never_one(every: int | None, expected: list[int]) -> None:
    assert list(segments(0, 10, every)) == list(zip([0, *expected], expected, strict=False))


def test_an_epoch_continues_after_its_finished_steps() -> None:
    assert list(segments(4, 10, 4)) == [(4, 8), (8, 10)]
    assert list(segments(4, 10)) == [(4, 10)]
    assert list(segments(10, 10, 4)) == []


@pytest.mark.parametrize("every", [None, 1, 5])
def test_an_epoch_of_one_step_is_one_segment(every: int | None) -> None:
    assert list(segments(0, 1, every)) == [(0, 1)]
