"""What an optimizer does, and what it is given, as data.

All arrays are float64. `n` elements of all leaves stand side by side in one vector, so a setting may be a number, or an
array of shape (n,) if parameter groups differ.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Number = float | Floats


@dataclass(frozen=True, kw_only=True)
class Clip:
    """How gradients are clipped.

    Attributes:
        norm: The largest L2 norm of all gradients together; None clips none.
        value: The largest size of an element.
        epsilon: Added to the norm: 1e-6 in `torch.nn.utils.clip_grad_norm_`, 0 in Optax.
        each: Whether each leaf is clipped by its own norm.
    """

    norm: float | None = None
    value: float | None = None
    epsilon: float = 1e-6
    each: bool = False


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How an optimizer makes a step. The defaults are those of plain gradient descent.

    Attributes:
        kind: "sgd", "adam", "adamax", "nadam", "rmsprop", "adagrad" or "lion".
        decay: Weight decay.
        decay_place: Where it acts: on the "gradient", "decoupled" on the step before the learning rate, or "unscaled"
            behind the learning rate.
        momentum: Of SGD and RMSprop; beta1 of the others.
        smoothing: Of the squared gradient: beta2, or RMSprop's alpha.
        epsilon: Added to the root in the divisor.
        inner: Added inside the root.
        uncorrected: Whether epsilon is added before the bias correction of the root, as in TensorFlow.
        dampening: Share of the gradient that does not enter the momentum.
        dampened_first: Whether the first gradient is dampened, too; torch's is not.
        debiased: Whether the momentum is divided by 1 - momentum ** step, as `optax.ema` does.
        nesterov: Whether the momentum looks ahead.
        rate_inside: Whether the momentum adds up steps that have their learning rate already.
        maximum: Of Adam's second moment: "" for none, "torch" before and "corrected" after the bias correction.
        centred: Whether RMSprop subtracts the squared mean.
        corrected: Whether the bias of the first and of the second moment is corrected.
        initial: Start of the squared gradient.
        rate_decay: Adagrad's `lr_decay`, or NAdam's `momentum_decay`.
        sign: -1 descends, 1 climbs.
        clip: How gradients are clipped before.
    """

    kind: str
    decay: Number = 0.0
    decay_place: str = "gradient"
    momentum: Number = 0.0
    smoothing: Number = 0.0
    epsilon: Number = 0.0
    inner: float = 0.0
    uncorrected: bool = False
    dampening: Number = 0.0
    dampened_first: bool = False
    debiased: bool = False
    nesterov: bool = False
    rate_inside: bool = False
    maximum: str = ""
    centred: bool = False
    corrected: tuple[bool, bool] = (True, True)
    initial: float = 0.0
    rate_decay: float = 0.0
    sign: float = -1.0
    clip: Clip = field(default_factory=Clip)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What an optimizer is given.

    Attributes:
        gradients: Shape (steps, n).
        weights: Before the first step, (n,).
        rates: Learning rates, (steps, n).
        norms: The L2 norm of all gradients of each step, whole, (steps, 1).
        leaf_norms: That of the leaf to which each element belongs, (steps, n).
    """

    gradients: Floats
    weights: Floats
    rates: Floats
    norms: Floats
    leaf_norms: Floats

    def at(self, places: NDArray[np.int64] | slice) -> "Given":
        """Return what is given of some of the elements."""
        return replace(
            self,
            gradients=self.gradients[:, places],
            weights=self.weights[places],
            rates=self.rates[:, places],
            leaf_norms=self.leaf_norms[:, places],
        )


def at(rule: Rule, places: NDArray[np.int64] | slice) -> Rule:
    """Return the rule of some of the elements."""
    arrays: dict[str, Any] = {
        name: value[places] for name, value in vars(rule).items() if isinstance(value, np.ndarray)
    }
    return replace(rule, **arrays)
