"""Of the mistakes that ports make, the ladder sees nearly all, and names the module where they are."""

import pytest

from tests.ports import runs
from tests.ports.catalogue import PORTS
from tests.ports.faults import OWN, Fault, faults

FAULTS = faults()
FAST = {("cnn", "mean pooling for max pooling")}  # in a port that compiles quickly


def parameter(fault: Fault) -> object:
    fast = (fault.model, fault.name) in FAST
    return pytest.param(fault, id=f"{fault.model}: {fault.name}", marks=() if fast else pytest.mark.slow)


@pytest.mark.parametrize("fault", list(map(parameter, FAULTS)))
def test_a_mistake_is_seen_and_named(fault: Fault) -> None:
    verdict = runs.verdict_on(fault)
    assert verdict.first is not None, "not seen"
    assert runs.first_rung(verdict) == fault.rung, verdict.first_line
    assert runs.names_module(verdict, fault) is not fault.misnamed, verdict.first_line


def test_there_are_enough_mistakes_and_few_are_misnamed() -> None:
    assert len({(fault.model, fault.name) for fault in FAULTS}) == len(FAULTS) >= 60
    assert {fault.model for fault in FAULTS} == set(PORTS)
    assert sum(fault.seen != OWN for fault in FAULTS) >= 40
    assert sum(fault.misnamed for fault in FAULTS) <= 0.1 * len(FAULTS)
