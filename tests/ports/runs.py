"""Records of the models, and the ladder's verdicts on ports: what the tests here share."""

import atexit
import functools
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import safetensors.numpy
import torch

from jax_impl import parity
from tests.ports.catalogue import FULL, PORTS, Port, evaluated
from tests.ports.faults import FRESH, Fault
from tests.ports.harmless import Harmless
from tests.ports.planting import Change, planted
from torch_ref import record


def port_named(name: str) -> Port:
    return (PORTS | FULL)[name]


@functools.cache
def recorded(name: str, call: str | None = None) -> Path:
    """Return the reference's record of a model, which is made once for each process."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    torch.set_num_threads(1)
    record.save(folder / "theirs", **port_named(name).reference(call))
    return folder / "theirs"


def verdict(name: str, *changes: Change, call: str | None = None, **options: Any) -> Any:
    """Return the ladder's verdict on the port of a model, with changes of the port's source."""
    return proven(recorded(name), port_named(name).port(*changes, call=call) | options)


def proven(theirs: Path, port: dict[str, Any]) -> Any:
    """Return the verdict on a port."""
    return parity.prove(theirs, **port)


def verdict_on(fault: Fault) -> Any:
    """Return the verdict on a port with a mistake. Fresh weights take long: they are drawn where they are at fault."""
    without = {} if fault.rung == FRESH else {"fresh": None}
    if fault.load:
        return verdict(fault.model, *fault.changes, call=fault.call, **without)
    module = planted(f"tests.ports.{port_named(fault.model).ours[0]}", fault.changes)
    weights = safetensors.numpy.load_file(recorded(fault.model) / "start.safetensors")
    port = evaluated(module, port_named(fault.model).ours[1])
    return proven(recorded(fault.model), port | without | {"model": module.from_torch(weights), "load": False})


def first_rung(verdict: Any) -> int | None:
    """Return the number of the first rung that fails."""
    return next((rung.number for rung in verdict.rungs if rung.failures), None)


def names_module(verdict: Any, fault: Fault) -> bool:
    """Return whether the first divergence names the module of a mistake; true if no module is to blame.

    Where a port has no module of its own, the line says between which modules it parts: "(after conv2 and pool)".
    """
    found = {verdict.first.module, *re.findall(r"[\w.]+", str(verdict.first).partition(": measured")[0])}
    names = {name for module in fault.modules for name in (module, module.rpartition(".")[2]) if not name.isdigit()}
    return not fault.modules or bool(names & found)


def verdict_after(change: Harmless) -> Any:
    """Return the verdict on a port after a harmless change, in this process."""
    theirs = recorded(change.model, change.theirs)
    return proven(theirs, port_named(change.model).port(*change.changes) | dict(change.options))
