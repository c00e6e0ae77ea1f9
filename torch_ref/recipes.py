"""The notebook's experiments as data: one frozen `Recipe` each."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch_ref.errors import require, require_integer, require_known

NAMES = {
    "activation": ("relu", "tanh", "sigmoid", "softsign", "linear", "leaky_relu", "gelu", "selu"),
    "optimizer": ("adam", "sgd"),
    "dtype": ("float32", "float64"),
}

LONGEST = 180  # characters of a run folder's name
LOADERS = ("dataloader", "tensor")  # the notebook's, and the same batches from memory

LARGEST_SEED = 2**32 - 1  # that JAX distinguishes; torch itself takes larger ones


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of one training run. The defaults are the notebook's.

    Raises:
        ArgumentError: A value is out of range. The message names the field and the range.
    """

    name: str  # of the run, in file names and tables
    layers: tuple[int, ...] = (784, 256, 256, 10)  # cell 8: units per layer, from the pixels to the classes
    init: str = "xavier_uniform"  # cell 10: of the weights, a name in `model.INITS`
    bias_init: str = "linear_default"  # of the biases: the notebook keeps nn.Linear's own draw
    init_passes: int = 1  # how often the init cell runs; the notebook's saved session ran it twice
    activation: str = "relu"  # cell 8: between the layers
    optimizer: str = "adam"  # cell 12; or sgd, without momentum
    learning_rate: float = 0.001  # cell 5
    batch_size: int = 100  # cell 5: images per step; the last, incomplete batch is dropped
    epochs: int = 15  # cell 5: passes over the training images; 0 only initialises
    seed: int = 777  # cell 3: of every random draw
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
            require_known(field, getattr(self, field), allowed)

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
    require_known("recipe", name, RECIPES)
    return RECIPES[name]


def table() -> Iterator[str]:
    """Yield the lines of a table of the recipes, and one line with the settings that are the same in all of them."""
    rows = [
        {
            field: "-".join(map(str, value)) if field == "layers" else str(value)
            for field, value in asdict(recipe).items()
        }
        for recipe in RECIPES.values()
    ]
    differ = [field for field in rows[0] if len({row[field] for row in rows}) > 1]
    widths = {field: max(len(field), *(len(row[field]) for row in rows)) for field in differ}
    for row in ({field: field.replace("_", " ") for field in differ}, *rows):
        yield "  ".join(row[field].ljust(widths[field]) for field in differ).rstrip()
    common = [f"{field.replace('_', ' ')} {value}" for field, value in rows[0].items() if field not in differ]
    yield ""
    yield f"all of them: {', '.join(common)}"
    yield f"the default: {DEFAULT}"


def run_folder(recipe: Recipe) -> Path:
    """Return the default run folder: recipe, seed, and every setting except epochs that is not the recipe's.

    The end of a name that would be too long is replaced by a hash of the whole.
    """
    changes = [f"{name}={value}" for name, value in _changes(recipe).items() if name != "epochs"]
    name = "-".join([f"torch_ref-{recipe.name}-{recipe.seed}", *changes])
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 13]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return Path("runs") / name


def title(recipe: Recipe) -> str:
    """Return what is trained, in words: recipe, seed, and every setting that is not the recipe's."""
    changes = [f"{name.replace('_', ' ')} {value}" for name, value in _changes(recipe).items()]
    return ", ".join([recipe.name, f"seed {recipe.seed}", *changes])


def _changes(recipe: Recipe) -> dict[str, Any]:
    original = asdict(RECIPES.get(recipe.name, Recipe(name=recipe.name)))
    return {name: value for name, value in asdict(recipe).items() if name != "seed" and value != original[name]}
