"""Every core busy: one CPU device per core, because whole runs scale over cores and small matrix products do not."""

import contextlib
import os

DEVICES = ("JAX_NUM_CPU_DEVICES", "xla_force_host_platform_device_count")  # by which a user chooses the number


def use_every_core() -> None:
    """Give JAX one CPU device per core that this process may use, unless the user has chosen a number.

    It must be called before JAX starts; later it changes nothing. Many runs then share the devices
    (`devices.mesh_for_runs`).
    """
    if DEVICES[0] in os.environ or DEVICES[1] in os.environ.get("XLA_FLAGS", ""):
        return
    import jax

    with contextlib.suppress(RuntimeError):  # JAX has started: it keeps the devices that it has
        jax.config.update("jax_num_cpu_devices", cores())


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
