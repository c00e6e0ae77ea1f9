"""Keeps compiled programs on disk from one start to the next. The command line imports this, so JAX comes later."""

import hashlib
import os
import platform
import warnings
from pathlib import Path

from jax_impl.storage import hardware

# Every program is worth keeping. Beyond 512 MiB the programs that were not used for longest are deleted.
SETTINGS = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_compilation_cache_max_size": 2**29}


def cache_folder() -> Path:
    """Return the folder of compiled programs: in the user's cache, one folder per kind of processor.

    XLA compiles for the processor it runs on, and different machines may share a home folder.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path("~").expanduser() / ".cache")
    kind = hashlib.sha256(f"{platform.machine()} {hardware.processor()} {hardware.features()}".encode()).hexdigest()
    return root / "mnist-initialization-port" / f"xla-{kind[:12]}"


def use_cache() -> None:
    """Let JAX keep what it compiles, unless JAX's own environment variables say otherwise.

    These are `JAX_COMPILATION_CACHE_DIR`, `JAX_ENABLE_COMPILATION_CACHE` and their like. If the folder cannot be
    written, there is no cache. A damaged program is compiled again without a warning: only time is lost.
    """
    import jax

    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    for name, value in SETTINGS.items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # without a home folder, expanduser raises RuntimeError
        return
    if os.access(folder, os.W_OK | os.X_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
