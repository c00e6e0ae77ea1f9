"""The measurements as one block of bytes for the page, with the description that its script needs to read them.

A value takes one or two bytes. Code 0 is no number, 1 is exactly 0, and the largest code is a value above the field's
range. The codes between them divide the range evenly, on a linear or a logarithmic scale.
"""

import base64
import gzip
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float


class Scale(NamedTuple):
    """How the numbers of a field are coded."""

    kind: str  # linear or log
    low: float
    high: float
    bits: int = 16


SHARE = Scale("linear", 0.0, 1.0, 8)
ACCURACY = Scale("linear", 0.0, 1.0)
LOSS = Scale("log", 1e-6, 1e6)
SIZE = Scale("log", 1e-45, 3e38)  # of variances and norms: float32's range


def encode(values: Float[np.ndarray, "..."], scale: Scale) -> np.ndarray:
    """Return the codes of numbers >= 0: unsigned integers of the scale's bits."""
    most = 2**scale.bits - 1
    low, high, position = scale.low, scale.high, values
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale.kind == "log":
            low, high, position = np.log10(low), np.log10(high), np.log10(values)
        codes = 2 + np.clip((position - low) / (high - low), 0, 1) * (most - 3)
    codes = np.select([np.isnan(values), values == 0, values > scale.high], [0, 1, most], codes.round())
    return np.asarray(codes, f"<u{scale.bits // 8}")


def decode(codes: np.ndarray, scale: Scale) -> Float[np.ndarray, "..."]:
    """Return the numbers of codes: the inverse of `encode`, up to rounding. Values above the range are infinite."""
    most = 2**scale.bits - 1
    position = (codes.astype(float) - 2) / (most - 3)
    if scale.kind == "log":
        low, high = np.log10(scale.low), np.log10(scale.high)
        values = 10 ** (low + position * (high - low))
    else:
        values = scale.low + position * (scale.high - scale.low)
    return np.select([codes == 0, codes == 1, codes == most], [np.nan, 0.0, np.inf], values)


def pack(fields: dict[str, tuple[np.ndarray, Scale]]) -> tuple[list[dict[str, Any]], str]:
    """Return the description of fields, and all their codes: gzip, then base64.

    A description has name, shape, kind, low, high, bits, and the offset of the field's first byte. Codes of 16 bits
    have their low bytes first, and start at an even offset.
    """
    described, parts, offset = [], [], 0
    for name, (values, scale) in fields.items():
        codes = encode(values, scale).tobytes()
        described.append({"name": name, "shape": list(values.shape), "offset": offset} | scale._asdict())
        parts.append(codes + bytes(len(codes) % 2))
        offset += len(parts[-1])
    return described, base64.b64encode(gzip.compress(b"".join(parts), mtime=0)).decode()
