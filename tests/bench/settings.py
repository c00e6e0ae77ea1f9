"""What one run of the benchmark measures, and how often. The defaults take less than 15 minutes on two cores."""

from dataclasses import dataclass

from tests.bench.contenders import ENTRIES, IMAGES

RECIPES = ("mnist_nn_xavier", "mnist_nn_deep")  # ReLU and Xavier, which all contenders have
SHORT = 20_000  # images of an epoch of everything but the first recipe: 60,000 would take minutes more


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of all parts."""

    recipes: tuple[str, ...] = RECIPES
    contenders: tuple[str, ...] = tuple(ENTRIES)  # those of the part `epochs`; jax always trains
    rounds: int = 5  # that count, of everything but the part `phases` and other projects' whole commands
    images: int | None = None  # number of training images, from the first one; None for `images_of` a recipe
    epochs: int = 15  # of the commands that train as the notebook does

    def images_of(self, recipe: str) -> int:
        """Return the number of images in an epoch of a recipe."""
        return self.images or (IMAGES if recipe == RECIPES[0] else SHORT)
