from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jax_impl.parity import arrays
from tests.unit.jax_impl.parity.synthetic import Pair


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A reference's record, and a way to write records of ports, which nobody keeps: they need not be flushed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_flush", lambda path: None)
        yield Pair(tmp_path_factory.mktemp("records"))


@pytest.fixture
def changed(pair: Pair, tmp_path: Path) -> Callable[..., Pair]:
    """A function that returns a pair whose reference was edited."""
    return lambda edit: pair.changed(tmp_path, edit)
