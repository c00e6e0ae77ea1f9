"""What a port's record says: every part of it, run and aligned with the reference's. docs/records.md has the format."""

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from jax_impl.parity.arrays import FORCED_LIMIT, FORWARD_LIMIT, GRADIENT_LIMIT, STEP_LIMIT, Array, Store, sampled
from jax_impl.parity.recording.evaluating import evaluated, probed
from jax_impl.parity.recording.fresh import fresh_leaves
from jax_impl.parity.recording.models.base import Arrays
from jax_impl.parity.recording.port import Port
from jax_impl.parity.recording.progress import Progress
from jax_impl.parity.recording.tracing.aligned import recorded as recorded_calls
from jax_impl.parity.recording.training import Programs, digest, inject, steps_in_float32, train


def recorded(
    port: Port,
    optimizer: Any,
    *,
    batches: Iterable[Any] | None,
    fresh: Callable[[int], Any] | None,
    store: Store,
    progress: Progress,
) -> dict[str, Any]:
    """Run everything; return the content of the record. Arrays go to the store."""
    optimizer = optax.with_extra_args_support(optimizer)
    programs = Programs(port.model, port.runner, optimizer)
    progress("forward pass in training mode")
    begun = time.monotonic()
    training, own_masks, called = forward(port, store, "train")
    progress.estimate((time.monotonic() - begun) / 2)  # free and forced
    progress("forward pass in evaluation mode")
    evaluation, _, _ = forward(port, store, "eval")
    progress("gradients")
    grads = gradients(port, programs, store)
    progress("the optimizer alone")
    alone = injected(port, optimizer, programs, store)
    trajectory, step_masks, after = trained(port, programs, store, progress)
    progress("forward pass at another size")
    probe = probed(port, store)
    if fresh is not None:
        progress("initial weights of fresh models")
    return {
        "precision": port.theirs.content["precision"] | {"note": ""},
        "steps": len(port.theirs.content["trajectory"]),
        "modules": [
            {"path": one.path, "type": one.type, "settings": dict(one.settings), "calls": called.get(one.path, 0)}
            for one in port.model.modules
        ],
        "leaves": started(port, store),
        "mapping": described(port, called),
        "forward": {"train": training, "eval": evaluation},
        "own_masks": {"forward": own_masks, "steps": step_masks},
        "own_batches": None if batches is None else own_batches(port, batches, store),
        "gradients": grads,
        "injected": alone,
        "trajectory": trajectory,
        "after": after,
        "probe": probe,
        "fresh": None if fresh is None else drawn(port, fresh, store),
    }


def started(port: Port, store: Store) -> list[dict[str, Any]]:
    """Store the port's start in the reference's names and layout; return the leaves."""
    for name, array in port.restored(port.params | port.model.buffers(port.state)).items():
        store.put("start", name, array)
    dtypes = {
        name: str(array.dtype) for name, array in (port.model.params | port.model.buffers(port.model.state)).items()
    }
    return [
        {
            "name": leaf.name,
            "kind": leaf.kind,
            "shape": list(leaf.shape),
            "dtype": dtypes[leaf.name],
            "module": leaf.module,
        }
        for leaf in port.leaves
    ]


def described(port: Port, called: Mapping[str, int]) -> dict[str, Any]:
    """Return how the two sides' names belong together."""

    def unmatched(leaves: Iterable[Any]) -> list[dict[str, Any]]:
        return [{"name": one.name, "shape": list(one.shape), "closest": list(one.closest)} for one in leaves]

    return {
        "leaves": [
            {
                "theirs": list(pair.theirs),
                "ours": list(pair.ours),
                "how": pair.how,
                "layout": pair.layout.name,
                "summed": pair.summed,
            }
            for pair in port.pairs
        ],
        "modules": [{"theirs": theirs, "ours": ours} for theirs, ours in port.modules],
        "unmatched": {
            "theirs": unmatched(port.proposal.unmatched_theirs),
            "ours": unmatched(port.proposal.unmatched_ours),
        },
        "uncalled": [one.path for one in port.model.modules if not called.get(one.path)],
        "warnings": list(port.proposal.warnings),
    }


def forward(port: Port, store: Store, mode: str) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, int]]:
    """Record the first batch's calls; return them, the port's own masks, and how often each module was called."""
    value, free, forced, own, calls = port.calls(mode, port.params, port.state, port.modules)
    counts: dict[str, int] = {}
    for call in calls:
        counts[call.path] = counts.get(call.path, 0) + 1
    content = {
        "free": recorded_calls(store, free, FORWARD_LIMIT),
        "forced": recorded_calls(store, forced, FORCED_LIMIT),
        "loss": value,
        "masks": [{"rate": mask.rate, "shape": list(np.shape(mask.array)), "replaced": mask.replaced} for mask in own],
    }
    drawn = [{**digest(np.nan if mask.rate is None else mask.rate, mask.array), "module": mask.path} for mask in own]
    return content, drawn, counts


def gradients(port: Port, programs: Programs, store: Store) -> dict[str, Any]:
    """Record the gradient of each parameter on the first batch."""
    masks = port.theirs.masks(port.theirs.content["forward"]["train"]["masks"])
    grads, _ = programs.gradients(port.params, port.state, port.theirs.batches[0], port.keys[0], masks)
    found = port.restored(grads)
    return {name: store.reference("steps", array, GRADIENT_LIMIT) for name, array in found.items()}


def injected(port: Port, optimizer: Any, programs: Programs, store: Store) -> list[dict[str, Any]]:
    """Record the optimizer's steps on the reference's given gradients."""
    given = [port.converted(gradients) for gradients in port.theirs.injected()]
    steps = []
    shown = [
        {name: jnp.asarray(step.get(name, jnp.zeros_like(array)), array.dtype) for name, array in port.params.items()}
        for step in given
    ]
    narrow = steps_in_float32(port.model, optimizer, port.params)
    for number, (updates, state) in enumerate(inject(programs, port.params, shown)):
        content = step_content(port, store, updates, state, port.theirs.content["injected"][number])
        steps.append(content | {"float32": narrow})
    return steps


def trained(
    port: Port, programs: Programs, store: Store, progress: Progress
) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """Record training; return the steps, the port's own masks of each, and the evaluation after the last one."""
    expected = port.theirs.content["trajectory"]
    masks = [port.theirs.masks(step["masks"]) for step in expected]
    steps: list[Any] = []
    own: list[Any] = []
    params, state = port.params, port.state
    batches = port.theirs.batches[: len(expected)]
    run = train(programs, params, state, batches, masks, port.keys)
    for number, (step, reached_params, reached_state) in enumerate(run):
        progress(f"training step {number + 1} of {len(expected)}")
        params, state = reached_params, reached_state
        content = step_content(port, store, step.updates, step.state, expected[number])
        buffers = port.restored(step.buffers)
        content |= {
            "loss": step.loss,
            "gradient_norm": step.gradient_norm,
            "buffers": {name: store.reference("steps", array, STEP_LIMIT) for name, array in buffers.items()},
        }
        steps.append(content)
        own.append(step.own_masks)
    expected_after = port.theirs.content["after"]
    return steps, own, evaluated(port, params, state, port.theirs.batches[0], expected_after, store)


def step_content(
    port: Port, store: Store, updates: Arrays, state: Mapping[str, Arrays], expected: Mapping[str, Any]
) -> dict[str, Any]:
    """Record a step's updates and optimizer state, and the learning rate that the updates imply."""
    found = port.restored(updates)
    moments = {key: port.restored(arrays) for key, arrays in state.items()}
    leaves: dict[str, dict[str, Any]] = {}
    for key, arrays in moments.items():
        for name, array in arrays.items():
            leaves.setdefault(name, {})[key] = store.reference("steps", array, STEP_LIMIT)
    references = {name: store.reference("steps", array, STEP_LIMIT) for name, array in found.items()}
    return {
        "updates": references,
        "state": leaves,
        "learning_rates": implied_rates(port, found, expected),
    }


def implied_rates(port: Port, updates: Mapping[str, Array], expected: Mapping[str, Any]) -> list[float]:
    """Return for each of the reference's groups the learning rate at which its updates would be most like ours."""
    rates = []
    for group, rate in zip(port.theirs.content["optimizer"]["groups"], expected["learning_rates"], strict=True):
        product = square = 0.0
        for name in group["names"]:
            if name in updates and expected["updates"].get(name):
                theirs = port.theirs.array(expected["updates"][name]).astype(np.float64).reshape(-1)
                ours = sampled(updates[name], STEP_LIMIT).astype(np.float64).reshape(-1)
                product, square = product + float(theirs @ ours), square + float(theirs @ theirs)
        rates.append(rate * product / square if square else float("nan"))
    return rates


def drawn(port: Port, fresh: Callable[[int], Any], store: Store) -> dict[str, Any]:
    """Record samples of fresh initial weights."""
    seeds = (port.theirs.content.get("fresh") or {}).get("seeds", 8)

    return fresh_leaves(store, lambda seed: port.leaves_of(fresh(seed), seed), port.pairs, seeds)


def own_batches(port: Port, batches: Iterable[Any], store: Store) -> list[Any]:
    """Record the port's own batches, as many as the reference has."""
    return [tree_content(batch, store) for batch in islice(batches, len(port.theirs.batches))]


def tree_content(node: Any, store: Store) -> dict[str, Any]:
    """Return a batch with its structure kept."""
    if isinstance(node, Mapping):
        return {"dict": {str(name): tree_content(child, store) for name, child in node.items()}}
    if isinstance(node, tuple | list):
        return {
            type(node).__name__ if type(node) in (tuple, list) else "tuple": [tree_content(one, store) for one in node]
        }
    if hasattr(node, "shape"):
        return {"array": store.reference("batches", np.asarray(node))}
    return {"value": node}
