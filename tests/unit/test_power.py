"""`make power`: what its report counts, and how it judges chance. The trials themselves are run by the command."""

from html.parser import HTMLParser

import pytest

from tests.power import chance, report
from tests.power.__main__ import by_size
from tests.power.report import Results, Share
from tests.power.sizes import SIZES
from tests.power.trials import Outcome, Timed


def mistake(name: str, **changes: object) -> Outcome:
    values = {
        "rung": 6,
        "line": "first divergence: a | b",
        "margin": 1e3,
        "named": True,
        "causes": ["c"],
        "right": True,
    }
    return Outcome(model="cnn", name=name, **(values | changes))  # type: ignore[arg-type]


GOOD = Results(
    mistakes=[mistake("one", seconds=1.25), mistake("unlisted", right=None, causes=[])],
    changes=[Outcome(model="cnn", name="harmless")],
    cheats={"zeros": "first divergence: the value"},
    sizes={SIZES[0]: 1e-9, SIZES[1]: None},
    chances=chance.compared({0.0: [False] * 8, 0.1: [True] * 8}),
)


def test_good_results_reach_all_targets() -> None:
    assert GOOD.good
    assert (GOOD.explained, GOOD.precise) == (Share(1, 1), Share(1, 1))  # what is not in the list does not count
    assert GOOD.slowest == 1.25


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({"mistakes": [mistake("not seen", rung=None)]}, "planted mistakes that the ladder sees"),
        ({"mistakes": [mistake("misnamed", named=False)]}, "of them, the right module is named"),
        ({"mistakes": [mistake("not explained", right=False, causes=[])]}, "recall: the right cause is confirmed"),
        ({"mistakes": [mistake("wrong", wrong=["d"])]}, "precision: no confirmed cause is wrong"),
        ({"changes": [mistake("alarm")]}, "harmless changes that pass without any cause"),
        ({"changes": [Outcome(model="cnn", name="broken", error="KeyError: x")]}, "harmless changes that pass"),
        ({"cheats": {"zeros": "PASS: 12 of 14 rungs agree"}}, "cheats that are caught"),
    ],
)
def test_each_target_can_be_missed(change: dict[str, object], target: str) -> None:
    results = Results(**change)  # type: ignore[arg-type]
    missed = [name for name, (share, least) in results.targets.items() if share.value < least]
    assert any(name.startswith(target) for name in missed), missed
    assert not results.good


def test_a_share_has_wilson_s_interval() -> None:
    assert str(Share(8, 10)) == "8 of 10 (80.0%, 95 % interval 49.0% to 94.3%)"


def test_fisher_s_exact_test_tells_chance() -> None:
    nothing, some, all_ = chance.compared({0.0: [False] * 8, 0.05: [True] + [False] * 7, 0.1: [True] * 8})
    assert (nothing.seen, nothing.p) == (0, 1.0)
    assert some.p == pytest.approx(0.5)
    assert all_.p == pytest.approx(1 / 12870)  # one of the ways to choose 8 of 16
    assert by_size([(0.0, 0), (0.1, 0), (0.1, 1)], [False, True, False]) == {0.0: [False], 0.1: [True, False]}


def test_text_and_page_tell_everything() -> None:
    alarm = Results(**(vars(GOOD) | {"changes": [mistake("alarm")]}))
    for results, quiet in ((GOOD, "All 1 harmless changes pass"), (alarm, "Of 1 harmless changes, 1 are false alarms")):
        text, page = report.text(results), report.page(results, {})
        HTMLParser().feed(page)
        for shown in (
            quiet,
            "1e3×",
            "8 of 8 draws",
            "p = 7.8e-05",
            "1.2 s of processor time",
            "not explained",
            "zeros",
        ):
            assert shown in text, shown
            assert shown in page, shown
        assert "| cnn | one | own | 6 |" in text
        assert "a \\| b" in text


def test_only_the_timed_function_counts() -> None:
    timed = Timed(lambda count: sum(range(count)))
    assert timed(10) == 45
    assert timed.seconds >= 0.0
    before = timed.seconds
    timed(2_000_000)
    assert timed.seconds > before
