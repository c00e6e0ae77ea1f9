"""`make ports` tries every planted mistake, harmless change and size; other runs of the slow tests leave them out.

They are some hundreds, and each runs a torch program's port.
"""

import os

import pytest

CATALOGUES = ("test_faults.py", "test_harmless.py", "test_size.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("PORTS") == "all":
        return
    left_out = [item for item in items if item.path.name in CATALOGUES and "slow" in item.keywords]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
