"""Changes after which a port is as faithful as before: none of them may fail."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.ports.planting import Change


@dataclass(frozen=True)
class Harmless:
    """Another way to write or to run a port, or its reference.

    Attributes:
        name: What is different.
        model: The model.
        changes: Texts of the port's file and those that replace them.
        theirs: The expression for the reference's arguments, if not as usual.
        options: Further arguments of `parity.save`.
        environment: Variables under which a process of its own runs the port.
    """

    name: str
    model: str
    changes: tuple[Change, ...] = ()
    theirs: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def written(model: str, name: str, *changes: Change, theirs: str | None = None) -> Harmless:
    """Return another way to write a port."""
    return Harmless(name, model, changes, theirs)


def harmless() -> list[Harmless]:
    """Return all of them."""
    from tests.ports.harmless import convolutions, formulas, machinery, others, sequences

    modules = (convolutions, sequences, others, formulas, machinery)
    return [*(change for module in modules for change in module.CHANGES), *reruns()]


def reruns() -> Iterator[Harmless]:
    """Yield other weights, other data, other sizes of batches, other numbers of steps, and other settings of XLA."""
    from tests.ports.catalogue import PORTS

    for model, port in PORTS.items():
        call = port.theirs[1]
        seeded = call[:-1] + (", " if call[-2] != "(" else "") + "seed={})"
        for seed in (1, 2):
            yield Harmless(f"weights of seed {seed}", model, theirs=seeded.format(seed))
        yield Harmless("keys of seed 1", model, options={"seed": 1})
        yield Harmless("three steps", model, theirs=f"{call} | {{'steps': 3}}")
        images = "40, " if model == "resnet" else ""
        sizes = f"{images}batch_size=4"
        yield Harmless("data of seed 1", model, theirs=f"{call} | {{'batches': data({sizes}, seed=1)}}")
        yield Harmless("batches of two", model, theirs=f"{call} | {{'batches': data({images}batch_size=2)}}")
    for model, seeds in (("cnn", 20), ("gru", 2), ("encoder", 5), ("dcgan", 12)):
        yield Harmless(f"{seeds} fresh models", model, theirs=f"{PORTS[model].theirs[1]} | {{'seeds': {seeds}}}")
    for model in ("lstm", "cnn", "llama"):
        call = f"{PORTS[model].theirs[1]} | {{'precision': 'as it is'}}"
        yield Harmless("in float32, as it is", model, theirs=call)
    for model, environment in zip(PORTS, ENVIRONMENTS, strict=True):
        yield Harmless(
            " ".join(f"{name}={value}" for name, value in environment.items()), model, environment=environment
        )


ENVIRONMENTS = (
    {"XLA_FLAGS": "--xla_backend_optimization_level=0"},
    {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"},
    {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"},
    {"XLA_FLAGS": "--xla_cpu_prefer_vector_width=128"},
    {"JAX_DISABLE_JIT": "1"},
    {"JAX_DEFAULT_MATMUL_PRECISION": "highest"},
    {"XLA_FLAGS": "--xla_allow_excess_precision=false"},
    {"JAX_THREEFRY_PARTITIONABLE": "0"},
    {"JAX_ENABLE_X64": "1"},
    {"XLA_FLAGS": "--xla_cpu_max_isa=AVX"},
)
