"""How programs are compiled: with what helps on the device at hand, and kept on disk from one start to the next."""

import hashlib
import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from jax_impl.storage import hardware

# XLA's CPU copies a layer's kernel every step unless it looks at the whole loop for who still reads it.
OPTIONS: dict[str, jax.stages.CompilerOptions] = {"cpu": {"xla_cpu_copy_insertion_use_region_analysis": True}}
# Of the cache: every program is worth keeping, and beyond 512 MiB those go that were used longest ago.
CACHE = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_compilation_cache_max_size": 2**29}


def compiled(function: Callable[..., Any], *shapes: Any) -> jax.stages.Compiled:
    """Compile for arguments of these shapes, the first of which is overwritten by the result."""
    lowered = jax.jit(function, donate_argnums=0).lower(*shapes)
    options = OPTIONS.get(jax.default_backend())
    try:
        return lowered.compile(options)
    except jax.errors.JaxRuntimeError as error:  # another JAX than the one that `constraints.txt` names
        if "No such compile option" not in str(error):
            raise
        return lowered.compile()


def cache_folder() -> Path:
    """Return where compiled programs are kept: in the user's cache, apart by processor.

    XLA compiles for the processor it runs on, and a home folder may be shared by unlike machines.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path("~").expanduser() / ".cache")
    kind = hashlib.sha256(f"{platform.machine()} {hardware.processor()} {hardware.features()}".encode()).hexdigest()
    return root / "mnist-initialization-port" / f"xla-{kind[:12]}"


def use_cache() -> None:
    """Let JAX keep what it compiles, unless the environment says where or that it must not.

    JAX's own variables hold, such as `JAX_COMPILATION_CACHE_DIR` and `JAX_ENABLE_COMPILATION_CACHE=0`. A folder that
    cannot be made or written means no cache, and a damaged program is compiled anew without a word, for nothing depends
    on it but the seconds until the first epoch.
    """
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    for name, value in CACHE.items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home folder is a RuntimeError
        return
    if os.access(folder, os.W_OK | os.X_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
