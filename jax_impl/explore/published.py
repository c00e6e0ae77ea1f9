"""The published results of the study as small charts: from the numbers of the long runs to means and ranges."""

from collections.abc import Mapping
from typing import Any


def results(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the charts of each published result that the numbers have.

    Args:
        numbers: The content of docs/study/numbers.json.
    """
    return []
