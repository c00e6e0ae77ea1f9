"""One CPU device per core, unless the user has chosen their number."""

import jax
import pytest

from jax_impl.commands.shared import cores


@pytest.fixture
def set_to(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(jax.config, "update", lambda name, value: calls.append((name, value)))
    for name in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    return calls


def test_each_core_becomes_a_device(set_to: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    cores.use_every_core()
    assert set_to == [("jax_num_cpu_devices", 3)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("JAX_NUM_CPU_DEVICES", "1"), ("XLA_FLAGS", "--xla_force_host_platform_device_count=3")],
)
def test_a_number_that_the_user_chose_stays(
    set_to: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    cores.use_every_core()
    assert set_to == []


def test_a_jax_that_runs_keeps_its_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
    before = jax.devices()
    cores.use_every_core()
    assert jax.devices() == before
