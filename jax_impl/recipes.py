"""The experiments of the notebook as data: one frozen `Recipe` each."""

from dataclasses import dataclass, replace
from typing import Any

from jax_impl.errors import ArgumentError, unknown_name

NAMES = {
    "activation": ("relu", "tanh", "sigmoid", "softsign", "linear", "leaky_relu", "gelu", "selu"),
    "optimizer": ("adam", "sgd"),
    "dtype": ("float32", "float64"),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run; the defaults are the notebook's.

    Raises:
        ArgumentError: A value lies outside its range; the message names the field and the range.
    """

    name: str  # what the run is called in files and tables
    layers: tuple[int, ...] = (784, 256, 256, 10)  # units, from the pixels to the classes
    init: str = "xavier_uniform"  # of the kernels, a name of `initializers.KERNELS` or `DATA_DRIVEN`
    bias_init: str = "linear_default"  # of the biases: the notebook leaves nn.Linear's own draw
    init_passes: int = 1  # how often the init cell runs; twice gives the tensor that the notebook prints
    activation: str = "relu"  # between the layers
    optimizer: str = "adam"  # or plain sgd
    learning_rate: float = 1e-3  # of the optimizer
    batch_size: int = 100  # images per step; the ragged last batch is dropped
    epochs: int = 15  # passes over the 60,000 training images; 0 only initialises
    seed: int = 777  # of every random draw
    dtype: str = "float32"  # of parameters, activations and optimizer: float32 or float64

    def __post_init__(self) -> None:
        require(len(self.layers) >= 2 and min(self.layers) >= 1, "layers", "two or more sizes >= 1", self.layers)
        possible = 1e-30 <= self.learning_rate <= 1e30  # what float32 holds, and not NaN
        require(possible, "learning rate", "a number from 1e-30 to 1e+30", self.learning_rate)
        require(self.init_passes >= 1, "init passes", "an integer >= 1", self.init_passes)
        require(self.batch_size >= 1, "batch size", "an integer >= 1", self.batch_size)
        require(self.epochs >= 0, "epochs", "an integer >= 0", self.epochs)
        require(0 <= self.seed < 2**32, "seed", "an integer from 0 to 4294967295", self.seed)
        for field, allowed in NAMES.items():
            if (name := getattr(self, field)) not in allowed:
                raise unknown_name(field, name, allowed)

    def but(self, **changes: Any) -> "Recipe":
        """Return this recipe with the changes that are not None."""
        return replace(self, **{field: value for field, value in changes.items() if value is not None})


def require(condition: bool, field: str, expected: str, value: object) -> None:
    """Check a setting.

    Raises:
        ArgumentError: The condition does not hold.
    """
    if not condition:
        raise ArgumentError(f"{field} must be {expected}, got {value!r}")


DEFAULT = "mnist_nn_xavier"

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="mnist_nn", init="normal"),  # N(0, 1), the lab before: what Xavier is compared with
        Recipe(name="mnist_nn_xavier"),  # the notebook's main program
        Recipe(name="mnist_nn_he", init="kaiming_uniform"),  # the other one that the notebook names
        Recipe(name="mnist_nn_zeros", init="zeros", bias_init="zeros"),  # "Not all 0's"
        Recipe(name="mnist_nn_default", init="linear_default"),  # what torch does when nobody asks
        Recipe(name="mnist_nn_deep", layers=(784, 512, 512, 512, 512, 10)),  # the second program
        # The notebook's deep belief network, under an output layer from Xavier; its units are sigmoid ones.
        Recipe(name="mnist_dbn", layers=(784, 500, 500, 10), init="dbn", bias_init="zeros", activation="sigmoid"),
    )
}


def named(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        ArgumentError: There is none; the message lists them all.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
