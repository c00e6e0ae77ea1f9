"""The measurements of all networks, one file each, so that interrupted work can continue."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.explore import settings, start, training
from jax_impl.explore.settings import RATES, SEEDS, Network
from jax_impl.explore.start import Before
from jax_impl.explore.training import Course
from jax_impl.starts import from_images, lsuv
from jax_impl.storage import hardware, tensors
from jax_impl.study.propagation import FLAT

VERSION = 1  # increase it when the content of a file or its measurement changes: older files are then not used
FOLDER = "networks"


class Measured(NamedTuple):
    """The measurements of one network: those of `Before` with an axis of starts, and each optimizer's `Course`.

    A course has the axes starts, learning rates, seeds.
    """

    before: Before
    courses: dict[str, Course]
    facts: dict[str, Any]  # settings, seconds, date and machine


def key(network: Network) -> str:
    """Return a part of the name of a network's file. It changes with the settings below."""
    used = {
        "version": VERSION,
        "network": asdict(network),
        "inits": settings.INITS,
        "gains": settings.GAINS,
        "rates": RATES,
        "seeds": SEEDS,
        "images": [settings.IMAGES, settings.BATCH, training.TESTED, training.PROBED],
        "kept": [training.TESTS, training.POINTS, training.FIRST_STEPS, start.SHOWN, start.BINS],
        "flat": FLAT,
        "lsuv": [from_images.USED, lsuv.TOLERANCE, lsuv.ROUNDS],
    }
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:16]


def measure_remaining(
    networks: Sequence[Network],
    mnist: Mnist,
    out: Path,
    mesh: Mesh | None,
    raise_if_stopped: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Network, bool]]:
    """Measure the networks that have no file in `out`; yield each network, and whether it had one.

    Raises:
        UserError: A file cannot be written, or one that is there is damaged.
        Interrupted: `raise_if_stopped` raised it. What was finished is kept.
    """
    mnist = mnist._replace(
        train_images=mnist.train_images[: settings.IMAGES], train_labels=mnist.train_labels[: settings.IMAGES]
    )
    for network in networks:
        path = path_of(out, network)
        known = path.exists()
        if known:
            load(path, network)  # a damaged file is reported before hours of measuring
        else:
            save(path, measure(network, mnist, mesh, raise_if_stopped))
        yield network, known
        raise_if_stopped()


def measure(
    network: Network, mnist: Mnist, mesh: Mesh | None, raise_if_stopped: Callable[[], None] = lambda: None
) -> Measured:
    """Draw every start of a network, measure it, and train it with every optimizer and learning rate."""
    began = time.perf_counter()
    draws = start.draw(network, mnist)
    before = []
    for seeds in draws.values():
        before.append(start.measure(network, seeds, mnist))
        raise_if_stopped()
    courses = {}
    for optimizer, rates in RATES.items():
        runs = [(drawn, rate) for seeds, rate in product(draws.values(), rates) for drawn in seeds]
        of_runs, rate_of_runs = [drawn for drawn, _ in runs], [rate for _, rate in runs]
        course = training.train_runs(network, optimizer, of_runs, rate_of_runs, mnist, mesh, raise_if_stopped)
        courses[optimizer] = Course(
            *(leaf.reshape(len(draws), len(rates), len(SEEDS), *leaf.shape[1:]) for leaf in course)
        )
    facts = {
        "network": asdict(network),
        "seconds": round(time.perf_counter() - began, 1),
        "made": hardware.now(),
        "where": hardware.line(),
    }
    return Measured(jax.tree.map(lambda *leaves: np.stack(leaves), *before), courses, facts)


def path_of(out: Path, network: Network) -> Path:
    """Return the file of a network."""
    return out / FOLDER / f"{network.depth}-{network.width}-{network.activation}-{key(network)}.safetensors"


def save(path: Path, measured: Measured) -> None:
    """Write the measurements of a network. The file appears complete or not at all.

    Raises:
        UserError: The file cannot be written.
    """
    named = {f"before.{name}": value for name, value in measured.before._asdict().items()}
    for optimizer, course in measured.courses.items():
        named |= {f"{optimizer}.{name}": value for name, value in course._asdict().items()}
    tensors.write(path, {name: _small(np.asarray(value)) for name, value in named.items()}, measured.facts)


def load(path: Path, network: Network) -> Measured:
    """Read what `save` wrote for a network.

    Raises:
        UserError: The file cannot be read, is damaged, or is not that of the network.
    """
    remedy = "delete the file and repeat the command, which measures the network again"
    try:
        named, facts = tensors.read(path)
        before = Before(**{name: named[f"before.{name}"] for name in Before._fields})
        courses = {
            optimizer: Course(**{name: named[f"{optimizer}.{name}"] for name in Course._fields}) for optimizer in RATES
        }
    except (tensors.DamagedError, KeyError) as error:
        raise UserError(f"{path} is damaged: {remedy}") from error
    if facts.get("network") != asdict(network):
        raise UserError(f"{path} is not that of {network}: {remedy}")
    return Measured(before, courses, facts)


def _small(array: np.ndarray) -> np.ndarray:
    """Return an array in float32 if it is in float64. Numbers beyond its range become infinite or 0."""
    with np.errstate(over="ignore", under="ignore"):
        return array.astype(np.float32) if array.dtype == np.float64 else array
