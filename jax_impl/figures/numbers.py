"""The format of numbers and times in reports."""

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray


def short(value: float, digits: int = 2) -> str:
    """Format a number with few digits and without padding its exponent: 1e-7, not 1e-07."""
    text = f"{value:.{digits}g}"
    if 0 < abs(value) < 1e-3:
        text = f"{value:.{digits - 1}e}"
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def duration(seconds: float | int) -> str:
    """Format seconds: 1.5 s, 2 min 05 s, 1 h 30 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def date(made: str) -> str:
    """Format an ISO 8601 time as 24 November 2026, 07:00 UTC. Return any other text unchanged."""
    try:
        moment = datetime.fromisoformat(made)
    except ValueError:
        return made
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment.tzname() or ''}".rstrip()


def floats(values: Any) -> NDArray[np.float64]:
    """Return numbers as a float64 array. None becomes NaN; the strings "nan" and "inf" are allowed."""
    return np.asarray(values, np.float64)
