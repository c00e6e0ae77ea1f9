import shlex

import pytest

from jax_impl.commands.options.command_line import command_line
from jax_impl.commands.options.parser import parse


@pytest.mark.parametrize(
    "given",
    [
        "study",
        "study --depths 2,6 --width 32 --epochs 0 --seeds 2 --out 'a folder/x'",
        "study --preset he-2015 --seeds 1",
        "study --learning-rate 0.001 --distributed --coordinator host:1 --processes 2 --process-id 0",
    ],
)
def test_the_command_line_gives_the_same_options_again(given: str) -> None:
    parsed = parse(shlex.split(given))
    line = command_line("study", parsed)
    assert line.startswith("python -m jax_impl study")
    assert parse(shlex.split(line)[3:]) == parsed
    assert {word for word in line.split() if word.startswith("--")} <= set(given.split())


def test_what_limits_a_single_call_is_left_out() -> None:
    parsed = parse(["study", "--max-seconds", "5", "--debug", "--width", "8"])
    assert command_line("study", parsed) == "python -m jax_impl study --width 8"
