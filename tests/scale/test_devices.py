"""One process with several virtual devices: sharing the work changes no result of one device.

JAX creates a process's devices when it starts, so each test starts a process of its own.
"""

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.tiers import slow

PRELUDE = """
import json, jax, numpy as np
from jax_impl import data, draws, recipes, train
from jax_impl.trainer import devices, engine, memory, one_run
rng = np.random.default_rng(0)
mnist = data.Mnist(*(part for n in (300, 100) for part in (
    rng.integers(0, 256, (n, 784), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.int32))))
recipe = recipes.Recipe(name="small", layers=(784, 16, 16, 10), epochs=2)
leaves = lambda tree: [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
"""


def computed(program: str, devices: int = 8, dtype: str = "float32") -> Any:
    """The JSON that a program prints last, in a process with this number of virtual devices."""
    double = str(int(dtype == "float64"))
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_ENABLE_X64": double}
    command = [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(program)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "used"), [(100, 5), (96, 8), (97, 1)])
def test_devices_share_a_batch(batch_size: int, used: int) -> None:
    """Of eight devices, as many as divide the batch. Only the order of sums differs from one device."""
    program = f"""
        recipe = recipe.with_changes(dtype="float64", batch_size={batch_size})
        alone = list(one_run.advance(recipe, mnist, draws.native(recipe, 300)))
        mesh = devices.mesh_for_batches(recipe.batch_size)
        together = list(one_run.advance(recipe, mnist, draws.native(recipe, 300), mesh=mesh, every=2))
        ends = [progress for progress in together if not progress.steps]
        first = lambda progress: progress.records[-1]
        print(json.dumps({{
            "mesh": dict(mesh.shape), "segments": len(together), "same device": mesh.devices[0, 0].id,
            "cost": max(abs(first(a).cost / first(b).cost - 1) for a, b in zip(alone, ends, strict=True)),
            "accuracy": [[first(progress).test_accuracy for progress in side] for side in (alone, ends)],
            "params": max(float(np.abs(a - b).max()) for one, two in zip(alone, ends)
                          for a, b in zip(leaves(one.state), leaves(two.state), strict=True)),
        }}))
    """
    found = computed(program, dtype="float64")
    assert found["mesh"] == {"runs": 1, "data": used}
    assert found["segments"] == 2  # three steps: a single last one joins the segment before
    assert found["cost"] < 1e-12
    assert found["params"] < 1e-12
    assert found["accuracy"][0] == found["accuracy"][1]


@pytest.mark.slow
def test_the_images_of_a_batch_are_divided_among_the_devices() -> None:
    """Each device multiplies its share of the images, and the gradients are summed over the devices."""
    found = computed("""
        from jax_impl.trainer import epochs
        mesh = devices.mesh_for_batches(96)
        state = one_run.begin(recipe, draws.native(recipe, 300)).state
        text = epochs.compiled(recipe, state, (300, 784), (1, 3, 96), mesh).as_text()
        print(json.dumps({
            "products": "f32[12,784]" in text or "f32[1,12,784]" in text, "whole": "f32[96,784]" in text,
            "sums": "all-reduce" in text,
        }))
    """)
    assert found == {"products": True, "whole": False, "sums": True}


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "dtype"), [((11,), "float32"), slow((3,), "float32"), slow((8,), "float64")])
def test_devices_share_the_runs(runs: tuple[int, ...], dtype: str) -> None:
    """Fewer runs than devices, as many, and more: each run has the bits that it has alone on one device."""
    program = f"""
        recipe = recipe.with_changes(dtype="{dtype}")
        alone = [list(train.fit(recipe, mnist, draws.native(recipe.with_changes(seed=seed), 300)))
                 for seed in range({max(runs)})]
        found = []
        for seeds in map(range, {runs}):
            mesh = devices.mesh_for_runs(len(seeds))
            local = devices.local_runs(len(seeds), mesh)
            drawn = [draws.native(recipe.with_changes(seed=seed), 300) for seed in local]
            together = list(engine.fit_many(recipe, drawn, mnist, mesh=mesh))
            found.append({{
                "devices": mesh.size, "local": local,
                "costs": all(epoch.costs[run] == alone[run][place][0].cost
                             for place, (epoch, _) in enumerate(together) for run in seeds),
                "accuracies": all(epoch.test_accuracies[run] == alone[run][place][0].test_accuracy
                                  for place, (epoch, _) in enumerate(together) for run in seeds),
                "params": all(np.array_equal(a[run], b) for place, (_, params) in enumerate(together) for run in seeds
                              for a, b in zip(leaves(params), leaves(alone[run][place][1].params), strict=True)),
            }})
        print(json.dumps(found))
    """
    for count, found in zip(runs, computed(program, dtype=dtype), strict=True):
        assert found["devices"] == min(count, 8)
        assert found["local"] == [*range(count), *[count - 1] * (-count % found["devices"])]
        assert (found["costs"], found["accuracies"], found["params"]) == (True, True, True)


@pytest.mark.slow
@pytest.mark.parametrize("orders", ["drawn by JAX", "given"])
def test_all_devices_share_the_runs_by_themselves(orders: str) -> None:
    """Three runs on two devices: two train together, and then one alone. Each has its own bits."""
    found = computed(
        f"""
        native = [draws.native(recipe.with_changes(seed=seed), 300) for seed in range(3)]
        alone = [list(train.fit(recipe, mnist, one)) for one in native]
        again = [draws.native(recipe.with_changes(seed=seed), 300) for seed in range(3)]
        if {orders == "given"}:
            again = [one._replace(orders=iter([next(one.orders) for _ in range(2)])) for one in again]
        rates = [1e-3, 1e-3, 1e-3]
        together = list(engine.fit_many(recipe, again, mnist, learning_rates=rates))
        print(json.dumps({{
            "devices": devices.mesh_for_runs(3).size, "runs": [len(epoch.costs) for epoch, _ in together],
            "costs": all(epoch.costs[run] == alone[run][place][0].cost and epoch.finite[run]
                         for place, (epoch, _) in enumerate(together) for run in range(3)),
            "params": all(np.array_equal(a[run], b) and len(a) == 3 for place, (_, params) in enumerate(together)
                          for run in range(3)
                          for a, b in zip(leaves(params), leaves(alone[run][place][1].params), strict=True)),
        }}))
    """,
        devices=2,
    )
    assert found == {"devices": 2, "runs": [3, 3], "costs": True, "params": True}


@pytest.mark.slow
def test_deep_belief_networks_train_on_all_devices_with_the_bits_of_one() -> None:
    program = """
        from dataclasses import replace
        from jax_impl.starts import from_images
        from_images.PRETRAINING = replace(from_images.PRETRAINING, epochs=1)
        own = recipe.with_changes(init="dbn", activation="sigmoid", bias_init="zeros")
        runs = from_images.draw_seeds(own, (0, 1, 2), mnist)
        orders = [np.asarray(next(run.orders)).tolist() for run in runs]
        print(json.dumps([[leaf.tolist() for run in runs for leaf in leaves(run.params)], orders]))
    """
    assert computed(program, devices=2) == computed(program, devices=1)


@pytest.mark.slow
def test_a_large_network_trains_on_fewer_devices_at_once() -> None:
    found = computed("""
        from jax_impl.trainer import estimate
        one = estimate.network(recipe).device
        numbers = []
        for gib in (1000.0, (2.5 * one + estimate.PROCESS) / estimate.SHARE / 2**30, 0.001):
            devices.memory = lambda gib=gib: gib * 2**30
            numbers.append(estimate.devices_at_once(recipe))
        print(json.dumps([numbers, devices.mesh_for_runs(16, 2).size, devices.mesh_for_runs(16, 1)]))
    """)
    assert found == [[8, 2, 1], 2, None]


@pytest.mark.slow
def test_a_device_among_many_gets_its_share_of_the_memory() -> None:
    found = computed("""
        mesh = devices.mesh_for_runs(16)
        state = engine.begin(recipe, [draws.native(recipe, 300)] * 16).state
        whole = memory.split(recipe, state, mnist, mesh=mesh)
        half = memory.split(recipe, state, mnist, mesh=mesh, max_bytes=whole.bytes - 1)
        print(json.dumps([whole.at_once, half.at_once]))
    """)
    assert found == [16, 8]


def test_one_device_needs_no_mesh() -> None:
    program = "print(json.dumps([devices.mesh_for_runs(5), devices.mesh_for_batches(100)]))"
    assert computed(program, devices=1) == [None, None]
