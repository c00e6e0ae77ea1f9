"""The notebook's experiments as data: one frozen `Recipe` each."""

from dataclasses import dataclass, fields, replace
from typing import Any

from jax_impl.errors import ArgumentError, require, require_integer, unknown_name

TORCH_INITS = (
    "uniform", "normal", "small_normal", "trunc_normal", "constant", "ones", "zeros", "eye", "xavier_uniform",
    "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "sparse", "linear_default",
)  # fmt: skip
JAX_INITS = ("lecun_uniform", "lecun_normal", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal")
DATA_DRIVEN = {"lsuv": "orthogonal", "dbn": "xavier_uniform"}  # use training images, after this random start

LARGEST_SEEDS = 10_000  # of a study; each is a run of its own
NAMES = {
    "init": (*TORCH_INITS, *JAX_INITS, *DATA_DRIVEN),
    "bias init": ("linear_default", "zeros"),
    "activation": ("relu", "tanh", "sigmoid", "softsign", "linear", "leaky_relu", "gelu", "selu"),
    "optimizer": ("adam", "sgd"),
    "dtype": ("float32", "float64"),
}

LARGEST_SEED = 2**32 - 1  # that a key of JAX distinguishes without 64-bit integers; torch takes larger ones


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of one training run. The defaults are the notebook's.

    Raises:
        ArgumentError: A value is out of range. The message names the field and the range.
    """

    name: str  # of the run, in file names and tables
    layers: tuple[int, ...] = (784, 256, 256, 10)  # units per layer, from the pixels to the classes
    init: str = "xavier_uniform"  # of the kernels
    bias_init: str = "linear_default"  # of the biases: the notebook keeps nn.Linear's own draw
    init_passes: int = 1  # how often the init cell runs; the notebook's saved session ran it twice
    activation: str = "relu"  # between the layers
    optimizer: str = "adam"  # or sgd, without momentum
    learning_rate: float = 1e-3
    batch_size: int = 100  # images per step; the last, incomplete batch is dropped
    epochs: int = 15  # passes over the 60,000 training images; 0 only initialises
    seed: int = 777  # of every random draw
    dtype: str = "float32"  # of parameters, activations and optimizer state: float32 or float64

    def __post_init__(self) -> None:
        require(len(self.layers) >= 2 and min(self.layers) >= 1, "layers", "two or more sizes >= 1", self.layers)
        require_integer(max(self.layers), "layers", 1)
        representable = 1e-30 <= self.learning_rate <= 1e30  # in float32, and not NaN
        require(representable, "learning rate", "a number from 1e-30 to 1e+30", self.learning_rate)
        require_integer(self.init_passes, "init passes", 1)
        require_integer(self.batch_size, "batch size", 1)
        require_integer(self.epochs, "epochs", 0)
        require_integer(self.seed, "seed", 0, LARGEST_SEED)
        for field, allowed in NAMES.items():
            if (name := getattr(self, field.replace(" ", "_"))) not in allowed:
                raise unknown_name(field, name, allowed)

    def with_changes(self, **changes: Any) -> "Recipe":
        """Return a copy with these fields changed; a change that is None is ignored."""
        return replace(self, **{field: value for field, value in changes.items() if value is not None})


DEFAULT = "mnist_nn_xavier"

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="mnist_nn", init="normal"),  # N(0, 1), from the lab before this notebook
        Recipe(name="mnist_nn_xavier"),  # the notebook's main program
        Recipe(name="mnist_nn_he", init="kaiming_uniform"),  # the notebook's second initialiser
        Recipe(name="mnist_nn_zeros", init="zeros", bias_init="zeros"),  # the notebook's "Not all 0's"
        Recipe(name="mnist_nn_default", init="linear_default"),  # torch's default
        Recipe(name="mnist_nn_deep", layers=(784, 512, 512, 512, 512, 10)),  # the notebook's second program
        # The notebook's deep belief network, with a Xavier output layer. RBM units are sigmoid units.
        Recipe(name="mnist_dbn", layers=(784, 500, 500, 10), init="dbn", bias_init="zeros", activation="sigmoid"),
    )
}


def named(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises:
        ArgumentError: No recipe has this name. The message lists them all.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]


def changed_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of a run, except its seed, in which it differs from the recipe of its name."""
    original = RECIPES.get(recipe.name, Recipe(name=recipe.name))
    values = {field.name: getattr(recipe, field.name) for field in fields(Recipe) if field.name != "seed"}
    return {name: value for name, value in values.items() if value != getattr(original, name)}


def check_seeds(count: int, first: int) -> None:
    """Raise an ArgumentError unless there is a seed, not too many, and all are in the range of seeds."""
    require_integer(count, "seeds", 1, LARGEST_SEEDS)
    require_integer(first, "first seed", 0, LARGEST_SEED + 1 - count)


def check_replayable(recipe: Recipe) -> None:
    """Raise an ArgumentError if torch does not have the recipe's initialiser."""
    if recipe.init in JAX_INITS:
        raise ArgumentError(f"torch has no init {recipe.init!r} to replay: use --stream jax")
