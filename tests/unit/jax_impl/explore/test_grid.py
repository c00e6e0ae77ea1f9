"""The files of the networks: written once, read back, and not used after a change of the settings."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jax_impl.data import Mnist
from jax_impl.errors import Interrupted, UserError
from jax_impl.explore import grid, settings
from jax_impl.explore.settings import Network
from jax_impl.storage import tensors
from tests.unit.jax_impl.explore.made_up import measured

NETWORKS = [Network(2, 32, "relu"), Network(2, 32, "tanh"), Network(5, 32, "relu")]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Network]:
    """The networks that were measured, by a fake."""
    made: list[Network] = []

    def measure(network: Network, mnist: Mnist, *_: Any) -> grid.Measured:
        assert len(mnist.train_images) <= settings.IMAGES
        made.append(network)
        return measured(network)

    monkeypatch.setattr(grid, "measure", measure)
    return made


def test_a_file_holds_what_was_measured(tmp_path: Path) -> None:
    wanted = measured(NETWORKS[2])
    grid.save(tmp_path / "x.safetensors", wanted)
    found = grid.load(tmp_path / "x.safetensors", NETWORKS[2])
    assert found.facts == wanted.facts
    for name, value in wanted.before._asdict().items():
        np.testing.assert_allclose(getattr(found.before, name), value, rtol=1e-7, err_msg=name)
    for optimizer, course in wanted.courses.items():
        for name, value in course._asdict().items():
            np.testing.assert_allclose(getattr(found.courses[optimizer], name), value, rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("damage", ["flipped", "empty", "other tensors", "other network"])
def test_a_file_that_does_not_fit_is_refused_before_any_work(
    damage: str, tmp_path: Path, small: Mnist, calls: list[Network]
) -> None:
    path = grid.path_of(tmp_path, NETWORKS[0])
    grid.save(path, measured(NETWORKS[1 if damage == "other network" else 0]))
    if damage == "other tensors":
        tensors.write(path, {"x": np.zeros(3)}, {"network": asdict(NETWORKS[0])})
    elif damage != "other network":
        path.write_bytes(b"" if damage == "empty" else path.read_bytes()[:-4] + b"\0\0\0\1")
    problem = "is not that of" if damage == "other network" else "is damaged"
    with pytest.raises(UserError, match=f"{problem}.*: delete the file and repeat the command"):
        list(grid.measure_remaining(NETWORKS, small, tmp_path, None))
    assert calls == []


def test_finished_networks_are_kept(tmp_path: Path, small: Mnist, calls: list[Network]) -> None:
    assert list(grid.measure_remaining(NETWORKS[:1], small, tmp_path, None)) == [(NETWORKS[0], False)]
    found = list(grid.measure_remaining(NETWORKS, small, tmp_path, None))
    assert found == [(NETWORKS[0], True), (NETWORKS[1], False), (NETWORKS[2], False)]
    assert calls == NETWORKS


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path, small: Mnist, calls: list[Network]) -> None:
    def stop() -> None:
        if len(calls) == 2:
            raise Interrupted("", exit_code=130)

    with pytest.raises(Interrupted):
        list(grid.measure_remaining(NETWORKS, small, tmp_path, None, stop))
    assert [grid.path_of(tmp_path, network).exists() for network in NETWORKS] == [True, True, False]


@pytest.mark.parametrize("name", ["SEEDS", "GAINS", "IMAGES", "INITS"])
def test_other_settings_need_other_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = grid.key(NETWORKS[0])
    assert before == grid.key(Network(2, 32, "relu")) != grid.key(NETWORKS[1])
    for module in (settings, grid):
        monkeypatch.setattr(module, name, {"x": 1}, raising=False)
    assert grid.key(NETWORKS[0]) != before
