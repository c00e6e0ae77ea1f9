import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_impl.errors import UserError
from jax_impl.parity import arrays
from jax_impl.parity.arrays import Store, checksum, is_fill, norm_and_largest, sample_indices, sampled, stored


@given(st.integers(1, 10**9), st.integers(1, 3000))
def test_samples_are_spread_over_the_array(size: int, limit: int) -> None:
    if size <= limit:
        return
    found = sample_indices(size, limit)
    assert found.shape == (limit,)
    assert found[0] == 0
    assert (np.diff(found) >= 1).all()  # no element twice
    assert found[-1] < size
    assert np.ptp(np.diff(np.append(found, size))) <= 1  # evenly
    place = limit // 2
    assert found[place] == place * size // limit  # as Python's integers say


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 50))
def test_a_sample_is_flat_and_follows_the_rule(shape: list[int], limit: int) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    found = sampled(array, limit)
    if array.size <= limit:
        assert found is array
    else:
        assert found.tolist() == [i * array.size // limit for i in range(limit)]


def test_an_array_whose_axes_were_moved_is_sampled_in_its_own_order() -> None:
    array = np.arange(12).reshape(3, 4).T
    assert sampled(array, 5).tolist() == array.ravel()[[0, 2, 4, 7, 9]].tolist()


@pytest.mark.parametrize(
    ("array", "fills"),
    [
        (np.array([1.0, -np.inf, np.inf, 1e30, -1e30, 9e29, np.nan]), [0, 1, 1, 1, 1, 0, 0]),
        (np.array([np.finfo(np.float32).min, 3e4], np.float32), [1, 0]),
        (np.array([np.finfo(np.float16).min, 3e4, 2e4], np.float16), [1, 1, 0]),
        (np.array([-3e38, 1.0], ml_dtypes.bfloat16), [1, 0]),
        (np.array([2**62]), [0]),
        (np.array([True]), [0]),
    ],
)
def test_fills_are_infinities_and_what_masks_hold(array: np.ndarray, fills: list[int]) -> None:
    assert is_fill(array).tolist() == [bool(fill) for fill in fills]


def test_fills_of_float16_are_known_after_storing() -> None:
    assert is_fill(np.array([-65504.0]), "float16").all()
    assert not is_fill(np.array([-65504.0]), "float32").any()


@settings(deadline=None)
@given(st.lists(st.floats(-1e20, 1e20), max_size=40))
def test_norms_are_those_of_numpy(values: list[float]) -> None:
    norm, largest = norm_and_largest(np.array(values, np.float64))
    assert norm == pytest.approx(float(np.linalg.norm(values)), rel=1e-12)
    assert largest == max(map(abs, values), default=0.0)


def test_norms_leave_out_fills_and_nan() -> None:
    array = np.array([3.0, 4.0, np.nan, np.inf, -np.finfo(np.float64).max])
    assert norm_and_largest(array) == (5.0, 4.0)


def test_norms_of_large_arrays_are_summed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_CHUNK", 7)
    array = np.random.RandomState(0).randn(10, 10).astype(np.float32)
    norm, largest = norm_and_largest(array)
    assert norm == pytest.approx(float(np.linalg.norm(array.astype(np.float64))), rel=1e-14)
    assert largest == float(np.abs(array).max())


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([0.5, np.nan, np.inf]), "float32"),
        (np.array([0.1]), "float64"),
        (np.array([1e300]), "float64"),
        (np.array([1e-320]), "float64"),
        (np.array([0.1], ml_dtypes.bfloat16), "float32"),
        (np.array([0.1], np.float16), "float16"),
        (np.array([3]), "int64"),
        (np.array([True]), "bool"),
    ],
)
def test_arrays_are_stored_without_loss(array: np.ndarray, dtype: str) -> None:
    found = stored(array)
    assert found.dtype.name == dtype
    assert np.array_equal(found.astype(np.float64), array.astype(np.float64), equal_nan=True)


def test_a_reference_says_what_the_whole_array_is() -> None:
    store = Store()
    array = np.arange(12.0).reshape(3, 4) / 3
    assert store.reference("forward", array, 5, noise=np.float64(0.25)) == {
        "file": "forward", "key": "0", "shape": [3, 4], "dtype": "float64", "norm": float(np.linalg.norm(array)),
        "largest": 11 / 3, "sampled": True, "noise": 0.25,
    }  # fmt: skip
    assert store.files["forward"]["0"].tolist() == array.ravel()[[0, 2, 4, 7, 9]].tolist()
    scalar = store.reference("forward", np.float32(2))
    assert (scalar["shape"], scalar["sampled"], "noise" in scalar) == ([], False, False)
    assert store.reference("forward", np.zeros((0, 3)))["norm"] == 0


def test_equal_arrays_are_stored_once() -> None:
    store = Store()
    first, again, other, turned, elsewhere = (
        store.reference(file, array)["key"]
        for file, array in (
            ("steps", np.ones(4)), ("steps", np.ones(4, np.float32)), ("steps", np.full(4, 2.0)),
            ("steps", np.ones((2, 2))), ("masks", np.ones(4)),
        )
    )  # fmt: skip
    assert (first, again, other, turned, elsewhere) == ("0", "0", "1", "2", "0")
    assert {name: len(found) for name, found in store.files.items()} == {"steps": 3, "masks": 1}


def test_a_stored_array_is_a_copy() -> None:
    store, array = Store(), np.ones(3, np.float32)
    store.put("start", "a", array)
    store.reference("steps", array)
    array[:] = 5
    assert store.files["start"]["a"].tolist() == store.files["steps"]["0"].tolist() == [1, 1, 1]


def written(folder: Path, value: float = 1.0) -> str:
    store = Store()
    store.put("start", "a", np.full(3, value))
    return store.write(folder, {"side": "torch", "loss": float("nan")})


def test_a_record_has_checksums_and_only_files_with_arrays(tmp_path: Path) -> None:
    digest = written(tmp_path / "record")
    assert {path.name for path in (tmp_path / "record").iterdir()} == {"record.json", "start.safetensors"}
    content = json.loads((tmp_path / "record" / "record.json").read_text(encoding="utf-8"))
    assert content["format"] == 1
    assert content["files"] == {"start.safetensors": checksum(tmp_path / "record" / "start.safetensors")}
    assert digest == checksum(tmp_path / "record" / "record.json")
    assert safetensors.numpy.load_file(tmp_path / "record" / "start.safetensors")["a"].tolist() == [1, 1, 1]


def test_an_earlier_record_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    store = Store()
    store.put("fresh", "old", np.ones(1))
    store.write(tmp_path, {})
    written(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"record.json", "start.safetensors", "notes.txt"}


def test_a_failed_write_leaves_the_earlier_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(path: Path) -> None:
        if path.name.startswith(".record.json"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays, "_flush", full)
    with pytest.raises(UserError, match=r"cannot write the record .*: No space left on device; free some space"):
        written(tmp_path, 2.0)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_record_cannot_be_written_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the record .*file"):
        written(tmp_path / "file")


def test_references_are_found_wherever_they_are() -> None:
    store = Store()
    one, two = store.reference("steps", np.ones(1)), store.reference("steps", np.ones(2))
    assert list(arrays.references({"a": [one, None, {"b": {"c": two}}], "text": "x"})) == [one, two]


def test_repeated_axes_are_those_whose_entries_are_all_the_same() -> None:
    mask = np.random.default_rng(0).random((1, 16, 8)) < 0.5
    assert arrays.repeated_axes(np.repeat(mask, 3, axis=0)) == [0]
    assert arrays.repeated_axes(np.repeat(mask, 1, axis=0)) == []  # one entry tells nothing
    assert arrays.repeated_axes(np.repeat(mask[0][:, None], 8, axis=1)) == [1]
    assert arrays.repeated_axes(np.ones((2, 3), bool)) == []  # too small to tell
