import pytest

from jax_impl.trainer import segments


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
def test_parts_have_so_many_steps_and_never_one(every: int | None, expected: list[int]) -> None:
    ends = [0]
    while ends[-1] < 10:
        ends.append(segments.end(ends[-1], 10, every))
    assert ends[1:] == expected


@pytest.mark.parametrize("every", [None, 1, 5])
def test_an_epoch_of_one_step_is_whole(every: int | None) -> None:
    assert segments.end(0, 1, every) == 1
