from typing import Any

import pytest

from tests.unit.parity_report.made_up import Text, fail, with_data, without_data, written


@pytest.fixture
def result() -> dict[str, Any]:
    return without_data()


@pytest.fixture
def drawn() -> dict[str, Any]:
    return with_data()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Text, str]:
    """Everything that a page can hold: figures, a failed rung, one that did not run, a fault that nothing caught."""
    result = with_data()
    fail(result, 3)
    del result["rungs"][9]
    result["faults"].append({"name": "sneaky", "source": "", "expected": 6, "first": None, "caught_by": []})
    return written(result, tmp_path_factory.mktemp("whole"))
