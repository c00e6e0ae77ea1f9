"""The files of a `rbm` or `dbn` run: config.json, metrics.jsonl, params.safetensors, likelihood.json and figures."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jax_impl.model import scale
from jax_impl.rbm import dbn, figures
from jax_impl.rbm import files as rbm_files
from jax_impl.rbm.likelihood import CHAINS, LogLikelihood, log_likelihood
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.settings import Settings
from jax_impl.rbm.training import RbmRecord
from jax_impl.storage import files, runs
from jax_impl.storage.records import plain

RESULTS = (
    "metrics.jsonl", "params.safetensors", "likelihood.json",
    "filters.png", "reconstructions.png", "samples.png", "curves.png",
)  # fmt: skip
SHOWN = 10  # images in reconstructions.png, and chains in samples.png
ANNEALED = 4000  # temperatures of the final estimate; with 1,000, machines with slow chains are up to 15 nats off
ROUNDS = (1, 10, 100, 1000)  # of Gibbs sampling, in samples.png


def begin(out: Path, sizes: Sequence[int], settings: Settings) -> None:
    """Write config.json and delete the results of an earlier run."""
    runs.describe(out, RESULTS, **described(sizes, settings))


def described(sizes: Sequence[int], settings: Settings) -> dict[str, Any]:
    """Return everything that the results depend on, for config.json."""
    others = {name: value for name, value in asdict(settings).items() if name != "hidden"}
    return {"hidden": list(sizes), "settings": others}


def record(out: Path, records: Sequence[RbmRecord], stack: dbn.Stack) -> None:
    """Write metrics.jsonl, one line per epoch, and params.safetensors."""
    lines = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in records)
    files.write(out / "metrics.jsonl", lines.encode())
    rbm_files.save_stack(out / "params.safetensors", stack)


def likelihood(
    out: Path,
    rbm: Rbm,
    train: Float[Array, "n pixels"],
    test: Float[Array, "m pixels"],
    watch: Callable[[int], None] = lambda _: None,
) -> LogLikelihood:
    """Estimate the log-likelihood and write likelihood.json. An infinite end of the interval is written as null.

    `watch` gets the number of finished temperatures, of `ANNEALED`, and may end the estimate by raising.
    """
    on_device = jax.tree.map(jnp.asarray, rbm)
    measured = log_likelihood(on_device, train, test, jax.random.key(0), ANNEALED, watch)
    estimate = LogLikelihood(*map(float, measured))
    content: dict[str, Any] = {**plain(estimate), "chains": CHAINS, "temperatures": ANNEALED}
    files.write(out / "likelihood.json", (json.dumps(content, indent=2) + "\n").encode())
    return estimate


def draw(
    out: Path, records: Sequence[RbmRecord], stack: dbn.Stack, images: UInt8[np.ndarray, "n pixels"], title: str
) -> None:
    """Write the figures. They show the first `SHOWN` of these test images. `title` says what was trained."""
    shown = scale(jnp.asarray(images[:SHOWN]), stack[0].weight.dtype)
    on_device = [jax.tree.map(jnp.asarray, rbm) for rbm in stack]
    recreated = np.asarray(dbn.down(on_device, dbn.up(on_device, shown)))
    chains = np.concatenate([shown[None], dbn.generate(on_device, jax.random.key(0), shown, ROUNDS)])
    files.write(out / "filters.png", figures.filters(stack, title))
    files.write(out / "reconstructions.png", figures.reconstructions(np.asarray(shown), recreated, title))
    files.write(out / "samples.png", figures.samples((0, *ROUNDS), chains, title))
    if records:
        files.write(out / "curves.png", figures.curves(records, title))
