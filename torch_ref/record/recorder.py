"""`save`: record a PyTorch program."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torch_ref.errors import UserError
from torch_ref.record import files, inputs, settings, structures
from torch_ref.record import fresh as fresh_models
from torch_ref.record.arrays import Recording, compact, name
from torch_ref.record.noise import Noise
from torch_ref.record.program import passes, running
from torch_ref.record.program.optimizing import Optimizing, Recipe, described
from torch_ref.record.program.workspace import RandomState, Workspace, settled
from torch_ref.record.progress import Progress


def save(
    folder: str | Path,
    *,
    model: nn.Module,
    loss: Callable[..., Any],
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Any],
    steps: int = 10,
    scheduler: Any = None,
    schedule_every: str = "step",
    clip_norm: float | None = None,
    clip_value: float | None = None,
    before_step: Callable[[nn.Module], object] | None = None,
    precision: str = "float64",
    fresh: Callable[[], nn.Module] | None = None,
    seeds: int = 8,
    accuracy: Sequence[float] | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Record how a model computes and trains, as docs/records.md describes, and return the record's folder.

    The model, optimizer and scheduler come back as they were, and so do torch's random numbers.

    Args:
        folder: A new folder, or an earlier record, which is replaced.
        model: Any module. If some of its modules are in evaluation mode and the model itself is not, they stay so.
        loss: `loss(model, batch)` returns a scalar tensor, or a tuple that starts with one. If it has a parameter
            `train`, that is True in training and False in evaluation mode.
        optimizer: Bound to the model's parameters. Its state is that of a new one while recording.
        batches: Tensors, or tuples, lists or dicts of them. The first `steps` are drawn before anything else; if there
            are fewer, they are drawn again, which begins an epoch.
        steps: The number of training steps.
        scheduler: A learning rate scheduler bound to the optimizer.
        schedule_every: "step", or "epoch": each time the batches start anew.
        clip_norm: The largest norm of all gradients, for `clip_grad_norm_`.
        clip_value: The largest size of a gradient's element, for `clip_grad_value_`. The norm is clipped first.
        before_step: Called with the model between clipping and the optimizer's step.
        precision: "float64", or "as it is" to keep the model's own. A model that cannot run in float64 keeps its own.
        fresh: Builds a model with new weights. With it, the initial distributions are recorded, too.
        seeds: The number of fresh models.
        accuracy: Results of whole trainings, one for each seed, to compare with those of the port.
        overwrite: Replace a record even if it is not torch's.
        progress: Takes a line that says what is being done. None writes it to the terminal, if there is one, and
            to the log `torch_ref.record`.

    Raises:
        UserError: A one-line message for a model, a batch or a folder that cannot be recorded.
        TypeError: `loss` or `fresh` returns something else than it should.
        ArgumentError: An argument is out of its range.
    """
    folder = Path(folder)
    files.check(folder, overwrite=overwrite)
    recipe = Recipe(optimizer, scheduler, schedule_every, clip_norm, clip_value, before_step)
    model = getattr(model, "_orig_mod", model)  # of torch.compile: recorded uncompiled
    inputs.check(model, recipe, precision=precision, steps=steps, seeds=seeds)
    report = Progress(progress)
    before = RandomState()
    try:
        drawn, starts = inputs.draw(batches, steps)
        given = Given(model, loss, recipe, drawn, starts, RandomState())
        record, recording = _in_precision(given, precision, report)
        if fresh is not None:
            report("initial weights of fresh models")
            record["fresh"] = fresh_models.recorded(fresh, seeds, model, recording)
    finally:
        before.restore()
    record["accuracy"] = None if accuracy is None else [float(value) for value in accuracy]
    report(f"writing {folder}")
    files.write(folder, record, recording.files)
    return folder


@dataclass(frozen=True)
class Given:
    """The user's program, its first batches, and the random state from which every pass starts."""

    model: nn.Module
    loss: Callable[..., Any]
    recipe: Recipe
    batches: Sequence[Any]
    starts: Sequence[bool]
    random: RandomState


def _in_precision(given: Given, precision: str, report: Progress) -> tuple[dict[str, Any], Recording]:
    """Record in float64 if that is asked for and possible, else in the model's own dtype."""
    own = _dtype(given.model)
    dtype, note = own, ""
    if precision == "float64":
        try:
            dtype = torch.float64
            record, recording = _recorded(given, dtype, report)
        except UserError:
            raise
        except Exception as error:
            if own == torch.float64:
                raise
            note = f"the model cannot run in float64: {type(error).__name__}: {' '.join(str(error).split())}"[:300]
            report(note)
    if precision != "float64" or note:
        dtype = own
        record, recording = _recorded(given, None, report)
    record["precision"] = {"model": name(own), "recorded": name(dtype), "note": note}
    return record, recording


def _recorded(given: Given, dtype: torch.dtype | None, report: Progress) -> tuple[dict[str, Any], Recording]:
    """Run the program three times, and return what record.json holds, and the arrays."""
    recording = Recording()
    leaves = settings.leaves(given.model)
    for leaf in leaves:
        if leaf.tied is None:
            recording.named("start", leaf.name, compact(leaf.value))
    with contextlib.ExitStack() as restored:
        restored.enter_context(settled(dtype))
        workspace = Workspace(given.model, inputs.constants(given.loss, given.model), dtype)
        restored.callback(workspace.close)
        optimizing = Optimizing(given.recipe, given.model)
        restored.callback(optimizing.close)
        program = running.Program(
            given.model,
            given.loss,
            given.batches,
            given.starts,
            leaves,
            workspace,
            optimizing,
            dtype,
            given.random,
            report,
        )
        report.begin("")
        parts = passes.run(program, recording)
        modules = settings.modules(given.model, program.counts)
        keep = functools.partial(recording.array, "batch", file="batches")
        batches = [structures.encoded(program.batch(number, recording), keep) for number in range(len(given.batches))]
        if parts["probe"] is not None:
            parts["probe"]["batch"] = structures.encoded(program.cut.of(program.batch(0, recording)), keep)
        for seed in range(1, passes.RUNS):
            report.begin(f"rounding error, run {seed} of {passes.RUNS - 1}: ")
            passes.run(program, Noise(recording, seed, workspace.device, dtype or _dtype(given.model)))
    report.begin("")
    epoch = next((number for number, start in enumerate(given.starts) if start and number), None)
    record: dict[str, Any] = {
        "format": 1,
        "side": "torch",
        "start_of": None,
        "versions": settings.versions(),
        "machine": settings.machine(workspace.device),
        "precision": {},
        "notes": _notes(program),
        "modules": modules,
        "leaves": [leaf.as_json() for leaf in leaves],
        "batches": batches,
        **parts,
        "optimizer": described(given.recipe, leaves, epoch),
        "fresh": None,
        "accuracy": None,
    }
    return record, recording


def _notes(program: running.Program) -> list[str]:
    found = []
    if program.others:
        places = ", ".join(path or "the model itself" for path in dict.fromkeys(program.others))
        found.append(f"the model draws random numbers that are not dropout: {places}")
    if frozen := program.workspace.frozen():
        found.append(f"modules that stay in evaluation mode in training: {', '.join(frozen)}")
    if program.optimizing.follows_loss:
        found.append("the scheduler follows the loss: it makes no step in `injected`")
    return found


def _dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the first floating-point parameter or buffer."""
    found = (tensor.dtype for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point())
    return next(found, torch.get_default_dtype())
