"""Where something was measured."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def describe(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Return the processor's name, the cores, JAX's device, and the versions of Python and of some packages."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def line() -> str:
    """Return the machine in one line, as records carry it."""
    where = describe(("jax",))
    device = "" if where["device"] == "cpu" else f", {where['device']}"
    return f"{where['processor']}, {where['cores']} cores{device}, jax {where['versions']['jax']}"


def now() -> str:
    """Return the time in UTC, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def processor() -> str:
    """Return the processor's name as the system tells it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def features() -> str:
    """Return the instructions that the processor knows, or nothing where the system does not tell."""
    return _cpuinfo("flags") or _cpuinfo("Features")


def _cpuinfo(key: str) -> str:
    """Return the first line of that name in the system's list of processors, without the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(": ")[2] for line in lines if line.partition("\t")[0] == key), "")
