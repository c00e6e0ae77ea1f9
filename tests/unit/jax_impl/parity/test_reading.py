import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jax_impl.errors import UserError
from jax_impl.parity.arrays import FILES, checksum
from jax_impl.parity.ladder import compare_records
from jax_impl.parity.records.content import arrays_of
from jax_impl.parity.records.decoding import MalformedError
from jax_impl.parity.records.reading import read, read_pair
from tests.unit.jax_impl.parity.synthetic import Pair

Content = dict[str, Any]


@pytest.fixture(scope="module")
def good(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two records that belong together."""
    root = tmp_path_factory.mktemp("good")
    shutil.copytree(pair.theirs, root / "theirs")
    shutil.copytree(pair.ours(), root / "ours")
    return root


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    return tmp_path


def edit(folder: Path, change: Callable[[Content], object]) -> None:
    path = folder / "record.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_record_is_read_with_its_arrays(good: Path) -> None:
    record = read(good / "theirs")
    assert record.content.side == "torch"
    assert record.digest == checksum(good / "theirs" / "record.json")
    weight = record.start("head.weight")
    assert weight is not None
    assert weight.shape == (3, 8)
    assert record.start("absent") is None
    first = record.content.gradients or {}
    assert first["head.bias"] is not None
    assert record.array(first["head.bias"]).shape == (3,)


def test_newer_programs_may_add_keys(copy: Path) -> None:
    edit(copy / "ours", lambda content: content.update(weather="fine"))
    assert read(copy / "ours").content.side == "jax"


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def not_safetensors(folder: Path) -> None:
    (folder / "masks.safetensors").write_text("no tensors")
    edit(folder, lambda content: content["files"].update({"masks.safetensors": checksum(folder / "masks.safetensors")}))


def bfloat16(folder: Path) -> None:
    """Another program's file, with a dtype that NumPy does not have."""
    header = json.dumps({"0": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    (folder / "masks.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    edit(folder, lambda content: content["files"].update({"masks.safetensors": checksum(folder / "masks.safetensors")}))


def in_json(change: Callable[[Content], object]) -> Callable[[Path], None]:
    return lambda folder: edit(folder, change)


REMEDY = "copy the whole folder again, or record again"
CHANGED = "its SHA-256 does not match"
DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: flipped(folder / "steps.safetensors"), f"steps.safetensors is damaged, {CHANGED}: {REMEDY}"),
    (lambda folder: cut(folder / "forward.safetensors"), "forward.safetensors is damaged, its SHA-256 does not match"),
    (lambda folder: (folder / "start.safetensors").unlink(), f"start.safetensors is missing: {REMEDY}"),
    (not_safetensors, "masks.safetensors is not a safetensors file"),
    (bfloat16, "record.json is damaged, masks "),
    (lambda folder: cut(folder / "record.json"), f"record.json is damaged, it is not JSON: {REMEDY}"),
    (lambda folder: (folder / "record.json").write_bytes(b"\xff\xfe"), "record.json is damaged, it is not JSON"),
    (lambda folder: (folder / "record.json").write_text("[" * 10**5), "record.json is damaged"),
    (lambda folder: (folder / "record.json").unlink(), "holds no record (record.json: No such file or directory)"),
    (lambda folder: (folder / "record.json").write_text("{}"), "record.json is not that of a record"),
    (lambda folder: (folder / "record.json").write_text("[1]"), "record.json is not that of a record"),
    (in_json(lambda c: c.update(format=2)), "has format 2 and this program reads format 1: record again, or use"),
    (in_json(lambda c: c.pop("modules")), "record.json is damaged, modules is missing"),
    (in_json(lambda c: c["trajectory"][1].update(loss="low")), "trajectory[1].loss must be a number, got 'low'"),
    (in_json(lambda c: c["trajectory"][1].update(loss=True)), "trajectory[1].loss must be a number, got True"),
    (in_json(lambda c: c["leaves"][0].update(shape=3)), "leaves[0].shape must be a list, got 3"),
    (in_json(lambda c: c.update(gradients=[])), "gradients must be a mapping, got []"),
    (in_json(lambda c: c["files"].update({"../x.safetensors": "0"})), "it names a file '../x.safetensors'"),
    (in_json(lambda c: c["files"].pop("masks.safetensors")), "it refers to 'masks', which is not among its files"),
    (in_json(lambda c: c["gradients"]["head.bias"].update(key="900")), "steps.safetensors has no array '900'"),
    (in_json(lambda c: c["gradients"]["head.bias"].update(shape=[4])), "has shape (3,), not (4,)"),
    (in_json(lambda c: c["gradients"]["head.bias"].update(shape=[-1])), "has shape (3,), not (-1,)"),
    (in_json(lambda c: c["gradients"]["head.bias"].update(norm=-1.0)), "has the norm -1.0"),
    (in_json(lambda c: c["gradients"]["head.bias"].update(sampled=True, shape=[2])), "has shape (3,), not (2,)"),
    (in_json(lambda c: c["modules"][2].update(path="")), "modules[2].path '' is there twice"),
    (in_json(lambda c: c["leaves"][1].update(name="body.fc.weight")), "leaves[1].name 'body.fc.weight' is there twice"),
    (in_json(lambda c: c["leaves"][0].update(module="far")), "leaves[0].module names 'far', which does not exist"),
    (in_json(lambda c: c["leaves"][0].update(tied="far")), "leaves[0].tied names 'far', which does not exist"),
    (in_json(lambda c: c["forward"]["eval"]["free"][0].update(module="far")), "forward.eval.free[0].module names"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_a_damaged_record_gets_one_line(copy: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(copy / "theirs")
    with pytest.raises(UserError) as error:
        read(copy / "theirs")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


JOINTS: list[tuple[Callable[[Content], object], str]] = [
    (lambda c: c["mapping"]["modules"][1].update(theirs="far"), "mapping.modules[1].theirs names 'far', which does"),
    (lambda c: c["mapping"]["modules"][1].update(ours="far"), "mapping.modules[1].ours names 'far', which does not"),
    (lambda c: c["forward"]["train"]["forced"][1].update(module="far"), "forward.train.forced[1].module names 'far'"),
]


@pytest.mark.parametrize(("change", "message"), JOINTS)
def test_a_port_that_names_what_the_reference_lacks(
    copy: Path, change: Callable[[Content], object], message: str
) -> None:
    edit(copy / "ours", change)
    with pytest.raises(UserError) as error:
        compare_records(copy / "theirs", copy / "ours")
    assert f"ours/record.json is damaged, {message}" in str(error.value)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent is not a folder: name the folder that `save` wrote"):
        read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("ours", "theirs", "the records are swapped: name the reference first, prove .*theirs .*ours"),
        ("ours", "ours", "ours is the record of a port: name the reference's record first"),
        ("theirs", "theirs", "theirs is the record of a reference: record the port with start='.*theirs'"),
    ],
)
def test_records_in_the_wrong_places(good: Path, first: str, second: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_pair(good / first, good / second)


def test_records_of_different_runs_do_not_belong_together(copy: Path) -> None:
    edit(copy / "theirs", lambda content: content.update(notes=["recorded again"]))
    message = r"ours did not start from .*theirs \(Net\): one is another model's, or theirs was recorded again; record"
    with pytest.raises(UserError, match=message):
        compare_records(copy / "theirs", copy / "ours")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in JSON."""
    found = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found += places(child, (*path, key))
    return found


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.text(max_size=5), st.just([]),
    st.just({}), st.just([{}]), st.just({"a": 1}), st.just("head.weight"), st.just(10**400),
)  # fmt: skip


QUIET = [HealthCheck.function_scoped_fixture]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=QUIET)
@given(data=st.data())
def test_no_damage_to_record_json_leads_to_a_traceback(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    compare_damaged(good, tmp_path, data)


@pytest.mark.slow
@settings(max_examples=600, deadline=None, suppress_health_check=QUIET)
@given(data=st.data())
def test_nor_do_many_others(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    compare_damaged(good, tmp_path, data)


def compare_damaged(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    """A value is changed or removed: the comparison gives a verdict, or one line."""
    side = data.draw(st.sampled_from(["ours", "theirs"]))
    folder = tmp_path / side
    shutil.copytree(good / side, folder, dirs_exist_ok=True)
    content = json.loads((good / side / "record.json").read_text(encoding="utf-8"))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(content)))
        holder = content
        for key in place[:-1]:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder.pop(place[-1])
        else:
            holder[place[-1]] = data.draw(ODD)
    (folder / "record.json").write_text(json.dumps(content), encoding="utf-8")
    other = good / ("theirs" if side == "ours" else "ours")
    if side == "theirs":  # the port must belong to the changed reference
        other = tmp_path / "port"
        shutil.copytree(good / "ours", other, dirs_exist_ok=True)
        edit(other, lambda port: port.update(start_of=checksum(folder / "record.json")))
    pair = (other, folder) if side == "ours" else (folder, other)
    try:
        verdict = compare_records(*pair)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert verdict.first_line


@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(name=st.sampled_from([f"{name}.safetensors" for name in FILES]), place=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_file_is_noticed(good: Path, tmp_path: Path, name: str, place: float, bit: int) -> None:
    folder = tmp_path / "theirs"
    shutil.copytree(good / "theirs", folder, dirs_exist_ok=True)
    content = bytearray((folder / name).read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= 1 << bit
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(UserError, match="its SHA-256 does not match"):
        read(folder)


def test_batches_keep_their_structure() -> None:
    leaf = {"value": 1}
    found = list(arrays_of({"dict": {"b": {"list": [leaf, leaf]}, "a": {"tuple": [{"value": "x"}]}}}))
    assert found == [("['a'][0]", "x"), ("['b'][0]", 1), ("['b'][1]", 1)]
    with pytest.raises(MalformedError, match="has an unknown structure"):
        list(arrays_of({"set": []}))


def test_the_files_of_the_fixture_hold_what_is_said(good: Path) -> None:
    arrays = safetensors.numpy.load_file(good / "theirs" / "masks.safetensors")
    assert all(array.dtype == np.bool_ for array in arrays.values())
