"""The JAX recorder: `save` runs a port from a reference's record and writes the port's, `prove` compares the two.

Read `save` first, then `port` (weights are paired and loaded), `content` (what the record says), `tracing` (how the
arrays inside a program are seen and replaced), and the adapter of your library in `models`.
"""

from jax_impl.parity.recording.save import prove, save
from jax_impl.parity.recording.tracing.calls import observe

__all__ = ["observe", "prove", "save"]
