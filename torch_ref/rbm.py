"""The restricted Boltzmann machine of the notebook's first half, and its training by contrastive divergence.

Bernoulli units, visible v and hidden h, without connections within a layer. The defaults are those of Hinton 2010, "A
practical guide to training restricted Boltzmann machines", unless another source stands beside them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional

from torch_ref.errors import ArgumentError, DivergedError

INITIAL_STD = 0.01  # of the weights: section 8.1
LIMIT = 1e4  # of a parameter: from an input of 104 on a sigmoid is 1 in float32, and learning is over


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
    seed: int = 777  # of the generator that the caller makes for every random draw
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, value in (("hidden", self.hidden), ("k", self.k), ("batch size", self.batch_size)):
            _require(value >= 1, name, "an integer >= 1", value)
        _require(self.epochs >= 0, "epochs", "an integer >= 0", self.epochs)
        rate = self.learning_rate
        _require(1e-30 <= rate <= 1e30, "learning rate", "a number from 1e-30 to 1e+30", rate)
        _require(0 <= self.momentum < 1, "momentum", "a number from 0 to below 1", self.momentum)
        _require(0 < self.sparsity_target < 1, "sparsity target", "a number between 0 and 1", self.sparsity_target)
        for name, number in (("weight decay", self.weight_decay), ("sparsity cost", self.sparsity_cost)):
            _require(0 <= number < math.inf, name, "a number >= 0", number)
        _require(0 <= self.seed < 2**32, "seed", "an integer from 0 to 4294967295", self.seed)


class Uniforms(NamedTuple):
    """What one CD-k step draws, from [0, 1): a unit is on where its number is below its probability."""

    hidden: torch.Tensor  # (k, batch, hidden)
    visible: torch.Tensor  # (k, batch, visible)


class Statistics(NamedTuple):
    """Means over a batch, laid out as the parameters; and likewise what is added to these."""

    weight: torch.Tensor  # (hidden, visible): of h vᵀ
    visible_bias: torch.Tensor  # (visible,): of v
    hidden_bias: torch.Tensor  # (hidden,): of h


class Rbm(torch.nn.Module):
    """A machine whose parameters are all 0 until they are set. They take no part in autograd.

    v is (batch, visible) and h (batch, hidden): states, or probabilities that stand for them.
    """

    def __init__(self, n_visible: int, n_hidden: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(n_hidden, n_visible, dtype=dtype), requires_grad=False)
        self.visible_bias = torch.nn.Parameter(torch.zeros(n_visible, dtype=dtype), requires_grad=False)
        self.hidden_bias = torch.nn.Parameter(torch.zeros(n_hidden, dtype=dtype), requires_grad=False)

    def energy(self, v: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """Return E(v, h) = -b·v - c·h - hᵀWv, (batch,), in nats; the model's probability is exp(-E) / Z."""
        interaction = (functional.linear(v, self.weight) * h).sum(dim=1)
        return -(v @ self.visible_bias) - h @ self.hidden_bias - interaction

    def free_energy(self, v: torch.Tensor) -> torch.Tensor:
        """Return F(v) = -log Σ_h exp(-E(v, h)) = -b·v - Σ_j log(1 + exp(c_j + W_j·v)), (batch,), in nats."""
        inputs = functional.linear(v, self.weight, self.hidden_bias)
        softplus = torch.logaddexp(inputs, torch.zeros_like(inputs))  # torch's own is x above 20, off by 2e-9
        return -(v @ self.visible_bias) - softplus.sum(dim=1)

    def hidden_given_visible(self, v: torch.Tensor) -> torch.Tensor:
        """Return the probability of each hidden unit to be on: forward, in the notebook's words."""
        return torch.sigmoid(functional.linear(v, self.weight, self.hidden_bias))

    def visible_given_hidden(self, h: torch.Tensor) -> torch.Tensor:
        """Return the probability of each visible unit to be on: backward, the recreation of the input."""
        return torch.sigmoid(functional.linear(h, self.weight.T, self.visible_bias))

    def gibbs(self, h: torch.Tensor, drawn: Uniforms) -> tuple[torch.Tensor, torch.Tensor]:
        """Run k rounds of block Gibbs sampling from hidden units that are on with probability `h`.

        In a round hidden states are drawn, from them visible states, and these give the next probabilities. Returns
        the last visible states and the hidden units' probabilities given them.
        """
        v = h.new_zeros(len(h), self.weight.shape[1])
        for of_hidden, of_visible in zip(drawn.hidden, drawn.visible, strict=True):
            v = sample(self.visible_given_hidden(sample(h, of_hidden)), of_visible)
            h = self.hidden_given_visible(v)
        return v, h

    def divergence_step(
        self, data: torch.Tensor, drawn: Uniforms, chains: torch.Tensor | None = None
    ) -> tuple[Statistics, Statistics, torch.Tensor]:
        """Return the statistics of the data, those of the model after k rounds, and the chains' hidden probabilities.

        The first minus the second estimate the gradient of the mean log-likelihood, biased for a finite k (Hinton
        2002). Chains that start at the data, as without `chains`, make it CD-k; chains that go on from the last step,
        persistent CD (Tieleman 2008). Hidden units enter the statistics as probabilities (section 3.3).
        """
        h = self.hidden_given_visible(data)
        v_model, h_model = self.gibbs(h if chains is None else chains, drawn)
        return statistics(data, h), statistics(v_model, h_model), h_model

    def pseudo_log_likelihood(self, v: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Return an unbiased estimate of the mean Σ_i log p(v_i | the other visible units), in nats an image.

        One unit of each image stands for all: `places`, (batch,), int64, drawn evenly from all visible units.
        """
        n_visible = v.shape[1]
        flipped = v.scatter(1, places[:, None], 1 - v.gather(1, places[:, None]))
        return n_visible * functional.logsigmoid(self.free_energy(flipped) - self.free_energy(v)).mean()


def initial(generator: torch.Generator, pixel_means: torch.Tensor, n_hidden: int) -> Rbm:
    """Draw weights from N(0, 0.01²); a visible unit's bias is log(p / (1 - p)) of its mean p in the training data.

    Section 8.1. A pixel that is never or always on counts as one that is once in 10,000 images. `pixel_means` is
    (visible,), of the machine's device and dtype.
    """
    p = pixel_means.clamp(1e-4, 1 - 1e-4)
    rbm = Rbm(len(p), n_hidden, p.dtype).to(p.device)
    rbm.weight.normal_(0, INITIAL_STD, generator=generator)
    rbm.visible_bias.copy_(torch.log(p / (1 - p)))
    return rbm


def sample(probabilities: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Return 1 where the uniform number is below the probability, and 0 elsewhere."""
    return (uniforms < probabilities).to(probabilities.dtype)


def draw(generator: torch.Generator, k: int, batch: int, rbm: Rbm) -> Uniforms:
    """Draw what a CD-k step of a batch takes."""
    n_hidden, n_visible = rbm.weight.shape
    return Uniforms(*(rbm.weight.new_empty(k, batch, n).uniform_(generator=generator) for n in (n_hidden, n_visible)))


def statistics(v: torch.Tensor, h: torch.Tensor) -> Statistics:
    """Return the means over a batch of h vᵀ, v and h."""
    return Statistics(h.T @ v / len(v), v.mean(dim=0), h.mean(dim=0))


@dataclass
class State:
    """All that a training step changes."""

    rbm: Rbm
    velocity: Statistics
    chains: torch.Tensor  # (batch, hidden): probabilities of the hidden units, where persistent chains stand
    activity: torch.Tensor  # (hidden,): decaying mean of each hidden unit's probability


def start(rbm: Rbm, images: torch.Tensor) -> State:
    """Return the state before the first step; persistent chains begin at these images, (batch, visible)."""
    h = rbm.hidden_given_visible(images)
    velocity = Statistics(*(torch.zeros_like(parameter.data) for parameter in rbm.parameters()))
    return State(rbm, velocity, h, h.mean(dim=0))


def update_(state: State, data: torch.Tensor, drawn: Uniforms, settings: Settings, learning_rate: float) -> None:
    """Take one step of CD-k or persistent CD with momentum, weight decay and, if asked for, sparsity."""
    rbm, chains = state.rbm, state.chains if settings.persistent else None
    of_data, of_model, state.chains = rbm.divergence_step(data, drawn, chains)
    weight, visible_bias, hidden_bias = (a - b for a, b in zip(of_data, of_model, strict=True))
    weight -= settings.weight_decay * rbm.weight
    state.activity = 0.9 * state.activity + 0.1 * of_data.hidden_bias  # section 11.1
    if settings.sparsity_cost:
        # The cross-entropy of activity and target, by the input of the units: activity minus target.
        off = settings.sparsity_cost * (state.activity - settings.sparsity_target)
        weight -= torch.outer(off, of_data.visible_bias)
        hidden_bias -= off
    direction = (weight, visible_bias, hidden_bias)  # in the order of the parameters
    for parameter, velocity, change in zip(rbm.parameters(), state.velocity, direction, strict=True):
        velocity.mul_(settings.momentum).add_(change, alpha=learning_rate)
        parameter.add_(velocity)


def fit(
    settings: Settings, images: torch.Tensor, held_out: torch.Tensor, generator: torch.Generator
) -> Iterator[tuple[float | None, Rbm]]:
    """Train epoch by epoch: yield the machine before the first, with None, then after each with what is monitored.

    That is the pseudo-log-likelihood of the held-out images, rounded, in nats. The machine is the same one each time.

    Args:
        settings: Of the machine and its training; the seed is left to the caller.
        images: (n, visible) in [0, 1], of the settings' dtype; taken as probabilities (section 3.2).
        held_out: (m, visible), images that are only monitored.
        generator: Of every random draw, on the device of the images.

    Raises:
        ArgumentError: A pixel is outside [0, 1], or there are fewer images than a batch has.
        DivergedError: A parameter is not a number, or beyond `LIMIT`.
    """
    _check(settings, images, held_out)
    (n, n_visible), device = images.shape, images.device
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
        if not largest < LIMIT:  # NaN is not, either
            raise DivergedError(
                f"the RBM diverged in epoch {epoch + 1}, its largest parameter is {largest:.3g}: the learning rate "
                f"{settings.learning_rate:g} is probably too large; try {Settings.learning_rate:g}"
            )
        places = torch.randint(n_visible, (len(held_out),), generator=generator, device=device)
        yield rbm.pseudo_log_likelihood(held_out.round(), places).item(), rbm


def _check(settings: Settings, images: torch.Tensor, held_out: torch.Tensor) -> None:
    for pixels in (images, held_out):
        low, high = pixels.min().item(), pixels.max().item()
        if not (low >= 0 and high <= 1):  # NaN is neither
            raise ArgumentError(f"pixels must lie in [0, 1], got {low:g} to {high:g}: divide bytes by 255")
    if settings.batch_size > len(images):
        raise ArgumentError(f"batch size must be at most the {len(images)} training images, got {settings.batch_size}")


def _require(condition: bool, field: str, expected: str, value: object) -> None:
    if not condition:
        raise ArgumentError(f"{field} must be {expected}, got {value!r}")
