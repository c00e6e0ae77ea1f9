"""The pytest plugin: the fixture `prove_port`. Every run of pytest imports this file, so it imports nothing slow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def prove_port() -> Callable[..., Any]:
    """A function that runs a port from a reference's record, and fails the test unless it is faithful.

        def test_port(prove_port):
            prove_port("theirs", model=network, loss=loss, optimizer=optimizer)

    It takes what `jax_impl.parity.prove` takes, and returns the verdict. With a second record instead of a model, as in
    `prove_port("theirs", "ours")`, it compares the two and needs no JAX.
    """

    def prove(theirs: str | Path, ours: str | Path | None = None, **port: Any) -> Any:
        __tracebackhide__ = True
        from jax_impl import parity

        found = parity.prove(theirs, **port) if ours is None else parity.compare_records(theirs, ours, **port)
        return found.require()

    return prove
