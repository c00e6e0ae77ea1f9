"""Where checkpoints cut an epoch."""


def end(first: int, steps: int, every: int | None) -> int:
    """Return where the part of an epoch of so many steps ends that begins with the step `first`, counted from 0.

    It has `every` steps, or all that are left, but never a single one, unless that is the epoch: XLA dissolves a loop
    of one step, fuses it with what is around it, and may round otherwise. So two steps are the least, and a last one
    goes with those before it.
    """
    last = steps if every is None else min(first + max(every, 2), steps)
    return steps if steps - last == 1 else last
