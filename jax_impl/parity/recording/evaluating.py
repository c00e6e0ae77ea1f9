"""Evaluations of the whole model: after training, and at another size."""

from collections.abc import Mapping
from typing import Any

from jax_impl.parity.arrays import FORWARD_LIMIT, Store
from jax_impl.parity.recording.models.base import Arrays
from jax_impl.parity.recording.port import Port


def evaluated(
    port: Port, params: Arrays, state: Any, batch: Any, expected: Mapping[str, Any], store: Store
) -> dict[str, Any]:
    """Record a batch in evaluation mode: the loss, and what the whole model returns."""
    value, calls, _ = port.runner.calls(params, state, batch, port.keys[0], [], train=False)
    outputs = port.root_outputs(calls, expected["outputs"])
    kept = [None if array is None else store.reference("steps", array, FORWARD_LIMIT) for array in outputs]
    return {"loss": value, "outputs": kept}


def probed(port: Port, store: Store) -> dict[str, Any] | None:
    """Record the reference's first batch at another size, before training; None if it has none."""
    expected = port.theirs.content.get("probe")
    if expected is None:
        return None
    try:
        return evaluated(port, port.params, port.state, port.theirs.probe, expected, store)
    except Exception as error:  # a port may be written for one size: reported, not a failure
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]}
