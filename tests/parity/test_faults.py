"""Every rung can fail: each fault of the catalogue is planted, and the rung that must catch it first does."""

import pytest

from tests.parity.faults import FAULTS, Fault, caught_by
from tests.parity.ladder import RUNGS, TINY, number, rung


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_expected_rung_catches_it_first(fault: Fault) -> None:
    assert caught_by(fault, first_only=True) == [fault.expected]


def test_without_a_fault_every_rung_passes() -> None:
    """The small climb that the faults are planted into is itself sound."""
    for stem in RUNGS[:-1]:
        rung(stem).measure(TINY).require()


def test_every_judging_rung_catches_something() -> None:
    assert {fault.expected for fault in FAULTS} == {number(stem) for stem in RUNGS[:-1]}
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
