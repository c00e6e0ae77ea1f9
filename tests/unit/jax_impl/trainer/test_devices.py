"""What one process with one device does. tests/scale covers several devices and several processes."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl.trainer import devices


def test_one_device_needs_no_mesh() -> None:
    assert devices.mesh_for_runs(5) is None
    assert devices.mesh_for_batches(100) is None
    assert devices.local_runs(3, None) == [0, 1, 2]
    assert devices.runs_to_fill_devices() == devices.workers() == 1
    assert not devices.side_by_side(None)


def test_arrays_are_put_on_the_device_as_they_are() -> None:
    tree = {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3)}
    for put in (devices.everywhere, devices.by_run):
        found = put(tree, None)["a"]
        assert isinstance(found, jax.Array)
        np.testing.assert_array_equal(found, tree["a"])
        np.testing.assert_array_equal(devices.local_rows(found), tree["a"])


def test_an_accelerators_rows_are_copied_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = jnp.arange(6.0).reshape(2, 3)
    assert not np.shares_memory(devices.local_rows(rows), np.asarray(rows))  # the next epoch overwrites it
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert np.shares_memory(devices.local_rows(rows), np.asarray(rows))  # on a GPU this is memory of the host already


def test_by_run_copies_because_training_overwrites_its_state() -> None:
    rows = jnp.ones((2, 3))
    copy = devices.by_run(rows, None)
    copy.delete()
    assert not rows.is_deleted()


@pytest.mark.parametrize("runs", [1, 3])
def test_a_function_over_runs_gives_each_its_own_result(runs: int) -> None:
    def function(state: dict, factor: jax.Array, order: jax.Array) -> tuple[dict, jax.Array]:
        return {"x": state["x"] * factor}, order.sum()

    states = {"x": jnp.arange(2.0 * runs).reshape(runs, 2)}
    orders = jnp.arange(3 * runs, dtype=jnp.int32).reshape(runs, 3)
    found, sums = devices.over_runs(function, runs)(states, jnp.float32(2), orders)
    np.testing.assert_array_equal(found["x"], 2 * states["x"])
    np.testing.assert_array_equal(sums, orders.sum(axis=1))


@pytest.mark.parametrize(("text", "expected"), [("1073741824\n", 2**30), ("max\n", None), (None, None)])
@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("where", [".", "job", "job/step"])
def test_a_container_s_limit_is_the_memory(
    text: str | None, expected: int | None, version: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, folders = tmp_path / "own", {"2": tmp_path, "1": tmp_path / "memory"}
    monkeypatch.setattr(devices, "OWN_CGROUPS", own)
    monkeypatch.setattr(devices, "CGROUPS", tmp_path)
    machine = devices.memory()
    own.write_text({"2": "0::/job/step\n", "1": "9:name=systemd:/\n4:memory:/job/step\n"}[version])
    if text:
        limited = folders[version] / where
        limited.mkdir(parents=True, exist_ok=True)
        (limited / {"2": "memory.max", "1": "memory.limit_in_bytes"}[version]).write_text(text)
    assert devices.memory() == devices.host_memory() == (expected or machine)


def test_the_process_s_own_limit_is_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.psutil.Process, "rlimit", lambda *_: (2**29, 2**30))
    assert devices.host_memory() == 2**29


def test_the_device_has_memory() -> None:
    assert jax.devices()[0].platform == "cpu"
    assert 2**28 < devices.memory() < 2**50
