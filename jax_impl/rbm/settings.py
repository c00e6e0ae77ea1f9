"""What is chosen about an RBM and its training.

The defaults are those of Hinton 2010, "A practical guide to training restricted Boltzmann machines", whose sections
stand beside them, unless another source does.
"""

import math
from dataclasses import dataclass

from jax_impl.recipes import require


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One machine and its training.

    Raises:
        ArgumentError: A value lies outside its range; the message names it and the range.
    """

    hidden: int = 500  # units: Hinton & Salakhutdinov 2006 and Salakhutdinov & Murray 2008, on MNIST
    k: int = 1  # rounds of Gibbs sampling a step: section 5.2 of the guide, enough to learn features
    persistent: bool = False  # whether the chains go on from step to step: Tieleman 2008
    epochs: int = 10  # passes over the images
    batch_size: int = 100  # images a step: section 4, 10 to 100; the ragged last batch is dropped
    learning_rate: float = 0.1  # of the first epoch, as in Hinton & Salakhutdinov 2006; falls linearly towards 0
    momentum: float = 0.0  # off; section 9.1 starts with 0.5 and goes on with 0.9
    weight_decay: float = 0.0  # of the weights alone, off; section 10 tries 0.00001 to 0.01
    sparsity_cost: float = 0.0  # of units that are on more or less often than the target: section 11, off
    sparsity_target: float = 0.1  # share of the images for which a unit shall be on: section 11, 0.01 to 0.1
    seed: int = 777  # of every random draw
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, value in (("hidden", self.hidden), ("k", self.k), ("batch size", self.batch_size)):
            require(value >= 1, name, "an integer >= 1", value)
        require(self.epochs >= 0, "epochs", "an integer >= 0", self.epochs)
        require(
            1e-30 <= self.learning_rate <= 1e30, "learning rate", "a number from 1e-30 to 1e+30", self.learning_rate
        )
        require(0 <= self.momentum < 1, "momentum", "a number from 0 to below 1", self.momentum)
        require(0 < self.sparsity_target < 1, "sparsity target", "a number between 0 and 1", self.sparsity_target)
        for name, number in (("weight decay", self.weight_decay), ("sparsity cost", self.sparsity_cost)):
            require(0 <= number < math.inf, name, "a number >= 0", number)
        require(0 <= self.seed < 2**32, "seed", "an integer from 0 to 4294967295", self.seed)


PRETRAINING = Settings(epochs=5)  # of each machine of a DBN; ten gained at most 0.2 points after fine-tuning
