import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from jax_impl.errors import UserError
from jax_impl.storage import records


def test_records_are_loaded_as_they_were_added(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cells.jsonl"
    assert records.load(path) == {}
    for key in ("a", "b"):
        records.add(path, {"key": key, "cost": [0.5, None]})
    assert records.load(path) == {key: {"key": key, "cost": [0.5, None]} for key in ("a", "b")}


def test_an_incomplete_last_line_is_replaced_by_the_next_record(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    records.add(path, {"key": "a"})
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole + whole[:cut])
        assert set(records.load(path)) == {"a"}
        records.add(path, {"key": "b"})
        assert path.read_bytes().startswith(whole + b'{"key": "b", ')
        assert list(records.load(path)) == ["a", "b"]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '"key"', '{"key": "b"}'])
def test_a_damaged_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "cells.jsonl"
    records.add(path, {"key": "a"})
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(
        UserError, match=r"cells\.jsonl, line 2, is damaged: delete the line and repeat the command, which"
    ):
        records.load(path)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    records.add(path, {"key": "a", "cost": [0.5, None], "seeds": [1, 2]})
    whole = path.read_bytes()
    for place in range(len(whole) - 1):  # without the last line's end it is a torn line
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            with pytest.raises(UserError, match="is damaged"):
                records.load(path)


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        records.load(tmp_path)
    with pytest.raises(UserError, match="cannot write"):
        records.add(tmp_path, {"key": "a"})


def test_numbers_are_rounded_and_nan_becomes_none() -> None:
    class Pair(NamedTuple):
        left: np.ndarray
        right: float

    found = records.plain(Pair(np.array([[1.23456789, np.nan], [np.inf, 2]], np.float32), 3.0))
    assert found == {"left": [[1.23457, None], [None, 2.0]], "right": 3.0}
    json.dumps(found, allow_nan=False)
