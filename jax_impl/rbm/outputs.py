"""The files of a run of `rbm` or `dbn`: config.json, metrics.jsonl, params.safetensors, likelihood.json, pictures."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jax_impl import interop
from jax_impl.pixels import scale
from jax_impl.rbm import dbn, figures
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
SHOWN = 10  # chains that samples.png shows, and images that reconstructions.png does
ANNEALED = 4000  # temperatures of the final estimate: 1,000 lie up to 15 nats off for machines with slow chains
MOMENTS = (1, 10, 100, 1000)  # rounds of Gibbs sampling after which samples.png looks

Stack = Sequence[Rbm]


def begin(out: Path, sizes: Sequence[int], settings: Settings) -> None:
    """Say in config.json what is trained, and take an earlier run's results out of the folder."""
    described = {name: value for name, value in asdict(settings).items() if name != "hidden"}
    runs.describe(out, RESULTS, hidden=list(sizes), settings=described)


def record(out: Path, records: Sequence[RbmRecord], stack: Stack) -> None:
    """Write one line of JSON an epoch, and the machines as they are."""
    lines = "".join(json.dumps(asdict(one)) + "\n" for one in records)
    files.write(out / "metrics.jsonl", lines.encode())
    interop.save_stack(out / "params.safetensors", stack)


def likelihood(out: Path, rbm: Rbm, train: Float[Array, "n pixels"], test: Float[Array, "m pixels"]) -> LogLikelihood:
    """Estimate the log-likelihood and write it; the end of an interval that is not finite is null."""
    on_device = jax.tree.map(jnp.asarray, rbm)
    found = LogLikelihood(*map(float, log_likelihood(on_device, train, test, jax.random.key(0), ANNEALED)))
    content: dict[str, Any] = {name: plain(np.float64(value)) for name, value in found._asdict().items()}
    content |= {"chains": CHAINS, "temperatures": ANNEALED}
    files.write(out / "likelihood.json", (json.dumps(content, indent=2) + "\n").encode())
    return found


def draw(out: Path, records: Sequence[RbmRecord], stack: Stack, images: UInt8[np.ndarray, "n pixels"]) -> None:
    """Write the pictures; `images` are test images, of which the first ones are shown."""
    shown = scale(jnp.asarray(images[:SHOWN]), stack[0].weight.dtype)
    on_device = [jax.tree.map(jnp.asarray, rbm) for rbm in stack]
    key = jax.random.key(0)
    chains = np.concatenate([shown[None], dbn.generate(on_device, key, shown, MOMENTS)])
    files.write(out / "filters.png", figures.filters(stack))
    files.write(out / "reconstructions.png", figures.reconstructions(np.asarray(shown), _recreated(on_device, shown)))
    files.write(out / "samples.png", figures.samples((0, *MOMENTS), chains))
    if records:
        files.write(out / "curves.png", figures.curves(records))


def _recreated(stack: Stack, shown: Float[Array, "n pixels"]) -> Float[np.ndarray, "n pixels"]:
    return np.asarray(dbn.down(stack, dbn.up(stack, shown)))
