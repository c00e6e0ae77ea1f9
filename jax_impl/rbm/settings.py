"""The settings of an RBM and its training.

Section numbers refer to Hinton 2010, "A practical guide to training restricted Boltzmann machines".
"""

import math
from dataclasses import dataclass

from jax_impl.errors import require, require_integer
from jax_impl.recipes import LARGEST_SEED


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one machine and its training.

    Raises:
        ArgumentError: A value is out of range. The message names the setting and the range.
    """

    hidden: int = 500  # hidden units; used for MNIST by Hinton & Salakhutdinov 2006 and Salakhutdinov & Murray 2008
    k: int = 1  # rounds of Gibbs sampling per step; 1 is enough to learn features (section 5.2)
    persistent: bool = False  # whether the chains continue from step to step (Tieleman 2008)
    epochs: int = 10  # passes over the images
    batch_size: int = 100  # images per step, 10 to 100 (section 4); the last, incomplete batch is dropped
    learning_rate: float = 0.1  # of the first epoch (Hinton & Salakhutdinov 2006); it falls linearly towards 0
    momentum: float = 0.0  # 0 is off; section 9.1 recommends 0.5 at first and 0.9 later
    weight_decay: float = 0.0  # of the weights, not of the biases; 0 is off; section 10 tries 0.00001 to 0.01
    sparsity_cost: float = 0.0  # how strongly a unit's mean activity is drawn to the target (section 11); 0 is off
    sparsity_target: float = 0.1  # the share of images for which a unit should be 1, 0.01 to 0.1 (section 11)
    seed: int = 777  # of every random draw
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, value in (("hidden", self.hidden), ("k", self.k), ("batch size", self.batch_size)):
            require_integer(value, name, 1)
        require_integer(self.epochs, "epochs", 0)
        representable = 1e-30 <= self.learning_rate <= 1e30  # in float32, and not NaN
        require(representable, "learning rate", "a number from 1e-30 to 1e+30", self.learning_rate)
        require(0 <= self.momentum < 1, "momentum", "a number from 0 to below 1", self.momentum)
        require(0 < self.sparsity_target < 1, "sparsity target", "a number between 0 and 1", self.sparsity_target)
        for name, number in (("weight decay", self.weight_decay), ("sparsity cost", self.sparsity_cost)):
            require(0 <= number < math.inf, name, "a number >= 0", number)
        require_integer(self.seed, "seed", 0, LARGEST_SEED)


# Of each machine of a DBN. 10 epochs improved the accuracy after fine-tuning by at most 0.2 percentage points.
PRETRAINING = Settings(epochs=5)
