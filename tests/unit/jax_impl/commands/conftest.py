"""The command line, called in the test's own process on 1,000 training images: an epoch has ten steps."""

import sys
from collections.abc import Callable

import jax
import pytest

from jax_impl import data
from jax_impl.commands import data as data_command
from jax_impl.commands.main import main
from jax_impl.data import Mnist

Call = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def call(small: Mnist, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """A function that takes the arguments and returns the exit code, the printed lines, and standard error."""
    monkeypatch.setattr(data_command, "ensure", lambda *_: "the test")
    monkeypatch.setattr(data, "load", lambda *_: small)

    def run(*arguments: object) -> tuple[int, list[str], str]:
        monkeypatch.setattr(sys, "argv", ["jax_impl", *map(str, arguments)])
        try:
            code = main()
        finally:
            jax.config.update("jax_enable_x64", False)  # the other tests' setting
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return run
