"""One process with eight virtual devices: what the mesh shares out comes to what one device computes.

A process's devices are made when JAX starts, so each test asks a process of its own.
"""

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

PRELUDE = """
import json, jax, numpy as np
from jax_impl import data, devices, draws, ensemble, recipes, train
rng = np.random.default_rng(0)
mnist = data.Mnist(*(part for n in (300, 100) for part in (
    rng.integers(0, 256, (n, 784), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.int32))))
recipe = recipes.Recipe(name="small", layers=(784, 16, 16, 10), epochs=2)
leaves = lambda tree: [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
"""


def computed(program: str, devices: int = 8, dtype: str = "float32") -> Any:
    """What a program prints last, as JSON, in a process with so many virtual devices."""
    double = str(int(dtype == "float64"))
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_ENABLE_X64": double}
    command = [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(program)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_devices_share_a_batch() -> None:
    """100 images on 8 devices: 13 each, four of them padding."""
    program = """
        recipe = recipe.but(dtype="float64")
        alone = list(train.fit(recipe, mnist, draws.native(recipe, 300)))
        mesh = devices.mesh_for(data=True)
        together = list(train.fit(recipe, mnist, draws.native(recipe, 300), mesh))
        print(json.dumps({
            "mesh": dict(mesh.shape), "padded": devices.shared_out(100, mesh),
            "cost": max(abs(one.cost / two.cost - 1) for (one, _), (two, _) in zip(alone, together)),
            "accuracy": [[record.test_accuracy for record, _ in side] for side in (alone, together)],
            "params": max(float(np.abs(a - b).max()) for (_, one), (_, two) in zip(alone, together)
                          for a, b in zip(leaves(one), leaves(two))),
        }))
    """
    found = computed(program, dtype="float64")
    assert (found["mesh"], found["padded"]) == ({"runs": 1, "data": 8}, 104)
    assert found["cost"] < 1e-12
    assert found["params"] < 1e-12
    assert found["accuracy"][0] == found["accuracy"][1]


@pytest.mark.parametrize(("runs", "dtype"), [((3, 11), "float32"), ((8,), "float64")])
def test_devices_share_the_runs(runs: tuple[int, ...], dtype: str) -> None:
    """Fewer runs than devices, as many, and more: each run as it is alone on one device, to the last bit."""
    program = f"""
        recipe = recipe.but(dtype="{dtype}")
        alone = [list(train.fit(recipe, mnist, draws.native(recipe.but(seed=seed), 300)))
                 for seed in range({max(runs)})]
        found = []
        for seeds in map(range, {runs}):
            mesh = devices.mesh_for(runs=len(seeds))
            mine = devices.mine(len(seeds), mesh)
            drawn = [draws.native(recipe.but(seed=seed), 300) for seed in mine]
            together = list(ensemble.fit_many(recipe, drawn, mnist, mesh=mesh))
            found.append({{
                "devices": mesh.size, "mine": mine,
                "costs": all(epoch.costs[run] == alone[run][place][0].cost
                             for place, (epoch, _) in enumerate(together) for run in seeds),
                "accuracies": all(epoch.test_accuracies[run] == alone[run][place][0].test_accuracy
                                  for place, (epoch, _) in enumerate(together) for run in seeds),
                "params": all(np.array_equal(a[run], b) for place, (_, params) in enumerate(together) for run in seeds
                              for a, b in zip(leaves(params), leaves(alone[run][place][1]))),
            }})
        print(json.dumps(found))
    """
    for count, found in zip(runs, computed(program, dtype=dtype), strict=True):
        assert found["devices"] == min(count, 8)
        assert found["mine"] == [*range(count), *[count - 1] * (-count % found["devices"])]
        assert (found["costs"], found["accuracies"], found["params"]) == (True, True, True)


def test_a_device_among_many_gets_its_part_of_the_memory() -> None:
    found = computed("""
        mesh = devices.mesh_for(runs=16)
        whole = ensemble.split(recipe, 16, mnist, mesh=mesh)
        half = ensemble.split(recipe, 16, mnist, mesh=mesh, max_bytes=whole.bytes - 1)
        print(json.dumps([whole.at_once, half.at_once]))
    """)
    assert found == [16, 8]


def test_one_device_needs_no_mesh() -> None:
    assert (
        computed("print(json.dumps([devices.mesh_for(runs=5), devices.mesh_for(data=True)]))", devices=1) == [None] * 2
    )
