"""Short trainings of many runs of one shape, as one compiled program, and what is measured on the way."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int32, UInt8

from jax_impl import model, train
from jax_impl.activations import ACTIVATIONS
from jax_impl.data import Mnist
from jax_impl.explore.settings import BATCH, STEPS, Network, recipe
from jax_impl.model import Params
from jax_impl.study.propagation import FLAT
from jax_impl.train import State
from jax_impl.trainer import devices
from jax_impl.trainer.devices import RUNS

TESTS = 6  # of a run, evenly over its steps
TESTED = 1_000  # first test images
PROBED = 250  # first test images, on which activations are measured
POINTS = 4  # of the loss curve, between two tests
AT_ONCE = 36  # runs in memory, for each of which 30 layers of 128 under Adam need 7 MB
FIRST_STEPS = 4  # over which the size of activations is followed


class Course(NamedTuple):
    """What was measured in each run, with an axis of runs before those that are named here."""

    loss: Float[Array | np.ndarray, "*runs points"]  # mean over the steps of each point, before each update, in nats
    accuracy: Float[Array | np.ndarray, "*runs tests"]  # on 1,000 test images, from 0 to 1
    diverged: Bool[Array | np.ndarray, "*runs"]  # a loss or a parameter became NaN or infinite
    update: Float[Array | np.ndarray, "*runs layers"]  # norm of the kernel's first change / norm of the kernel
    sizes: Float[Array | np.ndarray, "*runs steps layers"]  # root mean square of pre-activations, after 0, 1, … steps
    flat: Float[
        Array | np.ndarray, "*runs layers"
    ]  # share of units that are off or saturated for every image, at the end


class Drawn(NamedTuple):
    """Everything random about a run."""

    params: Params
    order: Int32[np.ndarray, "steps batch"]


class Images(NamedTuple):
    """The images and labels of all runs."""

    train: UInt8[Array, "n pixels"]
    train_labels: Int32[Array, " n"]
    test: UInt8[Array, "m pixels"]
    test_labels: Int32[Array, " m"]


def train_runs(
    network: Network,
    optimizer: str,
    draws: Sequence[Drawn],
    rates: Sequence[float],
    mnist: Mnist,
    mesh: Mesh | None,
    raise_if_stopped: Callable[[], None] = lambda: None,
) -> Course:
    """Train runs of one network, and return NumPy arrays with a row for each.

    Args:
        network: Of all runs.
        optimizer: Of all runs.
        draws: The initial parameters and the batches of each run.
        rates: The learning rate of each run.
        mnist: Its training images are trained on, in the order of the draws.
        mesh: The devices that share the runs.
        raise_if_stopped: Called after every `AT_ONCE` runs.
    """
    count, size = len(draws), min(AT_ONCE, len(draws))
    images = Images(*devices.everywhere(_images(mnist), mesh))
    parts = []
    for first in range(0, count, size):
        group = [min(run, count - 1) for run in range(first, first + size)]  # the last run fills up the last group
        local = [group[place] for place in devices.local_runs(size, mesh)]
        begun = [jax.device_get(train.start(draws[run].params, rates[run], optimizer)) for run in local]
        states = devices.by_run(jax.tree.map(lambda *leaves: np.stack(leaves), *begun), mesh)
        orders = devices.by_run(np.stack([draws[run].order for run in local]), mesh)
        course = compiled(network, optimizer, len(local), len(images.train), mesh)(states, images, orders)
        parts.append([devices.local_rows(leaf)[:size] for leaf in course])
        raise_if_stopped()
    return Course(*(np.concatenate(leaves)[:count] for leaves in zip(*parts, strict=True)))


def train_one(
    state: State, images: Images, order: Int32[Array, "steps batch"], *, activation: str, optimizer: str
) -> Course:
    """Train one run, and measure it on the way. Pure: `compiled` applies `jit` over many runs."""
    run_epoch = partial(train.run_epoch, activation=activation, optimizer=optimizer)
    probe = model.scale(images.test[:PROBED], jax.tree.leaves(state.params)[0].dtype)
    tested = images.test[:TESTED], images.test_labels[:TESTED]

    def step(state: State, batch: Int32[Array, " batch"]) -> tuple[State, Array]:
        after, _ = run_epoch(state, images.train, images.train_labels, batch[None])
        return after, _sizes(after.params, probe, activation)

    def segment(state: State, order: Int32[Array, "steps batch"]) -> tuple[State, tuple[Array, Array, Array]]:
        after, losses = run_epoch(state, images.train, images.train_labels, order)
        correct = model.count_correct(after.params, *tested, activation)
        return after, (losses.reshape(POINTS, -1).mean(axis=1), correct, jnp.isfinite(losses).all())

    after_one, _ = step(state, order[0])
    _, sizes = jax.lax.scan(step, state, order[:FIRST_STEPS])
    end, (losses, correct, finite) = jax.lax.scan(segment, state, order.reshape(TESTS, -1, BATCH))
    finite = finite.all() & jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(end.params)]).all()
    return Course(
        loss=losses.reshape(-1),
        accuracy=correct / TESTED,
        diverged=~finite,
        update=_relative_change(state.params, after_one.params),
        sizes=jnp.concatenate([_sizes(state.params, probe, activation)[None], sizes]),
        flat=_flat(end.params, probe, activation),
    )


@lru_cache(maxsize=2)
def compiled(network: Network, optimizer: str, count: int, n_images: int, mesh: Mesh | None) -> jax.stages.Compiled:
    """Compile `train_one` for `count` runs that the devices share."""
    one_run: Any = partial(train_one, activation=network.activation, optimizer=optimizer)
    everywhere, by_run = PartitionSpec(), PartitionSpec(RUNS)
    many = devices.over_runs(one_run, count if mesh is None else count // mesh.shape[RUNS])
    if mesh is not None:
        many = jax.shard_map(many, mesh=mesh, in_specs=(by_run, everywhere, by_run), out_specs=by_run)
    first = recipe(network, "zeros")
    of_one = jax.eval_shape(lambda: train.start(model.init_params(first, key=jax.random.key(0)), 0.1, optimizer))
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), of_one)
    pixels, kinds = network.layers[0], list[Any]()
    for n in (n_images, TESTED):
        kinds += [jax.ShapeDtypeStruct((n, pixels), jnp.uint8), jax.ShapeDtypeStruct((n,), jnp.int32)]
    images = Images(*kinds)
    order = jax.ShapeDtypeStruct((count, STEPS, BATCH), jnp.int32)
    return train.compile_for(
        many,
        devices.shapes(state, mesh, by_run),
        devices.shapes(images, mesh, everywhere),
        devices.shapes(order, mesh, by_run),
        donate_argnums=(),
    )


def _images(mnist: Mnist) -> tuple[np.ndarray, ...]:
    return (*mnist[:2], mnist.test_images[:TESTED], mnist.test_labels[:TESTED])


def _sizes(params: Params, probe: Float[Array, "n pixels"], activation: str) -> Float[Array, " layers"]:
    """Return the root mean square of each layer's pre-activations."""
    return jnp.stack([jnp.sqrt(jnp.mean(z**2)) for z in model.pre_activations(params, probe, activation)])


def _relative_change(before: Params, after: Params) -> Float[Array, " layers"]:
    """Return the norm of each kernel's change, divided by the kernel's norm; NaN if both are 0."""
    pairs = zip(model.linears(before), model.linears(after), strict=True)
    kernels = [(jnp.asarray(old["kernel"]), jnp.asarray(new["kernel"])) for old, new in pairs]
    return jnp.stack([jnp.linalg.norm(new - old) / jnp.linalg.norm(old) for old, new in kernels])


def _flat(params: Params, probe: Float[Array, "n pixels"], activation: str) -> Float[Array, " layers"]:
    """Return the share of units of each hidden layer whose slope is almost 0 for every image."""
    function = ACTIVATIONS[activation]
    slopes = [function.derivative(z) for z in model.pre_activations(params, probe, activation)[:-1]]
    return jnp.stack([(jnp.abs(slope) < FLAT * function.steepest).all(axis=0).mean() for slope in slopes])
