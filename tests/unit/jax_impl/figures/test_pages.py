"""Links between reports lead only to files that exist."""

import os
from pathlib import Path

import pytest

from jax_impl.figures.pages import REPORTS, other_reports


def make(reports: Path, *names: str) -> None:
    for name in names:
        (reports / name).mkdir(parents=True, exist_ok=True)
        (reports / name / REPORTS[name][0]).touch()


@pytest.mark.parametrize("own", REPORTS)
def test_the_others_are_linked_where_they_exist(tmp_path: Path, own: str) -> None:
    assert other_reports(tmp_path / own, own) == {}  # nor does the folder itself exist yet
    make(tmp_path, "study", "bench")
    assert set(other_reports(tmp_path / own, own).values()) == {
        REPORTS[name][1] for name in ("study", "bench") if name != own
    }
    make(tmp_path, *REPORTS)
    links = other_reports(tmp_path / own, own)
    assert len(links) == len(REPORTS) - 1
    for address in links:
        assert (tmp_path / own / address).is_file()
        assert own not in address


def test_a_folder_without_the_page_is_not_linked(tmp_path: Path) -> None:
    (tmp_path / "parity" / "index.html").mkdir(parents=True)
    (tmp_path / "power").mkdir()
    assert other_reports(tmp_path / "study", "study") == {}


def test_addresses_are_those_of_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report may be written into the working folder, or through a symbolic link."""
    make(tmp_path / "there", "parity")
    (tmp_path / "there" / "study").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "study").symlink_to(tmp_path / "there" / "study")
    assert other_reports(tmp_path / "here" / "study", "study") == {}
    monkeypatch.chdir(tmp_path / "there" / "study")
    for folder in (Path(), Path(os.curdir), Path("../study"), Path("../parity/../study")):
        assert other_reports(folder, "study") == {"../parity/index.html": "Parity ladder"}
