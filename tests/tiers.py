"""The two tiers of the tests: `make test` runs the fast ones, `make test-slow` the others."""

from typing import Any

import pytest


def slow(*values: Any) -> Any:
    """Return the parameters of a case that only the slow tier runs. The fast tier runs another case of the test."""
    return pytest.param(*values, marks=pytest.mark.slow)
