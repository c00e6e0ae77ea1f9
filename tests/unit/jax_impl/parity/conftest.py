from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from jax_impl.parity import arrays
from tests.unit.jax_impl.parity.synthetic import Pair

FEW = 2  # cases of a parametrised test that the fast tier runs: all of them take minutes


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Leave the further cases of each parametrised test in this folder to the slow tier."""
    counts = Counter[str]()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            name = item.nodeid.partition("[")[0]
            counts[name] += 1
            if counts[name] > FEW:
                item.add_marker(pytest.mark.slow)


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
