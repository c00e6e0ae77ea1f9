from typing import Any

import numpy as np
import pytest

from tests.unit.jax_impl.parity.synthetic import Pair, Raw


def calls(raw: Raw, module: str, role: str = "forced", mode: str = "train") -> dict[str, Any]:
    return next(call for call in raw["forward"][mode][role] if call["module"] == module)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ({"eps": 1e-3}, ("body.bn (forward, training mode): input and weights agree, output differs: measured ",)),
        (
            {"between": 1.6},
            ("body (forward, training mode): what it hands to bn differs (after fc): ", "1.067 × theirs"),
        ),
        ({"slope": 0.01}, ("body (forward, training mode): what it hands to drop differs (after bn and relu): ",)),
        (
            {"evaluates_in_training_mode": True},
            ("body.bn (forward, evaluation mode): input and weights agree, output differs: ",),
        ),
    ],
)
def test_the_first_divergence_names_the_module(pair: Pair, program: dict[str, Any], words: tuple[str, ...]) -> None:
    failures = [check for rung in pair.verdict(**program).rungs[5:] for check in rung.failures]
    assert all(word in str(failures[0]) for word in words), str(failures[0])


def test_errors_that_add_up_are_called_inherited(pair: Pair) -> None:
    rung = pair.verdict(eps=1e-3).rungs[5]
    own, *others = [str(check) for check in rung.failures]
    assert "body.bn (forward, training mode): input and weights agree" in own
    assert all("differs, inherited" in text for text in others)
    assert [text.partition(" ")[0] for text in others] == ["body.bn", "body.drop", "body", "head", "Net"]


def add(raw: Raw, module: str, role: str, array: str, mode: str = "train") -> None:
    call = calls(raw, module, role, mode)
    call[array] = [one + 1e-9 for one in call[array]]


def test_modules_that_agree_alone_and_not_in_a_row(pair: Pair) -> None:
    line = pair.verdict(lambda raw: add(raw, "head", "free", "outputs")).first_line
    assert line.startswith(
        "first divergence: head (forward, training mode): each module alone agrees, in a row they differ from here on"
    )


def test_a_module_with_others_in_it(pair: Pair) -> None:
    line = pair.verdict(lambda raw: add(raw, "body", "forced", "outputs")).first_line
    assert "body (forward, training mode): the modules in it agree, its output differs" in line


def test_what_the_loss_hands_to_the_model(pair: Pair) -> None:
    line = pair.verdict(lambda raw: add(raw, "", "forced", "inputs")).first_line
    assert line.startswith("first divergence: Net (root) (forward, training mode): what the loss hands to the model")


def test_without_a_forced_pass_the_free_one_decides(pair: Pair) -> None:
    """As for plain functions, whose arrays are observed and not replaced."""

    def free(raw: Raw) -> None:
        for one in raw["forward"].values():
            one["forced"] = []

    assert pair.verdict(free).passed
    line = pair.verdict(free, between=1.6).first_line
    assert "body (forward, training mode): what it hands to bn differs (after fc)" in line
    failures = pair.verdict(free, eps=1e-3).rungs[5].failures
    assert "body.bn (forward, training mode): input and weights agree, output differs" in str(failures[0])
    assert all("inherited" in str(check) for check in failures[1:])


def remove(raw: Raw, module: str) -> None:
    for one in raw["forward"].values():
        for role in ("free", "forced"):
            one[role] = [call for call in one[role] if call["module"] != module]


def test_a_module_that_is_not_called_fails(pair: Pair) -> None:
    line = pair.verdict(lambda raw: remove(raw, "body.bn")).first_line
    assert line == "first divergence: body.bn (forward, training mode): the port does not call it: ours: body.bn"


def test_a_module_without_counterpart_is_judged_by_the_one_around_it(pair: Pair) -> None:
    def inline(raw: Raw) -> None:
        remove(raw, "body.bn")
        raw["mapping"]["uncalled"] = ["body.bn"]

    verdict = pair.verdict(inline)
    assert verdict.passed
    assert (
        "no counterpart in the port, so judged by the module around them: body.bn, body.relu" in verdict.rungs[5].notes
    )


def test_a_program_without_modules_is_judged_by_its_loss(pair: Pair) -> None:
    def functions(raw: Raw) -> None:
        for one in raw["forward"].values():
            one["free"] = one["forced"] = []
        raw["mapping"]["uncalled"] = ["", "body", "body.fc", "body.bn", "body.drop", "head"]

    verdict = pair.verdict(functions)
    assert verdict.passed
    assert verdict.rungs[5].state == "NOT COMPARED"
    assert verdict.rungs[5].reason.startswith("the port's program has no modules, so loss and gradients judge it")
    assert pair.verdict(functions, between=1.4).first_line.startswith(
        "first divergence: the value (loss, training mode)"
    )


def test_the_model_itself_must_be_called(pair: Pair) -> None:
    line = pair.verdict(lambda raw: remove(raw, "")).first_line
    assert line == "first divergence: Net (root) (forward, training mode): the port does not call it: ours: the model"


def test_a_module_that_is_called_twice_fails(pair: Pair) -> None:
    def twice(raw: Raw) -> None:
        raw["forward"]["eval"]["free"].append(calls(raw, "head", "free", "eval") | {"call": 1, "order": 9})

    line = pair.verdict(twice).first_line
    assert line == "first divergence: head (forward, evaluation mode): the port calls it more often: theirs 1, ours 2"


@pytest.mark.parametrize("outputs", [[None], []])
def test_an_output_of_another_shape_is_a_doubt(pair: Pair, outputs: list[Any]) -> None:
    """Harmless if it is broadcast later; the cause if what follows differs."""

    def edit(raw: Raw) -> None:
        for role in ("forced", "free"):
            calls(raw, "body.bn", role).update(outputs=outputs)

    verdict = pair.verdict(edit)
    assert verdict.passed
    assert "body.bn: its output has another shape, and what follows agrees" in verdict.rungs[5].notes

    def both(raw: Raw) -> None:
        edit(raw)
        add(raw, "head", "free", "outputs")

    assert pair.verdict(both).first_line == (
        "first divergence: body.bn (forward, training mode): its output has another shape: theirs: (16, 8)"
    )


def test_an_output_of_a_wrong_shape_fails(pair: Pair) -> None:
    line = pair.verdict(lambda raw: calls(raw, "body.bn").update(outputs=[np.zeros((16, 9))])).first_line
    assert "output differs: shape (16, 9) instead of (16, 8)" in line


def test_inputs_that_the_port_does_not_have_are_noted(pair: Pair) -> None:
    verdict = pair.verdict(lambda raw: calls(raw, "body.bn").update(inputs=[None]))
    assert verdict.passed
    assert "body.bn: its inputs are not those of the port's module" in verdict.rungs[5].notes


def test_weights_that_differ_are_not_said_to_agree(pair: Pair) -> None:
    def edit(raw: Raw) -> None:
        raw["start"]["head.weight"] = raw["start"]["head.weight"] * 2
        add(raw, "head", "forced", "outputs")

    failures = pair.verdict(edit).rungs[5].failures
    assert "head (forward, training mode): input agrees, its weights do not, output differs" in str(failures[0])


def test_a_computation_in_float32_is_allowed_what_float32_rounds(pair: Pair) -> None:
    verdict = pair.verdict(float32=("body.fc",))
    assert verdict.passed, verdict.first_line
    own = next(check for check in verdict.rungs[5].checks if check.place == "body.fc" and check.what == "output")
    assert own.reason.endswith("the port computes in float32 inside: the difference is the size of float32 rounding")
    assert 1e-9 < (own.measured or 0) < 1e-6
    loose = {check.place for check in verdict.rungs[5].checks if "float32" in check.reason and "free" in check.what}
    assert loose == {"body.fc", "body.bn", "body.drop", "body", "head", "Net (root)"}
    other = next(check for check in verdict.rungs[5].checks if check.place == "head" and check.what == "output")
    assert "float32" not in other.reason  # it received the reference's inputs


def test_the_same_error_without_a_flag_fails(pair: Pair) -> None:
    def unflagged(raw: Raw) -> None:
        for one in raw["forward"].values():
            for role in ("free", "forced"):
                for call in one[role]:
                    call["float32"] = False

    line = pair.verdict(unflagged, float32=("body.fc",)).first_line
    assert "body.fc (forward, training mode): input and weights agree, output differs" in line
    assert "as small as float32 rounding" in line


def test_mistakes_beside_a_computation_in_float32_fail(pair: Pair) -> None:
    line = pair.verdict(float32=("body.fc",), between=1.501).first_line
    assert "body (forward, training mode): what it hands to bn differs (after fc)" in line
