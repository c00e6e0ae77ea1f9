"""Published laws of initial weights, with their scales written by the sizes of the layer."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jax_impl.parity.causes.compute.laws import KEPT, Law
from jax_impl.parity.causes.leaves.blocks import GATES
from jax_impl.parity.pair import Pair

STDS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.006, 0.005, 0.002, 0.001, 1e-4)  # that libraries and papers name
RECURRENT = ("LSTM", "GRU", "RNN")
PUBLISHED = {  # by kind and formula
    ("truncated", "1/sqrt(fan_in)"): "lecun_normal, Flax's default",
    ("truncated", "1/sqrt(inputs × kernel)"): "lecun_normal, Flax's default",
    ("truncated", "1/sqrt(outputs × kernel)"): "lecun_normal, Flax's default with transpose_kernel=True",
    ("truncated", "sqrt(2/fan_in)"): "he_normal",
    ("truncated", "sqrt(2/(fan_in + fan_out))"): "glorot_normal",
    ("uniform", "1/sqrt(fan_in)"): "torch's default",
    ("uniform", "1/sqrt(hidden_size)"): "torch's default",
    ("uniform", "1/sqrt(outputs × kernel)"): "torch's default",
    ("uniform", "sqrt(3/fan_in)"): "lecun_uniform",
    ("uniform", "sqrt(6/fan_in)"): "he_uniform",
    ("uniform", "sqrt(6/(fan_in + fan_out))"): "xavier_uniform, glorot_uniform",
    ("normal", "sqrt(2/(fan_in + fan_out))"): "xavier_normal",
    ("normal", "sqrt(2/fan_in)"): "kaiming_normal",
    ("normal", "sqrt(2/fan_out)"): "kaiming_normal, mode fan_out",
    ("uniform", "sqrt(6/fan_out)"): "kaiming_uniform, mode fan_out",
    ("uniform", "sqrt(6/(fan_in + fan_out of one of the 3 blocks))"): "xavier_uniform for each of q, k and v",
    ("normal", "1/sqrt(embedding_dim)"): "Flax's default",
    ("normal", "1"): "torch's default of an embedding",
}
DEFAULTS = {  # torch's, by the start of a module's type
    "Linear": ("uniform", "1/sqrt(fan_in)"), "NonDynamically": ("uniform", "1/sqrt(fan_in)"),
    "Conv": ("uniform", "1/sqrt(fan_in)"), "ConvTranspose": ("uniform", "1/sqrt(outputs × kernel)"),
    "LSTM": ("uniform", "1/sqrt(hidden_size)"), "GRU": ("uniform", "1/sqrt(hidden_size)"),
    "RNN": ("uniform", "1/sqrt(hidden_size)"), "Embedding": ("normal", "1"),
    "Multihead": ("uniform", "sqrt(6/(fan_in + fan_out))"),
}  # fmt: skip


@dataclass(frozen=True)
class Named:
    """A law, and how its scale is written."""

    law: Law
    formula: str

    @property
    def text(self) -> str:
        """Return the law in words: "uniform within ±1/sqrt(fan_in) (torch's default)"."""
        kind, mean = self.law.kind, f" around {self.law.mean:g}" if self.law.mean else ""
        words = {
            "uniform": f"uniform{mean} within ±{self.formula}",
            "one-sided": f"uniform from {self.law.mean:g} to {self.formula}",
            "normal": f"normal{mean} with std {self.formula}",
            "truncated": f"truncated normal{mean} with std {self.formula}",
        }[kind]
        known = PUBLISHED.get((kind, self.formula))
        return f"{words} ({known})" if known and not self.law.mean else words


def sizes_of(pair: Pair, name: str) -> dict[str, int]:
    """Return the sizes by which the law of a leaf may be scaled, by their names. A bias has those of its weight."""
    path = pair.module_of(name)
    module = pair.modules.get(path)
    kind = module.type if module else ""
    settings = module.settings if module else {}
    leaf = pair.leaves.get(name)
    shape = list(leaf.shape) if leaf else []
    weight = pair.leaves.get(f"{path}.weight" if path else "weight")
    if len(shape) < 2 and weight is not None:
        shape = list(weight.shape)
    found: dict[str, Any] = {}
    if kind.startswith(RECURRENT):
        found = {one: settings.get(one) for one in ("hidden_size", "input_size")}
        if len(shape) == 2:
            found |= {"fan_out": shape[0]}
    elif len(shape) == 2 and "Embedding" in kind:
        found = {"embedding_dim": shape[1], "num_embeddings": shape[0]}
    elif len(shape) > 1:
        kernel = math.prod(shape[2:])
        words = ("outputs × kernel", "inputs × kernel") if "Transpose" in kind else ("fan_in", "fan_out")
        found = {words[0]: shape[1] * kernel, words[1]: shape[0] * kernel}
        if kernel > 1:
            found |= {"in_channels": settings.get("in_channels"), "out_channels": settings.get("out_channels")}
        if isinstance(heads := settings.get("num_heads"), int) and heads > 1:
            found["(fan_in × num_heads)"] = shape[1] * heads
    return {one: size for one, size in found.items() if isinstance(size, int) and size > 0}


def packed_blocks(kind: str, name: str) -> int:
    """Return how many blocks a leaf of a kind of module packs along its first axis."""
    gates = next((len(gates) for one, gates in GATES.items() if one in kind), 1)
    return 3 if "in_proj" in name else gates


def layers_of(pair: Pair, name: str) -> int:
    """Return the number of modules among which the leaf's is numbered: 4 for "h.2.fc" if there are h.0 … h.3."""
    found = re.match(r"(.*?\.)?(\d+)\.", f"{name}.")
    start = "" if found is None else found[1] or ""
    numbers = {path[len(start) :].split(".")[0] for path in pair.modules if path.startswith(start)} if found else set()
    return len({one for one in numbers if one.isdigit()})


def scales(pair: Pair, name: str) -> Iterator[tuple[str, float, str]]:
    """Yield the standard deviations and bounds that are tried: formula, value, and the first letters of the kinds.

    These are u for uniform, n for normal, t for truncated, and c for one that is cut without correcting its spread.
    """
    sizes = sizes_of(pair, name)
    for size, n in sizes.items():
        yield f"1/sqrt({size})", n**-0.5, "untc"
        yield f"sqrt(2/{size})", (2 / n) ** 0.5, "untc"
        yield f"sqrt(3/{size})", (3 / n) ** 0.5, "u"
        yield f"sqrt(6/{size})", (6 / n) ** 0.5, "u"
        yield f"1/sqrt(3·{size})", (3 * n) ** -0.5, "nt"
        yield f"5/3/sqrt({size})", 5 / 3 * n**-0.5, "nt"
        yield f"5/3·sqrt(3/{size})", 5 / 3 * (3 / n) ** 0.5, "u"
        yield f"sqrt(sqrt(2)/{size}), a gain in place of its square", (2**0.5 / n) ** 0.5, "nt"
        yield f"sqrt(3·sqrt(2)/{size}), a gain in place of its square", (3 * 2**0.5 / n) ** 0.5, "u"
        yield f"1/{size}", 1 / n, "un"
    for words, total in sums_of_sizes(pair, name):
        yield f"sqrt(2/({words}))", (2 / total) ** 0.5, "untc"
        yield f"sqrt(6/({words}))", (6 / total) ** 0.5, "u"
        yield f"5/3·sqrt(2/({words}))", 5 / 3 * (2 / total) ** 0.5, "nt"
        yield f"5/3·sqrt(6/({words}))", 5 / 3 * (6 / total) ** 0.5, "u"
    layers = layers_of(pair, name)
    if layers > 1:
        yield f"0.02/sqrt(2·{layers} layers)", 0.02 / (2 * layers) ** 0.5, "ntc"
        yield f"0.02/sqrt({layers} layers)", 0.02 / layers**0.5, "ntc"


def sums_of_sizes(pair: Pair, name: str) -> Iterator[tuple[str, int]]:
    """Yield fan_in + fan_out in words, and the sum; of a packed leaf also with the outputs of one block."""
    leaf, module = pair.leaves.get(name), pair.modules.get(pair.module_of(name))
    if leaf is None or len(leaf.shape) < 2:
        return
    kernel = math.prod(leaf.shape[2:])
    yield "fan_in + fan_out", (leaf.shape[0] + leaf.shape[1]) * kernel
    blocks = packed_blocks(module.type if module else "", name)
    if blocks > 1 and leaf.shape[0] % blocks == 0:
        yield f"fan_in + fan_out of one of the {blocks} blocks", leaf.shape[1] + leaf.shape[0] // blocks


def published(pair: Pair, name: str, mean: float = 0.0) -> Iterator[Named]:
    """Yield every law that is tried for a leaf; those around another mean than 0 have plain numbers as scales."""
    kinds = {"u": "uniform", "n": "normal", "t": "truncated"}
    for formula, value, letters in scales(pair, name) if not mean else ():
        yield from (Named(Law(kinds[one], value), formula) for one in letters if one in kinds)
        if "c" in letters:
            yield Named(Law("truncated", value * KEPT), f"0.88 × {formula}, not corrected for the cut")
    for value in STDS:
        yield from (Named(Law(kind, value, mean), f"{value:g}") for kind in kinds.values())
        yield Named(Law("truncated", value * KEPT, mean), f"{value * KEPT:.3g} ({value:g} before it is cut)")
        yield Named(Law("one-sided", value, mean), f"{value:g}")


def default_of(kind: str) -> tuple[str, str] | None:
    """Return torch's law for a type of module: the kind and the formula."""
    names = sorted((one for one in DEFAULTS if kind.startswith(one)), key=len)
    return DEFAULTS[names[-1]] if names else None
