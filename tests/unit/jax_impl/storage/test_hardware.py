from pathlib import Path

import pytest

from jax_impl.storage import hardware


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("model name\t: AMD EPYC\ncpu family\t: 26\n", "AMD EPYC (family 26)"),
        ("cpu family\t: 25\nmodel name\t: AMD EPYC 7763 64-Core Processor\n", "AMD EPYC 7763 64-Core Processor"),
        ("model name\t: Some Processor\n", "Some Processor"),
    ],
)
def test_a_name_without_a_number_gets_the_family(monkeypatch: pytest.MonkeyPatch, lines: str, name: str) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: lines)
    assert hardware.processor() == name
