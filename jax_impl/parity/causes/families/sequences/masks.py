"""Masks that a module receives, as what attention adds to its scores."""

from collections.abc import Iterator, Sequence

import numpy as np

from jax_impl.parity.causes.cases import Floats
from jax_impl.parity.causes.compute.layers.attention import Attention, as_added

Choice = tuple[tuple[Floats, ...], tuple[str, ...]]  # masks that are added, and what each is called


def mask_choices(inputs: Sequence[Floats | None], how: Attention) -> Iterator[Choice]:
    """Yield masks that may be added to the scores, with what each is called."""
    n, length, source = len(how.query), how.query.shape[1], how.key.shape[1]
    found: list[tuple[Floats, str]] = []
    for array in inputs:
        if array is None:
            continue
        shape = array.shape
        if shape == (n, source):
            shaped, word = array[:, None, None, :], "the padding mask"
        elif shape in ((length, source), (1, length, source)):
            shaped, word = array.reshape(1, 1, length, source), "the attention mask"
        elif shape == (n * how.heads, length, source):
            shaped, word = array.reshape(n, how.heads, length, source), "the attention mask"
        elif array.ndim == 4 and shape[-1] == source and shape[-2] in (1, length) and shape[0] in (1, n):
            shaped, word = array, "the padding mask" if shape[-2] == 1 else "the attention mask"
        else:
            continue
        found.append((shaped, word))
    yield (), ()
    for shaped, word in found:
        finite = shaped[np.isfinite(shaped)]
        two = set(np.unique(finite).tolist()) <= {0.0, 1.0} and np.isfinite(shaped).all()
        forms = (as_added(shaped, seen=False), as_added(shaped, seen=True)) if two else (shaped.astype(np.float64),)
        for form in forms:
            yield (form,), (word,)
    if len(found) == 2 and not any(np.isfinite(one).all() for one, _ in found):
        yield tuple(one for one, _ in found), tuple(word for _, word in found)
