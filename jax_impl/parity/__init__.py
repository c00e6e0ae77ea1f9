"""Prove that a port is faithful: two programs' records, and a ladder of comparisons between the two.

    from jax_impl import parity

    parity.save("ours", model=network, loss=loss, optimizer=optimizer, start="theirs")
    parity.prove("theirs", model=network, loss=loss, optimizer=optimizer).require()
    parity.compare_records("theirs", "ours").require()

`save` runs the port and writes its record, `prove` does so and compares, `compare_records` only compares two records.
The first two need JAX. Importing this package and comparing two records imports no framework: NumPy and SciPy suffice.
docs/records.md has the format of records.
"""

from importlib import import_module
from typing import Any

_PLACES = {
    "observe": "jax_impl.parity.recording",
    "compare_records": "jax_impl.parity.ladder",
    "prove": "jax_impl.parity.recording",
    "save": "jax_impl.parity.recording",
}
__all__ = ["compare_records", "observe", "prove", "save"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is used for the first time."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
