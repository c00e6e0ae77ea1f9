"""Training steps: the optimizer alone on given gradients, and training itself."""

import math
from typing import Any

import numpy as np
import torch

from torch_ref.record.arrays import STEP, plain, size
from torch_ref.record.noise import Noise, Sink, gradient_block
from torch_ref.record.program.running import Program, observed


def injected(program: Program, sink: Sink) -> list[dict[str, Any]]:
    """Run the optimizer on given gradients, as docs/records.md describes."""
    steps = len(program.batches)
    block, scale = gradient_block(steps)
    sink.named("steps", "block", block)
    sink.named("steps", "scale", scale)
    program.random.restore()
    program.workspace.reset(sink)
    program.optimizing.reset()
    found = []
    for step in range(steps):
        for number, leaf in enumerate(program.trained):
            values = np.resize(np.roll(block, 7919 * (number * steps + step)), tuple(leaf.tensor.shape)) * scale[step]
            grad = torch.from_numpy(np.asarray(values)).to(leaf.tensor.device, leaf.tensor.dtype)
            grad = sink.perturbed(grad)
            leaf.tensor.grad = grad.to_sparse(1) if leaf.name in program.sparse else grad
        found.append(_step(program, sink, f"injected/{step}", loss=None, starts=_starts(program, step + 1)))
    return found


def trajectory(program: Program, sink: Sink) -> list[dict[str, Any]]:
    """Train on the batches."""
    program.random.restore()
    program.workspace.reset(sink)
    program.workspace.train(True)
    program.optimizing.reset()
    found = []
    for step in range(len(program.batches)):
        program.progress(f"training step {step + 1} of {len(program.batches)}")
        place = f"step/{step}"
        for parameter in program.model.parameters():
            parameter.grad = None
        with observed(program, sink, place, keep=False) as (_, masks):
            loss = program.evaluate(program.batch(step, sink), train=True, when=f"in step {step + 1}")
            masks.end()
            loss.backward()
        if isinstance(sink, Noise):
            for parameter in program.model.parameters():
                sink.perturb_gradient(parameter.grad)
        number = sink.number(f"{place}/loss", loss.item())
        entry = {"loss": number.value, "loss_noise": number}
        del loss  # and the graph, before the optimizer needs memory
        grads = [p.grad for p in program.model.parameters() if p.grad is not None]
        norm = sink.number(f"{place}/gradient_norm", min(math.hypot(*(size(plain(grad))[0] for grad in grads)), 1e308))
        entry |= {"gradient_norm": norm.value, "gradient_norm_noise": norm}
        entry |= _step(program, sink, place, loss=number.value, starts=_starts(program, step + 1))
        buffers = {leaf.name: program.model.get_buffer(leaf.name) for leaf in program.buffers}
        entry["buffers"] = {
            name: sink.array(f"{place}/buffer/{name}", buffer, "steps", STEP) for name, buffer in buffers.items()
        }
        found.append(entry | {"masks": masks.drawn})
    return found


def _starts(program: Program, step: int) -> bool:
    return step < len(program.starts) and program.starts[step]


def _step(program: Program, sink: Sink, place: str, *, loss: float | None, starts: bool) -> dict[str, Any]:
    """Make one step with the gradients that the parameters have; record the updates and the optimizer's state."""
    rates = program.optimizing.learning_rates()
    before = [leaf.tensor.detach().clone() for leaf in program.trained]
    program.optimizing.step()
    if isinstance(sink, Noise):
        program.optimizing.perturb(program.trained, before, sink)
    updates = {}
    for leaf, old in zip(program.trained, before, strict=True):
        updates[leaf.name] = sink.array(f"{place}/update/{leaf.name}", leaf.tensor.detach() - old, "steps", STEP)
    del before
    state = program.optimizing.state(program.trained, sink, f"{place}/state")
    program.optimizing.schedule(starts_epoch=starts, loss=loss)
    return {"learning_rates": rates, "updates": updates, "state": state}
