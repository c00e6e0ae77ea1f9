"""The last linear layer: the gradient of its output follows from the loss."""

from dataclasses import dataclass

import numpy as np

from jax_impl.parity.causes.cases import Floats, whole
from jax_impl.parity.causes.compute.losses import slope
from jax_impl.parity.causes.families.steps.losses import Losses
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Call, Reference


@dataclass(frozen=True)
class LastLayer:
    """A linear layer whose output is the model's.

    Attributes:
        x: What it receives, (…, inputs).
        slope: The gradient of its output, (…, outputs).
        weight: Of the layer.
    """

    x: Floats
    slope: Floats
    weight: Floats

    @property
    def weight_gradient(self) -> Floats:
        """The gradient of the weight by this layer alone."""
        return np.asarray(self.slope.reshape(-1, self.slope.shape[-1]).T @ self.x.reshape(-1, self.x.shape[-1]))

    @property
    def input_gradient(self) -> Floats:
        """The gradient of what it receives."""
        return np.asarray(self.slope @ self.weight)

    @classmethod
    def of(cls, pair: Pair, path: str) -> "LastLayer | None":
        """Return the layer at a path; None if it is no such layer, or if the loss is not a known one."""
        train, _ = pair.forward("train")
        free = train.free if train else []
        calls, roots = ([call for call in free if call.module == one] for one in (path, ""))
        leaf = pair.leaves.get(f"{path}.weight")
        if len(calls) != 1 or not roots or pair.modules[path].type != "Linear" or leaf is None:
            return None
        number = next((n for n, one in enumerate(roots[-1].outputs) if _same_array(one, calls[0])), None)
        losses = Losses(pair)
        known = losses.known() if number is not None else []
        reading = next((one for one in known if one.output == number), None)
        x = whole(pair.theirs, calls[0].inputs[0]) if calls[0].inputs else None
        weight = pair.theirs.start(leaf.tied or leaf.name)
        output = None if reading is None else losses.outputs["train"][reading.output]
        if reading is None or output is None or x is None or weight is None:
            return None
        back = slope(reading.loss, output, losses.batch[reading.target])
        return None if back is None else cls(x, back, weight.astype(np.float64))


def _same_array(reference: Reference | None, call: Call) -> bool:
    """Return whether a root output is what a call returned: equal arrays are stored once."""
    own = call.outputs[0] if call.outputs else None
    return reference is not None and own is not None and (reference.file, reference.key) == (own.file, own.key)
