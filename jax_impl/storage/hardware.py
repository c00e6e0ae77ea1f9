"""The machine, the versions and the time of a measurement."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def describe(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Return the processor, its number of cores, JAX's first device, and the versions of Python and these packages."""
    import jax

    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def line() -> str:
    """Return the machine and JAX's version in one line, for records and reports."""
    machine = describe(("jax",))
    device = "" if machine["device"] == "cpu" else f", {machine['device']}"
    return f"{machine['processor']}, {machine['cores']} cores{device}, jax {machine['versions']['jax']}"


def now() -> str:
    """Return the time in UTC, in ISO 8601 format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def processor() -> str:
    """Return the name of the processor, with its family if the name has no number, as a cloud's "AMD EPYC"."""
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    family = _cpuinfo("cpu family")
    return f"{name} (family {family})" if family and not any(map(str.isdigit, name)) else name


def features() -> str:
    """Return the processor's instruction sets, or an empty string if the system does not list them."""
    return _cpuinfo("flags") or _cpuinfo("Features")


def _cpuinfo(key: str) -> str:
    """Return the first value of this key in /proc/cpuinfo, or an empty string."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(": ")[2] for line in lines if line.partition("\t")[0] == key), "")
