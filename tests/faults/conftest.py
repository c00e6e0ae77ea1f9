"""What the quick forms share: the undisturbed runs, and a loopback mirror."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import mirrors
from tests.faults.cases import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, mnist_dir: Path) -> World:
    return World(tmp_path_factory.mktemp("faults"), mnist_dir)


@pytest.fixture(scope="session")
def source(world: World) -> Iterator[mirrors.Source]:
    with mirrors.opened(world) as found:
        yield found
