"""The short trainings: the same steps as the training loop's, and every run as if it were alone."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import train
from jax_impl.data import Mnist
from jax_impl.draws import Draws, native
from jax_impl.explore import training
from jax_impl.explore.settings import BATCH, IMAGES, STEPS, Network, recipe
from jax_impl.explore.training import POINTS, TESTED, TESTS, Course, Drawn
from jax_impl.model import linears, pre_activations, scale

NETWORK = Network(2, 32, "tanh")
RATES = (0.1, 0.01, 0.1)


@pytest.fixture(scope="module")
def part(mnist: Mnist) -> Mnist:
    return Mnist(mnist.train_images[:IMAGES], mnist.train_labels[:IMAGES], *mnist[2:])


@pytest.fixture(scope="module")
def draws() -> list[Drawn]:
    drawn = [native(recipe(NETWORK, "xavier_normal", seed=seed), IMAGES) for seed in (0, 1, 1)]
    return [Drawn(jax.device_get(one.params), next(one.orders)) for one in drawn]


@pytest.fixture(scope="module")
def course(draws: list[Drawn], part: Mnist) -> Course:
    return training.train_runs(NETWORK, "sgd", draws, RATES, part, None)


def first_only(order: np.ndarray) -> Iterator[np.ndarray]:
    yield order


@pytest.mark.parametrize("run", [0, 1])
def test_a_run_takes_the_steps_of_fit(run: int, draws: list[Drawn], course: Course, part: Mnist) -> None:
    tested = part._replace(test_images=part.test_images[:TESTED], test_labels=part.test_labels[:TESTED])
    settings = recipe(NETWORK, "xavier_normal").with_changes(learning_rate=RATES[run])
    ((record, state),) = train.fit(settings, tested, Draws(draws[run].params, first_only(draws[run].order)))
    assert course.loss.shape == (3, TESTS * POINTS)
    assert course.loss[run].mean() == pytest.approx(record.cost, rel=1e-5)
    assert course.accuracy[run, -1] == pytest.approx(record.test_accuracy, abs=1.5 / TESTED)
    slopes = [1 - np.tanh(z) ** 2 for z in pre_activations(state.params, probe(part), "tanh")[:-1]]
    np.testing.assert_allclose(course.flat[run], [(slope < 0.05).all(axis=0).mean() for slope in slopes], atol=1e-6)


def probe(part: Mnist) -> jax.Array:
    return scale(jnp.asarray(part.test_images[: training.PROBED]), np.float32)


def test_the_first_steps_are_followed(draws: list[Drawn], course: Course, part: Mnist) -> None:
    state = train.start(draws[0].params, RATES[0], "sgd")
    states = [state]
    images, labels = map(jnp.asarray, part[:2])
    step = partial(train.run_epoch, images=images, labels=labels, activation="tanh", optimizer="sgd")
    for batch in draws[0].order[: training.FIRST_STEPS]:
        state, _ = step(state, order=jnp.asarray(batch[None]))
        states.append(state)
    sizes = [
        [float(np.sqrt(np.mean(np.square(z)))) for z in pre_activations(one.params, probe(part), "tanh")]
        for one in states
    ]
    np.testing.assert_allclose(course.sizes[0], sizes, rtol=1e-4)
    kernels = zip(*([layer["kernel"] for layer in linears(one.params)] for one in states[:2]), strict=True)
    changes = [float(np.linalg.norm(new - old) / np.linalg.norm(old)) for old, new in kernels]
    np.testing.assert_allclose(course.update[0], changes, rtol=1e-3)


def test_each_run_is_as_if_alone(draws: list[Drawn], course: Course, part: Mnist) -> None:
    alone = training.train_runs(NETWORK, "sgd", draws[1:2], RATES[1:2], part, None)
    for name, together in course._asdict().items():
        np.testing.assert_array_equal(getattr(alone, name)[0], together[1], err_msg=name)
    assert not np.array_equal(course.loss[1], course.loss[2])  # another learning rate


def test_runs_are_trained_in_groups(
    draws: list[Drawn], course: Course, part: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "AT_ONCE", 2)  # the last of the three runs is alone in its group
    groups: list[None] = []
    found = training.train_runs(NETWORK, "sgd", draws, RATES, part, None, lambda: groups.append(None))
    assert len(groups) == 2
    for name, together in course._asdict().items():
        np.testing.assert_array_equal(getattr(found, name), together, err_msg=name)


def test_a_run_that_diverges_is_marked(draws: list[Drawn], part: Mnist) -> None:
    course = training.train_runs(Network(2, 32, "relu"), "sgd", draws[:2], (1e30, 0.1), part, None)
    assert course.diverged.tolist() == [True, False]


def test_the_steps_are_divided_evenly() -> None:
    assert STEPS * BATCH == IMAGES
    assert STEPS % (TESTS * POINTS) == 0
