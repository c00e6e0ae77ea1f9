"""How checkpoints divide an epoch."""

from collections.abc import Iterator


def segments(done: int, steps: int, every: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield (first step, end) of each remaining segment of an epoch of `steps` steps, of which `done` are done.

    A segment has `every` steps; None makes the rest of the epoch one segment. No segment has a single step unless the
    epoch has only one: XLA replaces a loop of one step by its body, fuses it with its surroundings, and may round
    differently. So two steps are the minimum, and a single last step joins the segment before it.
    """
    while done < steps:
        end = steps if every is None else min(done + max(every, 2), steps)
        end = steps if steps - end == 1 else end
        yield done, end
        done = end
