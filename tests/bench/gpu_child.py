"""A child of `tests.bench.gpu`: one contender, or the one who looks at the device.

    python -m tests.bench.gpu_child NAME SETTINGS

The settings are JSON. Most print their rows; one that trains in turns prints the seconds of a turn for every line on
standard input.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator

from tests.bench import gpu_commands, gpu_many, gpu_one, gpu_parity, gpu_profile, gpu_tf32, turns
from tests.bench.gpu_setup import DEVICE, Row, Settings, print_rows

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def device_rows(_: Settings) -> Iterator[Row]:
    """Yield one row, of what this machine is to JAX and to torch."""
    import jax

    from jax_impl.storage import hardware

    found = hardware.describe(PACKAGES) | {"jax": jax.default_backend(), "torch": "cpu", "tf32": False}
    import torch  # after JAX has taken the device, for it brings CUDA libraries of its own

    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        found |= {"torch": "cuda", "gpu": gpu.name, "memory": f"{gpu.total_memory / 2**30:.1f} GiB"}
        found |= {"tf32": gpu.major >= 8}  # since Ampere
        found |= {"driver": driver(), "cuda of torch": torch.version.cuda}
        found |= {"platform of jax": " ".join(jax.devices()[0].client.platform_version.split())}
    yield found


def driver() -> str:
    """Return the version of NVIDIA's driver, as its own tool tells it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


ROWS = {
    DEVICE: device_rows,
    gpu_commands.CHILD: gpu_commands.draws_rows,
    gpu_parity.CHILD: gpu_parity.rows,
    gpu_profile.CHILD: gpu_profile.rows,
} | gpu_many.CHILDREN
TURNS = gpu_one.CHILDREN | gpu_tf32.CHILDREN


def main(name: str, settings: Settings) -> int:
    """Be the child of this name; return the exit status."""
    if name in ROWS:
        return print_rows(ROWS[name](settings))
    turns.serve(TURNS[name](settings))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Settings.parse(sys.argv[2])))
