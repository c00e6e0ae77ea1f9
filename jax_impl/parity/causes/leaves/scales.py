"""Names of constant factors between the two sides' leaves."""

import math
from collections.abc import Iterator

from jax_impl.parity.causes.cases import LeafCase

CLOSE = 1e-5  # relative difference up to which a factor has a name
CONSTANTS = {
    "2": 2.0, "sqrt(2)": math.sqrt(2), "sqrt(3)": math.sqrt(3), "sqrt(5)": math.sqrt(5), "5/3": 5 / 3,
    "255": 255.0, "sqrt(2 / 3)": math.sqrt(2 / 3), "0.8796, the std of a normal cut at 2": 0.8796256610342398,
}  # fmt: skip
SIZES = ("num_heads", "head_dim", "n_head", "hidden_size", "embed_dim", "embedding_dim", "d_model", "num_layers")


def named_scales(case: LeafCase, factor: float) -> str:
    """Return the names of a factor, or nothing: " (1/sqrt(fan_in))"."""
    found = [name for name, value in _known(case) if math.isclose(abs(factor), value, rel_tol=CLOSE)]
    return f" ({', or '.join(dict.fromkeys(found))})" if found else ""


def _known(case: LeafCase) -> Iterator[tuple[str, float]]:
    for name, value in CONSTANTS.items():
        yield name, value
        yield f"1/{name}" if "," not in name and "/" not in name else f"1/({name})", 1 / value
    for name, size in _sizes(case):
        if size > 1:
            root = math.sqrt(size)
            yield from ((f"{name}", float(size)), (f"1/{name}", 1 / size))
            yield from ((f"sqrt({name})", root), (f"1/sqrt({name})", 1 / root))
            yield from ((f"sqrt(2/{name})", math.sqrt(2 / size)), (f"sqrt({name}/2)", math.sqrt(size / 2)))


def _sizes(case: LeafCase) -> Iterator[tuple[str, int]]:
    """Yield the numbers by which initial weights and attention are scaled."""
    shape = case.theirs.shape
    if len(shape) > 1:
        kernel = math.prod(shape[2:])
        yield "fan_in", shape[1] * kernel
        yield "fan_out", shape[0] * kernel
        yield "the kernel's size", kernel
    path: str | None = case.module.path
    while path is not None:  # the module and those around it
        module = case.pair.modules.get(path)
        for name, value in (module.settings if module else {}).items():
            if name in SIZES and isinstance(value, int) and not isinstance(value, bool):
                yield name, value
        path = path.rpartition(".")[0] if path else None
