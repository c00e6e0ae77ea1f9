"""Which layouts can turn one of torch's arrays into one of ours, by the kinds of the two layers and the two shapes.

Sources: the docstrings of torch.nn, flax.linen, flax.nnx and equinox.nn; each is tested against the real layers.
"""

from math import prod

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.mapping.layouts import SAME, Shape, Step, as_reshape, flip, layout, reshape, take, transpose
from jax_impl.parity.mapping.leaves import Layout, Leaf

TYPES = {
    "linear": "linear nondynamicallyquantizablelinear dense densegeneral lineargeneral multiheadattention",
    "conv": "conv conv1d conv2d conv3d",
    "conv_transpose": "convtranspose convtranspose1d convtranspose2d convtranspose3d",
    "embedding": "embedding embeddingbag embed",
}
KINDS = {name: kind for kind, names in TYPES.items() for name in names.split()}
FLAX = ("nnx", "linen")


def kind(leaf: Leaf) -> str:
    """Return what the layer of a weight is: a linear, conv, conv_transpose, embedding or norm; "" if unknown."""
    name = leaf.module_type.casefold().removeprefix("lazy")
    if name == "conv1d" and len(leaf.shape) == 2:
        return "matrix"  # of Hugging Face: a Linear that stores (in, out)
    if name == "multiheadattention" and (leaf.framework != "torch" or len(leaf.shape) != 2):
        return ""
    if not name and leaf.framework in FLAX and leaf.name.rpartition(".")[2] == "kernel":
        return "kernel"  # of one of Flax's layers
    return "norm" if "norm" in name and len(leaf.shape) == 1 else KINDS.get(name, "")


def _is(ours: Leaf, expected: str, framework: tuple[str, ...]) -> bool:
    """Tell whether ours is surely this kind of layer of one of these frameworks, so that its layout is known."""
    return ours.framework in framework and kind(ours) in (expected, "kernel")


def weight_layouts(theirs: Leaf, ours: Leaf) -> list[Layout]:
    """Return the layouts by which `theirs` can become `ours`, the usual one first; none if the shapes do not fit."""
    if prod(theirs.shape) != prod(ours.shape):
        return []
    if max(len(_squeezed(theirs.shape)), len(_squeezed(ours.shape))) <= 1:
        return [as_reshape(theirs.shape, ours.shape)]
    rule = {"linear": _linear, "matrix": _matrix, "conv": _conv, "conv_transpose": _conv_transpose}.get(
        kind(theirs), _other
    )
    found = {candidate.name: candidate for candidate in rule(theirs, ours)}
    return list(found.values())


def _squeezed(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _cuts(shape: Shape, first: int) -> bool:
    """Tell whether the leading axes of a shape have `first` elements together."""
    return any(prod(shape[:count]) == first for count in range(1, len(shape)))


def _transposed(theirs: Shape, ours: Shape) -> list[Layout]:
    """Return (out, in) to (in, out), whose axes ours may have cut: (in, heads, head_dim)."""
    if len(theirs) != 2 or not _cuts(ours, theirs[1]):
        return []
    swapped = theirs[::-1]
    if ours == swapped:
        return [layout("transposed", transpose(1, 0))]
    return [layout(f"transposed to {_text(ours)}", transpose(1, 0), reshape(swapped, ours))]


def _kept(theirs: Shape, ours: Shape) -> list[Layout]:
    if theirs == ours:
        return [SAME]
    fits = _squeezed(theirs) == _squeezed(ours) or (len(theirs) == 2 and _cuts(ours, theirs[0]))
    return [as_reshape(theirs, ours)] if fits else []


def _text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def _linear(theirs: Leaf, ours: Leaf) -> list[Layout]:
    """(out, in) in torch and Equinox, (in, out) in Flax, either in programs that write their own product."""
    transposed, kept = _transposed(theirs.shape, ours.shape), _kept(theirs.shape, ours.shape)
    if _is(ours, "linear", FLAX):
        return transposed
    return kept if _is(ours, "linear", ("equinox",)) or kind(ours) == "embedding" else transposed + kept


def _matrix(theirs: Leaf, ours: Leaf) -> list[Layout]:
    """(in, out) in torch: the layer that Hugging Face's GPT-2 calls Conv1D."""
    transposed, kept = _transposed(theirs.shape, ours.shape), _kept(theirs.shape, ours.shape)
    if _is(ours, "linear", FLAX):
        return kept
    return transposed if _is(ours, "linear", ("equinox",)) else kept + transposed


def _conv(theirs: Leaf, ours: Leaf) -> list[Layout]:
    """(out, in / groups, *kernel) in torch and Equinox, (*kernel, in / groups, out) in Flax."""
    spatial = tuple(range(2, len(theirs.shape)))
    axes = (*spatial, 1, 0)
    last = tuple(theirs.shape[axis] for axis in axes)
    moved = [layout(f"{_order('OI', axes)}", transpose(*axes))] if ours.shape == last else []
    kept = [SAME] if ours.shape == theirs.shape else []
    if _is(ours, "conv", FLAX) and moved:
        return moved
    return kept if _is(ours, "conv", ("equinox",)) else moved + kept + _conv_as_matrix(theirs.shape, ours.shape, last)


def _order(first: str, axes: tuple[int, ...]) -> str:
    """Return a change of axes in letters, such as "OIHW to HWIO"."""
    letters = first + "DHW"[5 - len(axes) :]
    return f"{letters} to {''.join(letters[axis] for axis in axes)}"


def _conv_as_matrix(theirs: Shape, ours: Shape, last: Shape) -> list[Layout]:
    """Return the layouts of a convolution that ours computes as a product of cut-out patches, or of single pixels."""
    if len(_squeezed(ours)) > 2 or len(theirs) < 3:
        return []
    rows = prod(theirs[1:])
    flat, matrix = (theirs[0], rows), (rows, theirs[0])
    found = []
    if ours == matrix:
        found += [layout("patches (pixel, channel)", transpose(*range(2, len(theirs)), 1, 0), reshape(last, matrix))]
        if prod(theirs[2:]) > 1:
            found += [layout("patches (channel, pixel)", reshape(theirs, flat), transpose(1, 0))]
    if ours == flat:
        found += [layout(f"{_text(theirs)} to {_text(ours)}", reshape(theirs, ours))]
    return found


def _conv_transpose(theirs: Leaf, ours: Leaf) -> list[Layout]:
    """(in, out / groups, *kernel) in torch; the kernel is flipped where ours is a convolution of the dilated input.

    Flax: (*kernel, in, out), flipped; with `transpose_kernel`, (*kernel, out, in), not flipped.
    Equinox: (out, in / groups, *kernel), flipped.
    """
    shape, groups = theirs.shape, int(theirs.settings.get("groups", 1))
    spatial = tuple(range(2, len(shape)))
    mirrored = flip(*spatial)
    flax = [
        (layout(f"{_order('IO', (*spatial, 0, 1))}, flipped", mirrored, transpose(*spatial, 0, 1)), False),
        (layout(_order("IO", (*spatial, 1, 0)), transpose(*spatial, 1, 0)), True),
    ]
    equinox = layout(
        f"{_order('IO', (1, 0, *spatial))}, flipped",
        mirrored,
        reshape(shape, (groups, shape[0] // groups, *shape[1:])),
        transpose(0, 2, 1, *(axis + 1 for axis in spatial)),
        reshape(
            (groups, shape[1], shape[0] // groups, *shape[2:]), (groups * shape[1], shape[0] // groups, *shape[2:])
        ),
    )
    if _is(ours, "conv_transpose", FLAX):
        wanted = ours.settings.get("transpose_kernel")
        candidates = [one for one, transposed in flax if wanted is None or bool(wanted) == transposed]
    elif _is(ours, "conv_transpose", ("equinox",)):
        candidates = [equinox]
    else:
        plain = layout(_order("IO", (*spatial, 0, 1)), transpose(*spatial, 0, 1))
        swapped = layout(f"{_order('IO', (*spatial, 1, 0))}, flipped", mirrored, transpose(*spatial, 1, 0))
        candidates = [*(one for one, _ in flax), equinox, SAME, plain, swapped, layout("flipped", mirrored)]
    example = np.empty(shape, bool)
    return [one for one in candidates if one.to_ours([example])[0].shape == ours.shape]


def _other(theirs: Leaf, ours: Leaf) -> list[Layout]:
    """Embeddings, and arrays whose use is unknown: as they are, transposed, or as the kernel of a convolution."""
    kept, transposed = _kept(theirs.shape, ours.shape), _transposed(theirs.shape, ours.shape)
    if kind(theirs) == "embedding" or kind(ours) == "embedding":
        return kept or transposed
    spatial = tuple(range(2, len(theirs.shape)))
    axes = (*spatial, 1, 0)
    moved = len(axes) > 2 and ours.shape == tuple(theirs.shape[axis] for axis in axes)
    if _is(ours, "linear", FLAX):
        return transposed + kept
    return kept + transposed + ([layout(_order("OI", axes), transpose(*axes))] if moved and not kept else [])


def channels(leaf: Leaf, *, out: bool) -> int:
    """Return how many channels an image has after a layer of torch, or before it; 0 if it is no layer of images."""
    groups = int(leaf.settings.get("groups", 1))
    found = kind(leaf)
    if found == "conv":
        return leaf.shape[0] if out else leaf.shape[1] * groups if len(leaf.shape) > 2 else 0
    if found == "conv_transpose":
        return (leaf.shape[1] * groups if len(leaf.shape) > 2 else leaf.shape[0]) if out else leaf.shape[0]
    image = leaf.module_type.startswith(("BatchNorm2", "BatchNorm3", "GroupNorm", "InstanceNorm"))
    return leaf.shape[0] if image and leaf.shape else 0


def reordered(weight: Layout, order: NDArray[np.intp], axis: int) -> Layout:
    """Return a layout whose input features (axis 1) or output features (axis 0) are taken in another order first."""
    return layout(
        f"{weight.name}, {'inputs' if axis else 'outputs'} (C, pixels) to (pixels, C)",
        take(order, axis),
        Step(weight.to_ours, weight.to_theirs),
        inputs=order if axis else weight.inputs,
        outputs=weight.outputs if axis else order,
    )
