"""What to write in the port so that a leaf is drawn by the reference's law."""

import math
import re
from fractions import Fraction

from jax_impl.parity.causes.leaves.formulas import Named
from jax_impl.parity.pair import Pair

MODES = {"fan_in": "fan_in", "fan_out": "fan_out", "(fan_in + fan_out)": "fan_avg"}
KINDS = {"uniform": "uniform", "normal": "normal", "truncated": "truncated_normal"}


def fix_of(pair: Pair, name: str, law: Named | float | None, words: str) -> str:
    """Return the line for a law or a constant."""
    module = pair.modules.get(pair.module_of(name))
    kind, last = module.type if module else "", name.rpartition(".")[2]
    if "Embedding" in kind:
        argument = "embedding_init"
    elif "Norm" in kind and last == "weight":
        argument = "scale_init"
    else:
        argument = "bias_init" if "bias" in last else "kernel_init"
    if isinstance(law, float):
        named = {0.0: "zeros", 1.0: "ones"}.get(law, f"constant({law:g})")
        return f"{argument}=nn.initializers.{named}"
    found = None if law is None else _published(law, matrix="bias" not in last and "Embedding" not in kind)
    return f"{argument}={found}" if found else f"draw it {words}"


def _published(named: Named, *, matrix: bool) -> str | None:
    """Return an initializer of JAX, or the call that draws from the law."""
    law = named.law
    scaled = re.fullmatch(r"(1/sqrt|sqrt)\((?:(\d+)/)?(fan_in|fan_out|\(fan_in \+ fan_out\))\)", named.formula)
    if scaled and matrix and not law.mean and law.kind in KINDS:
        square = float(scaled[2] or 1) * (law.std / law.scale) ** 2  # the variance times the fan
        square /= 2 if "+" in scaled[3] else 1
        fraction = Fraction(square).limit_denominator(100)
        return f"nn.initializers.variance_scaling({fraction}, '{MODES[scaled[3]]}', '{KINDS[law.kind]}')"
    mean = f"{law.mean:g} + " if law.mean else ""
    if law.kind == "uniform":
        return f"lambda key, shape, dtype: {mean}jax.random.uniform(key, shape, dtype, -b, b), b = {named.formula}"
    if law.kind == "normal" and _is_number(named.formula) and not mean:
        return f"nn.initializers.normal({named.formula})"
    if law.kind == "normal":
        return f"lambda key, shape, dtype: {mean}std * jax.random.normal(key, shape, dtype), std = {named.formula}"
    return None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
