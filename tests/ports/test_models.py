"""Correct ports of other people's models pass every rung, and the ladder names what is wrong with released ones."""

import inspect
from pathlib import Path

import pytest
from flax import nnx

from jax_impl import parity
from jax_impl.errors import UserError
from jax_impl.parity.verdict import Verdict
from tests.ports import runs
from tests.ports.catalogue import PORTS, Port
from tests.ports.faults import FRESH, OPTIMIZER, SETTINGS, STATE, TRAIN
from tests.ports.planting import planted

LINES = 15  # of a user's code beside model, loss and data
FAST = {"cnn"}  # which compiles quickly


@pytest.mark.parametrize("name", [pytest.param(one, marks=() if one in FAST else pytest.mark.slow) for one in PORTS])
def test_correct_ports_pass_every_rung(name: str) -> None:
    verdict = runs.verdict(name).require()
    compared = [rung.number for rung in verdict.rungs if rung.checks]
    absent = {2, 14} if name in ("resnet", "dcgan") else {2, 11, 14}  # no data of its own, no buffers, no accuracies
    assert set(range(1, 15)) - set(compared) == absent


@pytest.mark.parametrize("name", PORTS)
def test_a_user_writes_few_lines(name: str) -> None:
    for module, call in (PORTS[name].theirs, PORTS[name].ours):
        function = getattr(planted(f"tests.ports.{module}", ()), call.partition("(")[0])
        lines = [line for line in inspect.getsource(function).splitlines() if line.strip()]
        assert len(lines) <= LINES


def released(name: str, module: str, call: str) -> Verdict:
    return runs.proven(runs.recorded(name), Port(PORTS[name].theirs, (module, call)).port())


@pytest.mark.slow
def test_jax_resnet_draws_its_weights_otherwise() -> None:
    verdict = released("resnet", "resnet.released", "ours()")
    assert runs.first_rung(verdict) == FRESH
    failed = {check.module for check in verdict.failures if check.stage == "initial distribution"}
    assert {"conv1", "layer1.0.bn2", "fc"} <= failed  # fan_in, residuals that start at zero, Flax's default


@pytest.mark.slow
def test_jax_resnet_stores_the_biased_variance() -> None:
    verdict = released("resnet", "resnet.released", "ours(with_fresh=False)")
    assert runs.first_rung(verdict) == STATE
    assert verdict.first is not None
    assert verdict.first.place == "bn1.running_var"


@pytest.mark.slow
def test_flaxmodels_inverts_the_momentum() -> None:
    pytest.importorskip(
        "flaxmodels", reason="pip install --no-deps flaxmodels h5py: it declares much that it never uses"
    )
    verdict = runs.proven(
        runs.recorded("resnet18", "theirs(full, size=32, batch_size=4) | {'steps': 2}"),
        Port(("", ""), ("resnet.released", "with_flaxmodels()")).port(),
    )
    assert runs.first_rung(verdict) == SETTINGS
    assert verdict.first is not None
    assert (verdict.first.module, verdict.first.what) == ("bn1", "momentum")


@pytest.mark.slow
def test_flax_has_no_place_for_a_bias_of_the_gru() -> None:
    verdict = released("gru", "lstm.flax_gru", "ours()")
    assert verdict.first is not None
    assert verdict.first.module == "gru"
    assert runs.first_rung(verdict) <= TRAIN


@pytest.mark.slow
def test_one_bias_for_two_computes_the_same_and_trains_otherwise() -> None:
    verdict = released("lstm", "lstm.single_bias", "ours()")
    assert runs.first_rung(verdict) == OPTIMIZER
    assert verdict.first is not None
    assert verdict.first.place.startswith("lstm.bias_ih_l0") and " + lstm.bias_hh_l0" in verdict.first.place
    assert any("two biases" in note for rung in verdict.rungs for note in rung.notes)


@pytest.mark.slow
def test_progress_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jax_impl.parity.recording.progress.QUIET", 0.0)
    lines: list[str] = []
    parity.save(tmp_path, start=runs.recorded("dcgan"), **PORTS["dcgan"].port() | {"progress": lines.append})
    assert lines[0] == "pairing the weights"
    assert lines[2].startswith("recording takes about ")
    assert lines[-1] == f"writing {tmp_path}"
    steps = [line for line in lines if line.startswith("training step ")]
    assert steps[-1] == f"training step {len(steps)} of {len(steps)}"


def test_a_record_in_use_is_never_replaced(tmp_path: Path) -> None:
    theirs, port = runs.recorded("dcgan"), PORTS["dcgan"].port()
    before = (theirs / "record.json").read_bytes()
    with pytest.raises(UserError, match="holds the record from which the port starts: name another folder"):
        parity.save(theirs, start=theirs, **port)
    (tmp_path / "record.json").write_bytes(before)
    with pytest.raises(UserError, match="holds an original's record: name another folder, or delete it"):
        parity.save(tmp_path, start=theirs, **port)
    assert (theirs / "record.json").read_bytes() == (tmp_path / "record.json").read_bytes() == before


def test_what_wraps_an_optimizer_is_refused(tmp_path: Path) -> None:
    port = PORTS["dcgan"].port()
    wrapped = nnx.Optimizer(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), port["optimizer"], wrt=nnx.Param)
    with pytest.raises(UserError, match="optimizer must be an Optax transformation, got Optimizer: pass what it wraps"):
        parity.save(tmp_path / "ours", start=runs.recorded("dcgan"), **port | {"optimizer": wrapped})
