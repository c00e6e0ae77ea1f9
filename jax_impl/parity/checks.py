"""A comparison of numbers as a check of the verdict."""

from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.verdict import Check, Evidence


def check(
    found: Measured,
    *,
    place: str,
    stage: str,
    what: str,
    finding: str,
    module: str | None,
    evidence: Evidence | None = None,
) -> Check:
    """Return a comparison of numbers as a check."""
    return Check(
        place=place,
        stage=stage,
        what=what,
        passed=found.passed,
        finding="" if found.passed else finding,
        measured=found.measured,
        allowed=found.allowed,
        unit=found.unit,
        reason=found.reason,
        detail=found.detail,
        module=module,
        evidence=evidence,
    )
