"""The initialisers of `torch.nn.init` for dense layers, with torch's names and distributions, and JAX's own ones.

An initialiser is a function (key, shape, dtype) -> array, as Flax expects. Kernels have the shape (fan_in, fan_out),
the transpose of torch's `Linear.weight`. The two libraries differ in two ways:

- torch's `xavier_normal_` and `kaiming_normal_` are not truncated. JAX's `glorot_normal` and `he_normal` have the same
  variance, but are truncated at two standard deviations.
- torch's gain multiplies the standard deviation. The `scale` of JAX's `variance_scaling` multiplies the variance.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.nn import initializers as jax_initializers
from jaxtyping import Array, DTypeLike, PRNGKeyArray

Initializer = Callable[[PRNGKeyArray, tuple[int, ...], DTypeLike], Array]
BiasInitializer = Callable[[int], Initializer]  # takes the layer's fan_in, which the shape of a bias does not show


def calculate_gain(nonlinearity: str, a: float = 0.01) -> float:
    """Return the recommended gain of the layer before a nonlinearity: `torch.nn.init.calculate_gain`.

    Args:
        nonlinearity: linear, sigmoid, tanh, relu, leaky_relu or selu.
        a: The negative slope of leaky_relu.

    Raises:
        ValueError: The nonlinearity is none of these.
    """
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + a**2)),
        "selu": 3 / 4,
    }
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity must be one of {', '.join(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]


def uniform(low: float = 0.0, high: float = 1.0) -> Initializer:
    """U(low, high): `torch.nn.init.uniform_`."""
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, low, high)


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """N(mean, std²): `torch.nn.init.normal_`."""
    return lambda key, shape, dtype: mean + std * jax.random.normal(key, shape, dtype)


def trunc_normal(mean: float = 0.0, std: float = 1.0, low: float = -2.0, high: float = 2.0) -> Initializer:
    """N(mean, std²) truncated to [low, high]: `torch.nn.init.trunc_normal_`.

    As in torch, the bounds are not multiples of std, and std is the standard deviation before truncation.
    """
    lower, upper = (low - mean) / std, (high - mean) / std
    return lambda key, shape, dtype: mean + std * jax.random.truncated_normal(key, lower, upper, shape, dtype)


def constant(value: float) -> Initializer:
    """Every weight has this value: `torch.nn.init.constant_`."""
    return lambda _, shape, dtype: jnp.full(shape, value, dtype)


def ones() -> Initializer:
    """Every weight is 1: `torch.nn.init.ones_`."""
    return constant(1.0)


def zeros() -> Initializer:
    """Every weight is 0: `torch.nn.init.zeros_`. The notebook warns against it."""
    return constant(0.0)


def eye() -> Initializer:
    """1 on the main diagonal and 0 elsewhere: `torch.nn.init.eye_`."""
    return lambda _, shape, dtype: jnp.eye(shape[0], shape[1], dtype=dtype)


def xavier_std(fan_in: int, fan_out: int, gain: float = 1.0) -> float:
    """Return gain · sqrt(2 / (fan_in + fan_out)): Glorot & Bengio 2010, equation 16."""
    return gain * math.sqrt(2.0 / (fan_in + fan_out))


def kaiming_std(
    fan_in: int, fan_out: int, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> float:
    """Return gain / sqrt(fan): He et al. 2015, equation 14.

    Args:
        fan_in: The number of inputs of the layer.
        fan_out: The number of its units.
        a: The negative slope of leaky_relu.
        mode: fan_in preserves the variance of the activations, fan_out the variance of the gradients.
        nonlinearity: One of those that `calculate_gain` knows.

    Raises:
        ValueError: The mode or the nonlinearity is unknown.
    """
    if mode not in {"fan_in", "fan_out"}:
        raise ValueError(f"mode must be fan_in or fan_out, got {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def linear_default_bound(fan_in: int) -> float:
    """Return 1 / sqrt(fan_in), the bound of the uniform distribution from which `torch.nn.Linear` draws its bias."""
    return 1 / math.sqrt(fan_in)


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """U(±sqrt(3) · xavier_std): `torch.nn.init.xavier_uniform_`."""
    return _scaled_uniform(lambda fan_in, fan_out: xavier_std(fan_in, fan_out, gain))


def xavier_normal(gain: float = 1.0) -> Initializer:
    """N(0, xavier_std²), not truncated: `torch.nn.init.xavier_normal_`."""
    return _scaled_normal(lambda fan_in, fan_out: xavier_std(fan_in, fan_out, gain))


def kaiming_uniform(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """U(±sqrt(3) · kaiming_std): `torch.nn.init.kaiming_uniform_`."""
    return _scaled_uniform(lambda fan_in, fan_out: kaiming_std(fan_in, fan_out, a, mode, nonlinearity))


def kaiming_normal(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """N(0, kaiming_std²), not truncated: `torch.nn.init.kaiming_normal_`."""
    return _scaled_normal(lambda fan_in, fan_out: kaiming_std(fan_in, fan_out, a, mode, nonlinearity))


def orthogonal(gain: float = 1.0) -> Initializer:
    """Gain times a matrix with orthonormal rows or columns (Saxe et al. 2013): `torch.nn.init.orthogonal_`."""
    return jax_initializers.orthogonal(scale=gain)


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """N(0, std²), but ceil(sparsity · fan_out) weights of every input are 0 (Martens 2010): `torch.nn.init.sparse_`.

    Raises:
        ValueError: The sparsity is not between 0 and 1.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be between 0 and 1, got {sparsity}")

    def init(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        values_key, zeros_key = jax.random.split(key)
        n_zeros = math.ceil(sparsity * shape[1])
        # Sorting uniform numbers permutes 0 to fan_out - 1 at random in each row.
        ranks = jnp.argsort(jax.random.uniform(zeros_key, shape), axis=1)  # (fan_in, fan_out)
        return jnp.where(ranks < n_zeros, 0, std * jax.random.normal(values_key, shape, dtype)).astype(dtype)

    return init


def linear_default() -> Initializer:
    """U(±1 / sqrt(fan_in)): `torch.nn.Linear` draws its weight so (`kaiming_uniform_` with a = sqrt(5))."""
    return kaiming_uniform(a=math.sqrt(5))


def linear_default_bias(fan_in: int) -> Initializer:
    """U(±1 / sqrt(fan_in)): `torch.nn.Linear` draws its bias so."""
    bound = linear_default_bound(fan_in)
    return uniform(-bound, bound)


def _scaled_uniform(std_of: Callable[[int, int], float]) -> Initializer:
    def init(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        bound = math.sqrt(3) * std_of(*shape)  # U(±b) has the standard deviation b / sqrt(3)
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def _scaled_normal(std_of: Callable[[int, int], float]) -> Initializer:
    return lambda key, shape, dtype: std_of(*shape) * jax.random.normal(key, shape, dtype)


# The kernels' initialisers by the names of `--init`. Where torch requires a parameter, it is chosen here.
KERNELS: dict[str, Callable[[], Initializer]] = {
    "uniform": uniform,
    "normal": normal,
    "small_normal": lambda: normal(std=0.01),  # Hinton 2010, section 8; Krizhevsky et al. 2012, section 5
    "trunc_normal": trunc_normal,
    "constant": lambda: constant(0.1),
    "ones": ones,
    "zeros": zeros,
    "eye": eye,
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "kaiming_uniform": kaiming_uniform,
    "kaiming_normal": kaiming_normal,
    "orthogonal": orthogonal,
    "sparse": lambda: sparse(0.9),
    "linear_default": linear_default,
    # JAX's own. The normal ones are truncated.
    "lecun_uniform": jax_initializers.lecun_uniform,
    "lecun_normal": jax_initializers.lecun_normal,
    "glorot_uniform": jax_initializers.glorot_uniform,
    "glorot_normal": jax_initializers.glorot_normal,
    "he_uniform": jax_initializers.he_uniform,
    "he_normal": jax_initializers.he_normal,
}

BIASES: dict[str, BiasInitializer] = {
    "linear_default": linear_default_bias,
    "zeros": lambda _: zeros(),
}


def named(init: str, bias_init: str) -> tuple[Initializer, BiasInitializer]:
    """Return the initialisers of kernels and biases with these names. The names must be in `KERNELS` and `BIASES`."""
    return KERNELS[init](), BIASES[bias_init]
