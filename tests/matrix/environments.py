"""The environments of `make test-matrix`: what imitates other processors, and other versions."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

# What depends on the processor: everything that computes.
NUMERIC = (
    "tests/parity",
    *(f"tests/unit/jax_impl/{name}" for name in ("compare", "rbm", "replay", "starts", "study", "trainer")),
    *(f"tests/unit/jax_impl/test_{name}.py" for name in ("data", "draws", "initializers", "interop", "model", "train")),
)
FAST = ("tests",)
SLOW = ("tests/parity/test_published.py", "tests/scale/test_devices.py")  # of which `SIGNALS` and all
SIGNALS = "test_the_signal or test_devices"
INHERITED = (  # variables of the caller that would change what a row means
    *("XLA_FLAGS", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "OPENBLAS_CORETYPE"),
    *("NPY_DISABLE_CPU_FEATURES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "JAX_NUM_CPU_DEVICES"),
)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One row: variables, cores and versions in which tests run.

    `python` is the version of an interpreter, None for this one; another one, or the newest versions, gets a virtual
    environment of its own.
    """

    name: str
    imitates: str
    variables: dict[str, str] = field(default_factory=dict)
    cores: int | None = None
    python: str | None = None
    newest: bool = False
    tests: Sequence[str] = NUMERIC

    @property
    def own(self) -> bool:
        """Whether the row needs a virtual environment of its own."""
        return self.python is not None or self.newest


def environments() -> list[Environment]:
    """Return the rows. Those in this environment come first: the others build theirs."""
    return [
        Environment(name="as it is", imitates="this machine"),
        Environment(name="one core", imitates="a machine with one core", cores=1),
        Environment(
            name="one thread of OpenMP and MKL",
            imitates="a container with a limit",
            variables={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        ),
        Environment(
            name="torch: AVX2",
            imitates="a processor before AVX-512, in torch",
            variables={"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
        ),
        Environment(
            name="torch: no AVX",
            imitates="a processor of 2008, in torch",
            variables={"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
        ),
        Environment(
            name="XLA: AVX2",
            imitates="a processor before AVX-512, in JAX",
            variables={"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
        ),
        Environment(
            name="XLA: SSE4.2",
            imitates="a processor of 2008, in JAX",
            variables={"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"},
        ),
        Environment(
            name="NumPy: no AVX-512",
            imitates="a processor before AVX-512, in NumPy and SciPy",
            variables={"NPY_DISABLE_CPU_FEATURES": " ".join(numpy_avx512()), "OPENBLAS_CORETYPE": "Haswell"},
        ),
        Environment(
            name="everything: no AVX-512",
            imitates="a desktop processor",
            variables={
                "ATEN_CPU_CAPABILITY": "avx2",
                "ONEDNN_MAX_CPU_ISA": "AVX2",
                "MKL_CBWR": "AVX2",
                "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
                "NPY_DISABLE_CPU_FEATURES": " ".join(numpy_avx512()),
                "OPENBLAS_CORETYPE": "Haswell",
            },
        ),
        Environment(name="Python 3.12", imitates="another Python, the pinned versions", python="3.12"),
        Environment(name="Python 3.13", imitates="another Python, the pinned versions", python="3.13"),
        Environment(
            name="Python 3.13, newest versions",
            imitates="an installation without constraints.txt",
            python="3.13",
            newest=True,
            tests=FAST,
        ),
    ]


def numpy_avx512() -> list[str]:
    """Return NumPy's names of the AVX-512 features that this processor has, and that NumPy can do without."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return [name for name in __cpu_dispatch__ if ("AVX512" in name or name == "X86_V4") and __cpu_features__[name]]


def interpreter(version: str | None) -> str | None:
    """Return an interpreter of this version, or None if there is none that starts."""
    if version is None:
        return sys.executable
    found = shutil.which(f"python{version}")
    return (
        found
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0
        else None
    )


def build(environment: Environment, folder: Path) -> Path:
    """Make the row's virtual environment, or return the one that is there; return its interpreter.

    Raises:
        CalledProcessError: It cannot be built; its output says why.
    """
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    base = interpreter(environment.python)
    assert base, "the caller has asked for the interpreter"
    constraints = [] if environment.newest else ["--constraint", "constraints.txt"]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([base, "-m", "venv", str(folder)], [*pip, *constraints, "--editable", ".[jax,torch,ports,dev]"]):
        subprocess.run(command, check=True, capture_output=True, text=True)
    (folder / "complete").touch()
    return python


def variables_of(environment: Environment) -> dict[str, str]:
    """Return the environment variables of the row's tests."""
    kept = {name: value for name, value in os.environ.items() if name not in INHERITED}
    return kept | environment.variables
