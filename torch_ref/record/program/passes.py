"""Everything that is run and recorded: forward passes, gradients, the optimizer alone, and training.

The reference runs it once into a Recording, and again into a Noise. Every pass starts from the initial weights, buffers
and random state, so none depends on what ran before it.
"""

import time
from typing import Any

import torch

from torch_ref.record.arrays import GRADIENT
from torch_ref.record.noise import Sink
from torch_ref.record.program import probing, running, training
from torch_ref.record.program.running import Program, observed

RUNS = 3  # the reference's own, and two with noise


def run(program: Program, sink: Sink) -> dict[str, Any]:
    """Run everything, and return the parts of record.json that depend on it."""
    program.progress("forward pass in training mode, and gradients")
    begun = time.monotonic()
    train, gradients = _forward(program, sink, "train")
    if not sink.noisy:
        program.progress.estimate(RUNS * (2 + len(program.batches)) * (time.monotonic() - begun))
    program.progress("forward pass in evaluation mode")
    evaluation, _ = _forward(program, sink, "eval")
    program.progress("the optimizer alone")
    injected = training.injected(program, sink)
    trajectory = training.trajectory(program, sink)
    program.progress("forward pass after training")
    program.workspace.train(False)
    after = running.evaluated(program, sink, "after", program.batch(0, sink), when="after training")
    program.progress("forward pass at another size")
    if not sink.noisy:
        program.cut = probing.chosen(program)
    probe = probing.probed(program, sink, program.cut)
    return {
        "forward": {"train": train, "eval": evaluation},
        "gradients": gradients,
        "injected": injected,
        "trajectory": trajectory,
        "after": after,
        "probe": probe,
    }


def _forward(program: Program, sink: Sink, mode: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the first batch in one mode. In training mode, also return the gradients."""
    train = mode == "train"
    program.random.restore()
    program.workspace.reset(sink)
    program.workspace.train(train)
    with torch.set_grad_enabled(train), observed(program, sink, mode, keep=True) as (capture, masks):
        loss = program.evaluate(program.batch(0, sink), train=train, when="before training")
        masks.end()
        if train:
            loss.backward()
    number = sink.number(f"{mode}/loss", loss.item())
    for path, count in capture.counts.items():
        program.counts[path] = max(program.counts.get(path, 0), count)
    entry = {"free": capture.calls, "forced": [], "loss": number.value, "loss_noise": number, "masks": masks.drawn}
    return entry, _gradients(program, sink) if train else {}


def _gradients(program: Program, sink: Sink) -> dict[str, Any]:
    grads = {leaf.name: leaf.tensor.grad for leaf in program.trained}
    program.sparse.update(name for name, grad in grads.items() if grad is not None and grad.is_sparse)
    return {
        name: None if grad is None else sink.array(f"gradients/{name}", grad, "steps", GRADIENT)
        for name, grad in grads.items()
    }
