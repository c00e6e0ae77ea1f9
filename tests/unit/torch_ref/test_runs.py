"""The files of a run: complete or not at all, and never damaged without notice."""

import errno
import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch

from torch_ref import model, recipes, runs, train
from torch_ref.errors import UserError

RECIPE = recipes.named("mnist_nn_xavier").with_changes(layers=(6, 4, 3), epochs=2)
FILES = ("config.json", "metrics.jsonl", "params.safetensors", "curve.png")
RECORDS = [train.EpochRecord(epoch=epoch, cost=1 / epoch, test_accuracy=0.9, seconds=1.0) for epoch in (1, 2)]


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return runs.snapshot(model.build(RECIPE))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_is_four_files_and_its_parameters_come_back(tmp_path: Path) -> None:
    runs.write(tmp_path / "new" / "run", RECIPE, RECORDS, tensors(), loader="tensor")
    files = contents(tmp_path / "new" / "run")
    assert set(files) == set(FILES)
    assert [json.loads(line)["epoch"] for line in files["metrics.jsonl"].splitlines()] == [1, 2]
    config = json.loads(files["config.json"])
    assert (config["package"], config["loader"], config["recipe"]["layers"]) == ("torch_ref", "tensor", [6, 4, 3])
    loaded = runs.load(tmp_path / "new" / "run" / "params.safetensors", RECIPE.layers)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors().items())


def test_without_an_epoch_there_is_no_curve(tmp_path: Path) -> None:
    runs.write(tmp_path, RECIPE, RECORDS, tensors(), loader="tensor")
    runs.write(tmp_path, RECIPE, [], tensors(), loader="tensor")
    files = contents(tmp_path)
    assert set(files) == set(FILES) - {"curve.png"}
    assert files["metrics.jsonl"] == b""


@pytest.mark.parametrize("failing", range(len(FILES)))
def test_a_full_disk_leaves_the_earlier_run(tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the four files does not fit."""
    for name in FILES:
        (tmp_path / name).write_text("earlier")
    before, real, calls = contents(tmp_path), os.fsync, []

    def fsync(number: int) -> None:
        calls.append(number)
        if len(calls) > failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UserError, match=r"cannot write to .*: No space left on device; free some disk space") as error:
        runs.write(tmp_path, RECIPE, RECORDS, tensors(), loader="tensor")
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == before
    monkeypatch.setattr(os, "fsync", real)
    runs.write(tmp_path, RECIPE, RECORDS, tensors(), loader="tensor")
    assert b"earlier" not in contents(tmp_path).values()


def test_a_snapshot_does_not_change_with_the_model() -> None:
    network = model.build(RECIPE)
    before = runs.snapshot(network)
    with torch.no_grad():
        network[0].weight.add_(1)
    assert not torch.equal(before["linear1.weight"], runs.snapshot(network)["linear1.weight"])


def test_a_damaged_file_is_refused_and_an_unsealed_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "params.safetensors"
    content = bytearray(runs.sealed(tensors()))
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged, its SHA-256 does not match: restore a copy, or train again"):
        runs.load(path, RECIPE.layers)
    safetensors.torch.save_file(tensors(), path)
    assert set(runs.load(path, RECIPE.layers)) == set(tensors())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((6, 5, 3), r"linear1.bias must be \(5,\), got \(4,\)"),
        ((6, 4), r"linear2.bias must be absent, got \(3,\)"),
        ((6, 4, 3, 2), r"linear3.bias must be \(2,\), got none"),
    ],
)
def test_another_networks_file_is_refused(tmp_path: Path, layers: tuple[int, ...], message: str) -> None:
    path = tmp_path / "params.safetensors"
    path.write_bytes(runs.sealed(tensors()))
    with pytest.raises(UserError, match=rf"holds another network: {message}; name the recipe that it was trained with"):
        runs.load(path, layers)
