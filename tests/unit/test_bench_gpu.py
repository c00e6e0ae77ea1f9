"""The benchmark of one device, at a size that a CPU has done in seconds."""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
import torch

from jax_impl import data
from jax_impl.errors import UserError
from tests.bench import (
    gpu,
    gpu_child,
    gpu_commands,
    gpu_many,
    gpu_parity,
    gpu_profile,
    gpu_report,
    gpu_setup,
    gpu_tf32,
    gpu_torch,
)
from tests.bench.gpu_setup import Settings
from torch_ref import train

TINY = Settings(runs=(1, 4), epochs=1, images=1000, rounds=1)
HALVES = (("one", "many", "profile"), ("commands", "parity", "tf32", "study"))


@pytest.fixture(scope="module")
def measured(mnist_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], str]]:
    """What the command wrote, by part: two calls that share the cores."""
    root = tmp_path_factory.mktemp("gpu")
    cache = {"JAX_COMPILATION_CACHE_DIR": str(root / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    calls = {}
    for half in HALVES:
        options = ("--runs=1,4", "--epochs=1", "--images=1000", "--rounds=1", "--full", f"--parts={','.join(half)}")
        out = root / "-".join(half)
        calls[half] = (
            out,
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.gpu", *options, f"--out={out}"],
                env=os.environ | cache | {"MNIST_DATA_DIR": str(mnist_dir), "OMP_NUM_THREADS": "1"},
                stderr=subprocess.PIPE,
                text=True,
            ),
        )
    found = {}
    for half, (out, call) in calls.items():
        _, said = call.communicate()
        assert call.returncode == 0, said
        assert {path.name for path in out.iterdir()} == {"gpu.json", "gpu.md"}
        result = json.loads((out / "gpu.json").read_text(encoding="utf-8"))
        assert set(result) == {"made", "settings", "device", "seconds", *half}
        found |= dict.fromkeys(half, (result, (out / "gpu.md").read_text(encoding="utf-8")))
    return found


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            yield from numbers(child)
    elif isinstance(value, float):
        yield value


@pytest.mark.slow
@pytest.mark.parametrize("part", [part for half in HALVES for part in half])
def test_every_part_is_measured_in_finite_numbers(measured: dict[str, tuple[dict[str, Any], str]], part: str) -> None:
    result, markdown = measured[part]
    found = list(numbers(result[part]))
    assert found
    assert all(math.isfinite(number) for number in found)
    assert "FAILED" not in markdown
    titles = [table.title for table in gpu_report.tables(result)]
    assert titles
    assert all(f"## {title}" in markdown for title in titles)


@pytest.mark.slow
def test_every_contender_that_needs_no_cuda_has_trained(measured: dict[str, tuple[dict[str, Any], str]]) -> None:
    one, many = (measured[part][0][part] for part in ("one", "many"))
    assert {row["contender"] for row in one if len(row.get("seconds", ())) == 1} == {"one-jax", "one-torch-eager"}
    trained = {(row["contender"], row["runs"]) for row in many if "per_minute" in row and "runs" in row}
    assert trained == {(name, runs) for name in ("many-jax", "many-torch-eager", "many-torch-func") for runs in (1, 4)}
    assert min(row["accuracy"] for row in many if "accuracy" in row) > 0.5
    (full,) = (row for row in many if "full" in row)
    assert full["full"] == 4
    assert full["drawing"] + full["training"] < full["total"]


@pytest.mark.slow
def test_parity_and_tf32_are_what_they_are_on_a_cpu(measured: dict[str, tuple[dict[str, Any], str]]) -> None:
    rungs, precisions = (measured[part][0][part] for part in ("parity", "tf32"))
    assert [(rung["number"], rung["passed"], rung["jax"]) for rung in rungs] == [(n, True, "cpu") for n in range(4, 13)]
    *rows, note = precisions
    assert [(row["precision"], row["products"]) for row in rows] == [
        ("highest", "HIGHEST"),
        ("default", "DEFAULT"),
        ("tensorfloat32", "HIGH"),
        ("BF16_BF16_F32", "BF16_BF16_F32"),
    ]
    assert all(row["logits"] == row["gradients"] == 0 for row in rows)  # a CPU multiplies float32 in float32
    assert "no TF32" in note["note"]


@pytest.mark.slow
def test_commands_and_draws_are_the_same_here_and_on_the_cpu(measured: dict[str, tuple[dict[str, Any], str]]) -> None:
    rows = measured["commands"][0]["commands"]
    apart = {row["compared"]: row["apart"] for row in rows if "compared" in row}
    assert len(apart) == 4 + len(gpu_commands.COMPARED)
    # One thing is not itself: the two packages round differently.
    assert [what for what, difference in apart.items() if difference] == [
        "jax_impl train on the device, with torch_ref train on the device"
    ]
    assert {(row["command"], row["place"]) for row in rows if "costs" in row} == {
        (command, place) for command in gpu_commands.COMMANDS for place in gpu_commands.PLACES
    }


@pytest.mark.slow
def test_a_study_says_how_much_of_it_was_training(measured: dict[str, tuple[dict[str, Any], str]]) -> None:
    (row,) = measured["study"][0]["study"]
    assert (row["cells"], row["trainings"]) == (2, 2)
    assert 0 < row["training"] < 60 * row["minutes"]


def test_costs_or_accuracies_that_differ_too_much_fail() -> None:
    row = {"costs": [0.25, 0.09, 0.06, 0.04], "accuracies": [0.96, 0.97, 0.975, 0.98]}
    assert gpu_commands.apart(row, row) == {"apart": 0.0, "accuracy apart": 0.0, "passed": True}
    later = row | {"costs": [0.25, 0.09, 0.06, 0.08]}  # after epoch 3 costs may drift
    assert gpu_commands.apart(later, row)["passed"]
    assert not gpu_commands.apart(row | {"costs": [0.25, 0.09, 0.063, 0.04]}, row)["passed"]
    assert not gpu_commands.apart(row | {"accuracies": [0.96, 0.97, 0.975, 0.973]}, row)["passed"]


def test_a_child_is_ended_when_the_time_is_up() -> None:
    late = replace(TINY, ends=time.time() + 0.2)
    assert list(gpu_setup.ask(late, "parity")) == [{"failed": "parity ended: the time was up"}]
    assert list(gpu.rows(late, "one", {"torch": "cpu"})) == [{"note": "not measured: the time was up"}]


def test_a_profile_sums_kernels_and_counts_no_moment_twice() -> None:
    def event(name: str, start: float, duration: float) -> SimpleNamespace:
        return SimpleNamespace(name=name, start_ns=start, duration_ns=duration)

    streams = [
        SimpleNamespace(
            name="Stream #1(Compute)", events=[event("gemm", 0, 10), event("add", 10, 5), event("gemm", 30, 10)]
        ),
        SimpleNamespace(name="Stream #2(MemcpyD2H)", events=[event("copy", 12, 8)]),
        SimpleNamespace(name="XLA Ops", events=[event("gemm", 0, 40)]),
    ]
    planes = [SimpleNamespace(name="/device:GPU:0", lines=streams), SimpleNamespace(name="/host:CPU", lines=streams)]
    found = gpu_profile.summary(planes)
    assert [(row["name"], row["count"]) for row in found["kernels"]] == [("gemm", 2), ("copy", 1), ("add", 1)]
    assert found["kernels"][0]["seconds"] == pytest.approx(20e-9)
    assert (found["busy"], found["whole"], found["launches"]) == (pytest.approx(30e-9), pytest.approx(40e-9), 4)


def fail_with(monkeypatch: pytest.MonkeyPatch, small: data.Mnist, error: Exception) -> Iterator[dict[str, Any]]:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(gpu_many, "mnist_part", lambda _: small)
    monkeypatch.setattr(gpu_torch, "Many", fail)
    return gpu_many.torch_rows(TINY, "many-torch-func")


def test_an_ensemble_that_does_not_fit_says_so(small: data.Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.\nmore")
    found = list(fail_with(monkeypatch, small, error))
    detail = "CUDA out of memory. Tried to allocate 1 GiB."
    assert found == [
        {"contender": "many-torch-func", "runs": runs, "note": "out of memory", "detail": detail} for runs in (1, 4)
    ]
    table = next(gpu_report.many(found, {"runs": [1, 4], "epochs": 1, "rounds": 1}))
    assert [row[3] for row in table.rows] == ["out of memory"] * 2


def test_another_error_than_that_fails(small: data.Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="illegal address"):
        list(fail_with(monkeypatch, small, RuntimeError("an illegal address")))


def test_an_error_in_a_child_is_its_last_row(capsys: pytest.CaptureFixture[str]) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"contender": "x", "seconds": [1.0]}
        raise RuntimeError("the second broke")

    assert gpu_setup.print_rows(rows()) == 1
    captured = capsys.readouterr()
    first, last = map(json.loads, captured.out.splitlines())
    assert first["contender"] == "x"
    assert last == {"failed": "RuntimeError: the second broke"}
    assert "Traceback" in captured.err


@pytest.mark.slow
def test_children_that_die_have_failed_and_the_others_go_on() -> None:
    assert list(gpu_setup.ask(TINY, "nobody")) == [{"failed": "nobody ended: exit status 1"}]
    assert gpu_setup.in_turns(TINY, ["nobody"]) == ({}, ["nobody"])
    assert "nobody" not in gpu_child.ROWS | gpu_child.TURNS


def test_what_failed_is_exit_1_and_said_and_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(settings: Settings, **_: object) -> Iterator[dict[str, Any]]:
        yield {"contender": "one-jax", "seconds": [2.0] * settings.rounds}
        yield {"contender": "one-torch-eager", "seconds": [6.0] * settings.rounds}
        raise ValueError("the third broke")

    monkeypatch.setattr(gpu, "ask", lambda *_: iter([{"jax": "cpu", "torch": "cpu", "tf32": False}]))
    monkeypatch.setattr(gpu.gpu_one, "measure", broken)
    for name in ("XLA_PYTHON_CLIENT_PREALLOCATE", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.setenv(name, "before")  # so that what main sets does not stay
    assert gpu.main(runs="1", parts="one", out=tmp_path) == 1
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert "failed: one: ValueError: the third broke" in capsys.readouterr().err
    assert "- **FAILED**, one: ValueError: the third broke" in (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert [row["seconds"][0] for row in json.loads((tmp_path / "gpu.json").read_text())["one"][:2]] == [2.0, 6.0]


def test_a_device_for_one_of_the_two_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ask", lambda *_: iter([{"jax": "cpu", "torch": "cuda"}]))
    with pytest.raises(UserError, match="not one device"):
        gpu.look(TINY)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": "1,x"}, "runs must be integers"),
        ({"runs": "0"}, "runs must be integers >= 1"),
        ({"images": 999}, "images must be an integer >= 1000"),
        ({"parts": "one,two"}, "parts must be some of"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        gpu.main(**options)


def test_settings_travel_as_text() -> None:
    settings = Settings(runs=(2, 512), epochs=3, images=2000, rounds=4, full=True)
    assert Settings.parse(str(settings)) == settings
    assert (Settings().many, settings.many, Settings(runs=(512,)).many) == (256, 2, 512)


def test_a_slow_epoch_is_timed_once_and_the_first_one_never() -> None:
    assert gpu_setup.timed(iter([99.0, 1.0, 2.0, 3.0]), rounds=2) == [1.0, 2.0]
    assert gpu_setup.timed(iter([1.0, 99.0, 98.0]), rounds=5) == [99.0]


def test_trainings_a_minute_follow_from_an_epoch() -> None:
    settings = Settings(runs=(1, 4), epochs=15)
    (ensemble,) = gpu_many.spread({"contender": "many-jax", "runs": 4, "seconds": [9.0, 2.0, 1.0]}, settings)
    assert ensemble["per_minute"] == 60 * 4 / (15 * 2.0)
    singles = gpu_many.spread({"contender": "many-torch-eager", "runs": 1, "seconds": [2.0]}, settings)
    assert [(row["runs"], row["seconds"], row["per_minute"]) for row in singles] == [(1, [2.0], 2.0), (4, [8.0], 2.0)]


@pytest.mark.slow
def test_a_wrong_optimizer_fails_its_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    from jax_impl import train as jax_train
    from tests.parity import records

    monkeypatch.setattr(train, "device_of_choice", train.device_of_choice)  # so that what `rows` sets does not stay
    monkeypatch.setattr(gpu_parity, "RUNGS", (11,))
    (right,) = gpu_parity.rows(TINY)
    rule = jax_train._rule
    monkeypatch.setattr(jax_train, "_rule", lambda optimizer, rate: rule(optimizer, rate * 1.00001))
    records.forget()
    (wrong,) = gpu_parity.rows(TINY)
    records.forget()
    assert (right["passed"], wrong["passed"]) == (True, False)
    assert gpu_parity.tightest(wrong)["name"].startswith("mnist_nn_xavier, float64: optimizer")  # type: ignore[index]
    assert gpu_setup.failures({"parity": [right, wrong]}) == ["parity: rung 11, optimizer"]
    assert "| FAIL |" in gpu_report.markdown({"made": "now", "settings": {}, "device": {}, "parity": [right, wrong]})


def test_a_rung_that_breaks_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.parity import test_11_optimizer

    def broken(_: object) -> None:
        raise RuntimeError("no such device")

    monkeypatch.setattr(train, "device_of_choice", train.device_of_choice)
    monkeypatch.setattr(gpu_parity, "RUNGS", (11,))
    monkeypatch.setattr(test_11_optimizer, "measure", broken)
    (rung,) = gpu_parity.rows(TINY)
    assert (rung["passed"], rung["note"]) == (False, "RuntimeError: no such device")
    assert any("no such device" in row[2] for row in gpu_report.parity([rung]).rows)


@pytest.mark.parametrize(
    ("precision", "found"), [("default", "DEFAULT"), ("tensorfloat32", "HIGH"), ("highest", "HIGHEST")]
)
def test_the_precision_of_products_is_read_from_the_program(precision: str, found: str) -> None:
    def product(a: jax.Array) -> jax.Array:
        return jax.jit(lambda: jax.lax.dot(a, a, precision=precision))()

    def two_products(a: jax.Array) -> jax.Array:
        return product(a) + jax.lax.dot(a, a, precision="bfloat16_3x")

    square = np.eye(2, dtype=np.float32)
    assert gpu_tf32.products(jax.make_jaxpr(product)(square)) == found
    assert gpu_tf32.products(jax.make_jaxpr(two_products)(square)) == ", ".join(sorted({found, "HIGH"}))


def test_a_coarser_product_is_apart() -> None:
    exact = {"kernel": np.array([1.0, -4.0]), "bias": np.array([1e-3])}
    found = {"kernel": np.array([1.002, -4.0]), "bias": np.array([1.001e-3])}
    assert gpu_tf32.largest(found, exact) == pytest.approx(1e-3)
