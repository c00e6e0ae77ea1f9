"""The restricted Boltzmann machine of the notebook's first half, trained by contrastive divergence (CD).

Visible units v and hidden units h are binary, without connections within a layer. The defaults and the section
numbers are those of Hinton 2010, "A practical guide to training restricted Boltzmann machines".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional

from torch_ref.errors import ArgumentError, DivergedError, require, require_integer
from torch_ref.recipes import LARGEST_SEED

INITIAL_STD = 0.01  # of the weights: section 8.1
LIMIT = 1e4  # of a parameter: a float32 sigmoid is 1 for inputs above 104, where learning has stopped


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one machine and its training.

    Raises:
        ArgumentError: A value is out of range. The message names the field and the range.
    """

    hidden: int = 500  # units: Hinton & Salakhutdinov 2006 and Salakhutdinov & Murray 2008, on MNIST
    k: int = 1  # rounds of Gibbs sampling per step: section 5.2, enough to learn features
    persistent: bool = False  # whether each step continues the chains of the last one: Tieleman 2008
    epochs: int = 10  # passes over the images
    batch_size: int = 100  # images per step: section 4, 10 to 100; the last, incomplete batch is dropped
    learning_rate: float = 0.1  # of the first epoch, Hinton & Salakhutdinov 2006; it falls linearly towards 0
    momentum: float = 0.0  # off; section 9.1 starts with 0.5 and continues with 0.9
    weight_decay: float = 0.0  # of the weights, not the biases; off; section 10 tries 0.00001 to 0.01
    sparsity_cost: float = 0.0  # penalty on units that are on more or less often than the target: section 11; off
    sparsity_target: float = 0.1  # fraction of the images for which a unit should be on: section 11, 0.01 to 0.1
    seed: int = 777  # for the generator of all draws, which the caller makes
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, value in (("hidden", self.hidden), ("k", self.k), ("batch size", self.batch_size)):
            require_integer(value, name, 1)
        require_integer(self.epochs, "epochs", 0)
        representable = 1e-30 <= self.learning_rate <= 1e30  # in float32, and not NaN
        require(representable, "learning rate", "a number from 1e-30 to 1e+30", self.learning_rate)
        require(0 <= self.momentum < 1, "momentum", "a number from 0 to below 1", self.momentum)
        require(0 < self.sparsity_target < 1, "sparsity target", "a number between 0 and 1", self.sparsity_target)
        require(0 <= self.weight_decay < math.inf, "weight decay", "a number >= 0", self.weight_decay)
        require(0 <= self.sparsity_cost < math.inf, "sparsity cost", "a number >= 0", self.sparsity_cost)
        require_integer(self.seed, "seed", 0, LARGEST_SEED)


class Uniforms(NamedTuple):
    """The draws of one CD-k step, from [0, 1). A unit is on if its number is below its probability."""

    hidden: torch.Tensor  # (k, batch, hidden)
    visible: torch.Tensor  # (k, batch, visible)


class Statistics(NamedTuple):
    """Means over a batch, or changes of the parameters, in the shapes of the parameters."""

    weight: torch.Tensor  # (hidden, visible): of h vᵀ
    visible_bias: torch.Tensor  # (visible,): of v
    hidden_bias: torch.Tensor  # (hidden,): of h


class Rbm(torch.nn.Module):
    """A machine. All parameters start at 0, and autograd ignores them.

    In its methods v is (batch, visible) and h is (batch, hidden): states, or probabilities in their place.
    """

    def __init__(self, n_visible: int, n_hidden: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(n_hidden, n_visible, dtype=dtype), requires_grad=False)
        self.visible_bias = torch.nn.Parameter(torch.zeros(n_visible, dtype=dtype), requires_grad=False)
        self.hidden_bias = torch.nn.Parameter(torch.zeros(n_hidden, dtype=dtype), requires_grad=False)

    def energy(self, v: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """Return E(v, h) = -b·v - c·h - hᵀWv, (batch,), in nats. The model's probability is exp(-E) / Z."""
        interaction = (functional.linear(v, self.weight) * h).sum(dim=1)
        return -(v @ self.visible_bias) - h @ self.hidden_bias - interaction

    def free_energy(self, v: torch.Tensor) -> torch.Tensor:
        """Return F(v) = -log Σ_h exp(-E(v, h)) = -b·v - Σ_j log(1 + exp(c_j + W_j·v)), (batch,), in nats."""
        inputs = functional.linear(v, self.weight, self.hidden_bias)
        softplus = torch.logaddexp(inputs, torch.zeros_like(inputs))  # functional.softplus is off by 2e-9 above 20
        return -(v @ self.visible_bias) - softplus.sum(dim=1)

    def hidden_given_visible(self, v: torch.Tensor) -> torch.Tensor:
        """Return the probability that each hidden unit is on: the notebook's forward pass."""
        return torch.sigmoid(functional.linear(v, self.weight, self.hidden_bias))

    def visible_given_hidden(self, h: torch.Tensor) -> torch.Tensor:
        """Return the probability that each visible unit is on: the notebook's backward pass, the recreation."""
        return torch.sigmoid(functional.linear(h, self.weight.T, self.visible_bias))

    def gibbs(self, h: torch.Tensor, drawn: Uniforms) -> tuple[torch.Tensor, torch.Tensor]:
        """Run k rounds of block Gibbs sampling from the hidden probabilities `h`.

        A round draws hidden states, draws visible states given them, and computes the next hidden probabilities.
        Returns the last visible states and hidden probabilities.
        """
        v = h.new_zeros(len(h), self.weight.shape[1])
        for hidden_uniforms, visible_uniforms in zip(drawn.hidden, drawn.visible, strict=True):
            v = sample(self.visible_given_hidden(sample(h, hidden_uniforms)), visible_uniforms)
            h = self.hidden_given_visible(v)
        return v, h

    def divergence_step(
        self, data: torch.Tensor, drawn: Uniforms, chains: torch.Tensor | None = None
    ) -> tuple[Statistics, Statistics, torch.Tensor]:
        """Return the statistics of the data, those of the model after k rounds, and the chains' hidden probabilities.

        The first minus the second estimate the gradient of the mean log-likelihood, with a bias (Hinton 2002). Without
        `chains` the chains start at the data: CD-k. Otherwise they continue from `chains`, (batch, hidden): persistent
        CD (Tieleman 2008). Hidden units enter the statistics as probabilities (section 3.3).
        """
        h = self.hidden_given_visible(data)
        v_model, h_model = self.gibbs(h if chains is None else chains, drawn)
        return statistics(data, h), statistics(v_model, h_model), h_model

    def pseudo_log_likelihood(self, v: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
        """Return an unbiased estimate of the mean Σ_i log p(v_i | the other visible units), in nats per image.

        One unit of each image stands for all: `units`, (batch,), int64, drawn uniformly from the visible units.
        """
        n_visible = v.shape[1]
        flipped = v.scatter(1, units[:, None], 1 - v.gather(1, units[:, None]))
        return n_visible * functional.logsigmoid(self.free_energy(flipped) - self.free_energy(v)).mean()


def initial(generator: torch.Generator, pixel_means: torch.Tensor, n_hidden: int) -> Rbm:
    """Return a new machine as section 8.1 proposes, on the device and in the dtype of `pixel_means`.

    The weights are drawn from N(0, 0.01²). A visible bias is log(p / (1 - p)), where p is the pixel's mean in the
    training data, (visible,), limited to [0.0001, 0.9999]. The hidden biases are 0.
    """
    p = pixel_means.clamp(1e-4, 1 - 1e-4)
    rbm = Rbm(len(p), n_hidden, p.dtype).to(p.device)
    rbm.weight.normal_(0, INITIAL_STD, generator=generator)
    rbm.visible_bias.copy_(torch.log(p / (1 - p)))
    return rbm


def sample(probabilities: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Return 1 where the uniform number is below the probability, else 0."""
    return (uniforms < probabilities).to(probabilities.dtype)


def draw(generator: torch.Generator, k: int, batch: int, rbm: Rbm) -> Uniforms:
    """Draw the uniform numbers of a CD-k step."""
    n_hidden, n_visible = rbm.weight.shape
    return Uniforms(*(rbm.weight.new_empty(k, batch, n).uniform_(generator=generator) for n in (n_hidden, n_visible)))


def statistics(v: torch.Tensor, h: torch.Tensor) -> Statistics:
    """Return the means over a batch of h vᵀ, v and h."""
    return Statistics(h.T @ v / len(v), v.mean(dim=0), h.mean(dim=0))


@dataclass
class State:
    """Everything that a training step changes."""

    rbm: Rbm
    velocity: Statistics
    chains: torch.Tensor  # (batch, hidden): hidden probabilities of the persistent chains
    activity: torch.Tensor  # (hidden,): decaying mean of each hidden unit's probability


def start(rbm: Rbm, images: torch.Tensor) -> State:
    """Return the state before the first step. Persistent chains start at these images, (batch, visible)."""
    h = rbm.hidden_given_visible(images)
    velocity = Statistics(*(torch.zeros_like(parameter.data) for parameter in rbm.parameters()))
    return State(rbm, velocity, h, h.mean(dim=0))


def update_(state: State, data: torch.Tensor, drawn: Uniforms, settings: Settings, learning_rate: float) -> None:
    """Take one step of CD-k or persistent CD, with momentum, weight decay and the sparsity penalty."""
    rbm, chains = state.rbm, state.chains if settings.persistent else None
    of_data, of_model, state.chains = rbm.divergence_step(data, drawn, chains)
    weight, visible_bias, hidden_bias = (a - b for a, b in zip(of_data, of_model, strict=True))
    weight -= settings.weight_decay * rbm.weight
    state.activity = 0.9 * state.activity + 0.1 * of_data.hidden_bias  # section 11.1
    if settings.sparsity_cost:
        # The gradient of the cross-entropy of target and activity with respect to a unit's input.
        excess = settings.sparsity_cost * (state.activity - settings.sparsity_target)
        weight -= torch.outer(excess, of_data.visible_bias)
        hidden_bias -= excess
    direction = (weight, visible_bias, hidden_bias)  # in the order of the parameters
    for parameter, velocity, change in zip(rbm.parameters(), state.velocity, direction, strict=True):
        velocity.mul_(settings.momentum).add_(change, alpha=learning_rate)
        parameter.add_(velocity)


def fit(
    settings: Settings, images: torch.Tensor, held_out: torch.Tensor, generator: torch.Generator
) -> Iterator[tuple[float | None, Rbm]]:
    """Train a machine. Yield None and the machine before the first epoch, then a score and the machine after each.

    The score is the pseudo-log-likelihood of the rounded held-out images, in nats. All machines are the same object.

    Args:
        settings: Of the machine and its training. The seed is not used here.
        images: (n, visible) in [0, 1], in the settings' dtype, taken as probabilities (section 3.2).
        held_out: (m, visible), images for the score only.
        generator: Of every random draw, on the device of the images.

    Raises:
        ArgumentError: A pixel is outside [0, 1], or there are fewer images than a batch has.
        DivergedError: A parameter is NaN or beyond `LIMIT`.
    """
    for pixels in (images, held_out):
        low, high = pixels.min().item(), pixels.max().item()
        if not (low >= 0 and high <= 1):  # also if one is NaN
            raise ArgumentError(f"pixels must lie in [0, 1], got {low:g} to {high:g}: divide bytes by 255")
    (n, n_visible), device = images.shape, images.device
    require(settings.batch_size <= n, "batch size", f"at most the {n} training images", settings.batch_size)
    rbm = initial(generator, images.mean(dim=0).to(getattr(torch, settings.dtype)), settings.hidden)
    state = start(rbm, images[: settings.batch_size])
    yield None, rbm
    full = n - n % settings.batch_size
    for epoch in range(settings.epochs):
        order = torch.randperm(n, generator=generator, device=device)
        rate = settings.learning_rate * (1 - epoch / settings.epochs)
        for batch in order[:full].split(settings.batch_size):
            update_(state, images[batch], draw(generator, settings.k, len(batch), rbm), settings, rate)
        largest = torch.stack([parameter.abs().max() for parameter in rbm.parameters()]).max().item()
        if not largest < LIMIT:  # also if it is NaN
            raise DivergedError(
                f"the RBM diverged in epoch {epoch + 1}, its largest parameter is {largest:.3g}: the learning rate "
                f"{settings.learning_rate:g} is probably too large; try {Settings.learning_rate:g}"
            )
        units = torch.randint(n_visible, (len(held_out),), generator=generator, device=device)
        yield rbm.pseudo_log_likelihood(held_out.round(), units).item(), rbm
