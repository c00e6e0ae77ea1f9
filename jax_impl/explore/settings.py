"""The settings that a visitor of the page can choose, and the recipes behind them."""

from dataclasses import dataclass
from itertools import product

from jax_impl.recipes import DATA_DRIVEN, Recipe
from jax_impl.study.cells import layers_text

# By the names of the page: the initialisers of kernels and biases. Biases are 0, as in `study`, but torch draws them.
INITS = {
    "zeros": ("zeros", "zeros"),
    "small_normal": ("small_normal", "zeros"),
    "normal": ("normal", "zeros"),
    "torch_default": ("linear_default", "linear_default"),  # torch.nn.Linear
    "flax_default": ("lecun_normal", "zeros"),  # flax.nnx.Linear
    "xavier_normal": ("xavier_normal", "zeros"),
    "kaiming_normal": ("kaiming_normal", "zeros"),
    "orthogonal": ("orthogonal", "zeros"),
    "lsuv": ("lsuv", "zeros"),
}
GAINS = (0.5, 1.0, 2.0)  # multiply the standard deviation of the kernels
WITHOUT_GAIN = ("zeros", *DATA_DRIVEN)  # a factor changes nothing, or the images set the scale
DEPTHS = (2, 5, 10, 30)  # hidden layers
WIDTHS = (32, 64, 128)
ACTIVATIONS = ("relu", "tanh", "sigmoid")
RATES = {"sgd": (0.01, 0.1, 1.0), "adam": (1e-4, 1e-3, 1e-2)}
RULES = tuple((optimizer, rate) for optimizer, rates in RATES.items() for rate in rates)

IMAGES = 18_000  # first training images: each run sees each of them once
BATCH = 30
STEPS = IMAGES // BATCH
SEEDS = (0, 1, 2)
PIXELS, CLASSES = 784, 10


@dataclass(frozen=True, order=True)
class Network:
    """The settings that fix a network, before its weights are drawn."""

    depth: int  # hidden layers
    width: int
    activation: str

    @property
    def layers(self) -> tuple[int, ...]:
        """Units per layer, from the pixels to the classes."""
        return (PIXELS, *[self.width] * self.depth, CLASSES)

    def __str__(self) -> str:
        """Return the network in words."""
        return f"{layers_text(self.depth)} of {self.width}, {self.activation}"


@dataclass(frozen=True, order=True)
class Start:
    """How the parameters of a network are drawn."""

    init: str  # one of `INITS`
    gain: float  # 1 if the initialiser has none


def networks() -> list[Network]:
    """Return all networks, those with few layers first."""
    return [Network(*choice) for choice in product(DEPTHS, WIDTHS, ACTIVATIONS)]


def starts() -> list[Start]:
    """Return every way to draw parameters once."""
    return [Start(init, gain) for init, gain in product(INITS, GAINS) if init not in WITHOUT_GAIN or gain == 1]


def start_at(init: str, gain: float) -> Start:
    """Return the start of a setting of the page, where every initialiser has every gain."""
    return Start(init, 1.0 if init in WITHOUT_GAIN else gain)


def recipe(network: Network, init: str, optimizer: str = "sgd", seed: int = 0) -> Recipe:
    """Return the recipe of a run, but for its gain and its learning rate: 600 steps on the first 18,000 images."""
    kernels, biases = INITS[init]
    return Recipe(
        name="explore",
        layers=network.layers,
        init=kernels,
        bias_init=biases,
        activation=network.activation,
        optimizer=optimizer,
        learning_rate=RATES[optimizer][0],
        batch_size=BATCH,
        epochs=1,
        seed=seed,
    )
