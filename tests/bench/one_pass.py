"""Adam in one pass over memory: a kernel in C++ (`one_pass.cc`), compiled for this processor when a trial needs it."""

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jax_impl import train
from jax_impl.errors import UserError

SOURCE = Path(__file__).with_name("one_pass.cc")
OPTIONS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-std=c++17", "-fPIC", "-shared")
TARGET = "adam_in_one_pass"


@cache
def register() -> None:
    """Compile the kernel and make it known to XLA.

    Raises:
        UserError: There is no g++, or it cannot compile the kernel.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise UserError("the trial one-pass needs g++: install it, or name the other trials with --chosen")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "one_pass.so"
        command = [compiler, *OPTIONS, "-isystem", jax.ffi.include_dir(), str(SOURCE), "-o", str(library)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise UserError(f"g++ cannot compile {SOURCE.name}: {result.stderr.strip().splitlines()[0]}")
        loaded = ctypes.CDLL(str(library))
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(loaded.AdamInOnePass), platform="cpu")


def update(optimizer: str, state: train.State, gradients: Any) -> train.State:
    """Take a step of `optax.adam` in float32, to rounding."""
    assert optimizer == "adam"
    register()
    (adam, *rest), rate = state.opt_state, state.learning_rate
    count = adam.count + 1
    corrections = [1 - jnp.float32(beta) ** count.astype(jnp.float32) for beta in (0.9, 0.999)]
    scalars = jnp.stack([rate, *corrections])

    def of_leaf(param: jax.Array, mu: jax.Array, nu: jax.Array, gradient: jax.Array) -> Any:
        shape = jax.ShapeDtypeStruct(param.shape, jnp.float32)
        call = jax.ffi.ffi_call(TARGET, (shape, shape, shape), input_output_aliases={0: 0, 1: 1, 2: 2})
        return tuple(call(param, mu, nu, gradient, scalars))

    leaves = jax.tree.map(of_leaf, state.params, adam.mu, adam.nu, gradients)
    params, mu, nu = jax.tree.transpose(jax.tree.structure(state.params), jax.tree.structure((0, 0, 0)), leaves)
    return train.State(params, (adam._replace(count=count, mu=mu, nu=nu), *rest), rate)
