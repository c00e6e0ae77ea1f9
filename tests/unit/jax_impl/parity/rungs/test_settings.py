from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.jax_impl.parity.synthetic import Pair, Raw


def module(raw: Raw, path: str) -> dict[str, Any]:
    return next(one for one in raw["modules"] if one["path"] == path)


def setting(path: str, **values: Any) -> Callable[[Raw], None]:
    return lambda raw: module(raw, path)["settings"].update(values)


def test_conventions_of_both_libraries_agree(pair: Pair) -> None:
    rung = pair.verdict().rungs[0]
    assert rung.state == "PASS"
    assert {check.what for check in rung.checks} == {"epsilon", "momentum", "dropout rate", "precision", "steps"}


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (setting("body.drop", rate=0.2), "body.drop (settings): dropout rate differs: theirs p=0.5, ours rate=0.2"),
        (
            setting("head", use_bias=False),
            "head (settings): bias differs: theirs has a bias, ours use_bias=False",
        ),
        (
            lambda raw: raw["own_masks"]["forward"][0].update(rate=0.1),
            "body.drop (settings): dropout rate differs: theirs drops 0.5, ours 0.1",
        ),
        (
            lambda raw: raw["own_masks"].update(forward=[]),
            "body.drop (settings): the port draws no dropout mask: theirs draws 1",
        ),
        (
            lambda raw: raw["own_masks"]["forward"].append({"rate": 0.25, "shape": [3], "digest": "x"}),
            "body.drop (settings): dropout rates differ: theirs draws 1 at rate 0.5, ours 2 at rate 0.25 and 0.5",
        ),
        (
            lambda raw: raw["own_masks"]["forward"][0].update(shape=[1, 1]),
            "body.drop (settings): the dropout mask has another size: theirs (16, 8), ours (1, 1)",
        ),
        (
            lambda raw: raw["own_masks"]["forward"][0].update(repeated=[0]),
            "body.drop (settings): the port uses one dropout mask for all of axis 0 of (16, 8): "
            "theirs differs from entry to entry",
        ),
        (
            lambda raw: raw["own_masks"]["forward"].append(dict(raw["own_masks"]["forward"][0])),
            "body.drop (settings): another number of dropout masks: theirs draws 1 at rate 0.5, ours 2 at rate 0.5",
        ),
        (
            lambda raw: raw["precision"].update(recorded="float32"),
            "the records (settings): precision differs: theirs float64, ours float32",
        ),
        (lambda raw: raw["trajectory"].pop(), "the records (settings): steps differ: theirs 3, ours 2"),
    ],
)
def test_a_setting_that_differs_is_the_first_divergence(pair: Pair, edit: Callable[[Raw], None], line: str) -> None:
    assert pair.verdict(edit).first_line == f"first divergence: {line}"


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ({"eps": 1e-6}, "body.bn (settings): epsilon differs: theirs eps=1e-05, ours epsilon=1e-06"),
        (
            {"momentum": 0.9},
            "body.bn (settings): momentum differs: theirs momentum=0.1, ours momentum=0.1, "
            "which is 0.9 in torch's meaning",
        ),
    ],
)
def test_a_setting_that_the_numbers_show_too(pair: Pair, program: dict[str, Any], line: str) -> None:
    assert pair.verdict(**program).first_line == f"first divergence: {line}"


@pytest.mark.parametrize("values", [{"epsilon": 1e-6}, {"momentum": 0.1}])
def test_a_setting_that_the_numbers_refute_is_a_note(pair: Pair, values: dict[str, Any]) -> None:
    """As in a module of one's own that has torch's meaning of momentum."""
    verdict = pair.verdict(setting("body.bn", **values))
    assert verdict.passed
    assert "is written differently, and the numbers agree" in verdict.rungs[0].notes[-1]


def test_numbers_in_float32_refute_nothing(pair: Pair) -> None:
    verdict = pair.verdict(setting("body.bn", epsilon=1.01e-5), float32=("body.bn",))
    assert verdict.first_line.startswith("first divergence: body.bn (settings): epsilon differs")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"negative_slope": 0.01}, {"negative_slope": 0.2}),
        ({"groups": 2}, {"feature_group_count": 1}),
        ({"attention_dropout": 0.1}, {"dropout_rate": 0.0}),
    ],
)
def test_settings_have_several_names(
    changed: Callable[..., Pair], theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    pair = changed(setting("head", **theirs))
    assert len(pair.verdict(setting("head", **ours)).rungs[0].failures) == 1
    same = dict(zip(ours, theirs.values(), strict=True))
    assert pair.verdict(setting("head", **same)).passed


@pytest.mark.parametrize(
    ("theirs", "ours"), [({"eps": None}, {"epsilon": 1e-6}), ({"momentum": None}, {"momentum": 0.9}), ({"p": True}, {})]
)
def test_settings_without_a_number_are_not_compared(
    changed: Callable[..., Pair], theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    assert changed(setting("head", **theirs)).verdict(setting("head", **ours)).passed


def test_rates_in_float32_are_equal(pair: Pair) -> None:
    assert pair.verdict(lambda raw: raw["own_masks"]["forward"][0].update(rate=0.50000003)).passed
    assert pair.verdict(lambda raw: raw["own_masks"]["forward"][0].update(rate=None)).passed


def test_versions_and_settings_in_words_are_notes(changed: Callable[..., Pair]) -> None:
    pair = changed(setting("head", padding=[1, 1], stride=[2, 2]))
    verdict = pair.verdict(setting("head", padding="SAME", strides=2))
    assert verdict.passed
    notes = verdict.rungs[0].notes
    assert "head: padding is [1, 1] in theirs and SAME in ours: the forward rungs decide" in notes
    assert not any("stride" in note for note in notes)  # [2, 2] and 2 mean the same
    assert "theirs: torch 2.14.1; device cpu, threads 2" in notes
