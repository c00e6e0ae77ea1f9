"""Inputs that nobody would write: every reader answers with what it documents, and with nothing else.

`FAULTS_EXAMPLES=10000 python -m pytest --hypothesis-profile default tests/faults/test_inputs.py` is the long form.
"""

import json
import os
import random
import struct
import tempfile
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import torch_ref.cli
import torch_ref.commands
import torch_ref.recipes
import torch_ref.runs
from jax_impl import data, interop, recipes
from jax_impl.commands import rbm as rbm_command
from jax_impl.commands import study as study_command
from jax_impl.commands import train as train_command
from jax_impl.commands.options import parser
from jax_impl.commands.options import rbm as rbm_options
from jax_impl.commands.options import study as study_options
from jax_impl.commands.options import train as train_options
from jax_impl.commands.shared import cluster
from jax_impl.errors import ArgumentError, UserError
from jax_impl.storage import tensors as tensor_files
from jax_impl.study import budget
from jax_impl.trainer import estimate
from torch_ref.errors import ArgumentError as TorchArgumentError
from torch_ref.errors import UserError as TorchUserError

LAYERS = (6, 4, 3)
TENSORS: tensor_files.Tensors = {
    f"linear{number}.{name}": np.random.default_rng(number).normal(size=shape).astype(np.float32)
    for number, (fan_in, fan_out) in enumerate([(6, 4), (4, 3)], start=1)
    for name, shape in (("weight", (fan_out, fan_in)), ("bias", (fan_out,)))
}
SEALED, BARE = tensor_files.packed(TENSORS), safetensors.numpy.save(TENSORS)
IDX = {
    "labels": b"\0\0\x08\x01" + struct.pack(">I", 20) + bytes(range(20)),
    "images": b"\0\0\x08\x03" + struct.pack(">III", 5, 2, 2) + bytes(range(20)),
}
many = settings(
    max_examples=int(os.environ.get("FAULTS_EXAMPLES", "150")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def mutated(content: bytes) -> st.SearchStrategy[bytes]:
    """The content with a few bytes altered, inserted or removed, or cut; or anything else."""

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        found = bytearray(content)
        for _ in range(draw(st.integers(1, 4))):
            place = draw(st.integers(0, len(found)))
            how = draw(st.sampled_from(("alter", "insert", "remove", "cut")))
            if how == "cut":
                del found[place:]
            elif how == "remove":
                del found[place : place + draw(st.integers(1, 8))]
            else:
                new = draw(st.binary(min_size=1, max_size=8))
                found[place : place + (len(new) if how == "alter" else 0)] = new
        return bytes(found)

    return changed() | st.binary(max_size=200)


@many
@given(content=st.sampled_from(sorted(IDX)).flatmap(lambda name: mutated(IDX[name])))
def test_the_idx_reader_parses_or_says_why_not(content: bytes) -> None:
    try:
        values = data.parse_idx(content)
    except data.DataError:
        return
    assert values.size == len(content) - 4 - 4 * content[3]


def read(content: bytes) -> list[tensor_files.Tensors | None]:
    """What both packages read from a parameter file; None where they refuse it."""
    found: list[tensor_files.Tensors | None] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.safetensors"
        path.write_bytes(content)
        try:
            found.append(interop.to_torch(interop.load(path, LAYERS)))
        except UserError as error:
            assert "\n" not in str(error)
            found.append(None)
        try:
            found.append({name: tensor.numpy() for name, tensor in torch_ref.runs.load(path, LAYERS).items()})
        except TorchUserError as error:
            assert "\n" not in str(error)
            found.append(None)
    return found


@many
@given(content=mutated(SEALED))
def test_a_sealed_file_is_whole_or_refused(content: bytes) -> None:
    for tensors in read(content):
        if tensors is not None:
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            sealed = "sha256" in header.get("__metadata__", {})
            assert not sealed or all(np.array_equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_a_flipped_bit_is_noticed_wherever_it_is() -> None:
    """Of every byte of a sealed file; one in the seal's own name leaves the numbers as they are."""
    draw = random.Random(0)
    for place in range(len(SEALED)):
        content = bytearray(SEALED)
        content[place] ^= 1 << draw.randrange(8)
        for tensors in read(bytes(content)):
            assert tensors is None or all(np.array_equal(tensors[name], TENSORS[name]) for name in TENSORS), place
    bare = bytearray(BARE)
    bare[-1] ^= 64  # another writer's file proves nothing: the check above can fail
    assert not np.array_equal(read(bytes(bare))[0]["linear2.weight"], TENSORS["linear2.weight"])  # type: ignore[index]


@many
@given(content=mutated(BARE))
def test_the_importers_agree_on_what_they_refuse(content: bytes) -> None:
    ours, theirs = read(content)
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours)


FIELDS = {
    "init_passes": st.integers(),
    "learning_rate": st.floats(),
    "batch_size": st.integers(),
    "epochs": st.integers(),
    "seed": st.integers(),
    "activation": st.text(max_size=20),
    "optimizer": st.text(max_size=20),
    "dtype": st.text(max_size=20),
}


@many
@given(
    name=st.sampled_from(sorted(recipes.RECIPES)) | st.text(max_size=20),
    changes=st.fixed_dictionaries({}, optional=FIELDS),
)
def test_a_recipe_is_within_its_ranges_or_refused(name: str, changes: dict[str, Any]) -> None:
    for module, refusal in ((recipes, ArgumentError), (torch_ref.recipes, TorchArgumentError)):
        try:
            recipe = module.named(name).with_changes(**changes)
        except refusal as error:
            assert "\n" not in str(error) or "\n" in name or any("\n" in str(value) for value in changes.values())
            continue
        assert recipe.epochs >= 0
        assert recipe.batch_size >= 1
        assert 1e-30 <= recipe.learning_rate <= 1e30


WORDS = st.text(max_size=12) | st.sampled_from(
    [
        *("train", "evaluate", "study", "rbm", "dbn", "data", "mnist_nn", "--epochs", "--seed", "--init", "--resume"),
        *("--params", "--learning-rate", "--dtype", "float64", "--out", "x", "3", "-1", "1e9", "nan", "--help-me"),
        *("--checkpoint-every", "--depths", "1,2", "--hidden", "--", "-", "--preset", "all", "--debug", "--process-id"),
    ]
)


@many
@given(words=st.lists(WORDS, max_size=7))
def test_a_command_line_of_torch_ref_is_parsed_or_refused(words: list[str]) -> None:
    parsed_or_refused(torch_ref.cli.parse, TorchArgumentError, words)


@many
@given(words=st.lists(WORDS, max_size=7))
def test_a_command_line_of_jax_impl_is_parsed_or_refused(words: list[str]) -> None:
    parsed_or_refused(parser.parse, ArgumentError, words)


# Integers as they come, and where counters, indices and floating-point numbers end.
INTEGERS = st.integers() | st.sampled_from(
    [sign * (2**bits + more) for sign in (1, -1) for bits in (0, 7, 31, 32, 53, 63, 64) for more in (-1, 0, 1)]
    + [10**20, 10**400, -(10**400)]
)


def integer_options() -> list[tuple[str, str]]:
    """Every command of jax_impl, with each of its options that takes an integer or several."""
    found = []
    for name, options in parser.COMMANDS.items():
        hints = typing.get_type_hints(options)
        found += [(name, field) for field, kind in hints.items() if int in (kind, *typing.get_args(kind))]
    return [*found, ("dbn", "hidden"), ("study", "depths")]


def checked(words: list[str]) -> object:
    """What `main.run` does with a command line before it trains: every check of numbers and of memory."""
    command = parser.parse(words)
    match command:
        case train_options.Train():
            cluster.check(command)
            train_command._check_size(command, train_options.recipe_of(command))
        case study_options.Study():
            study_options.check(command)
            cluster.check(command)
            _, cells = study_command.plan(command)
            for cell in cells[:1]:
                budget.plan([cell], 60_000, speed=estimate.Speed(1e-11, 1e-5), max_hours=1e300)
        case rbm_options.TrainRbm() | rbm_options.TrainDbn():
            sizes, of_machines = rbm_options.sizes(command), rbm_options.settings(command)
            rbm_command._check_size(command, sizes, of_machines)
    return command


def test_all_integer_options_are_found() -> None:
    found = integer_options()
    assert {("train", "epochs"), ("study", "seeds"), ("rbm", "k"), ("dbn", "batch_size")} <= set(found)
    assert len(found) == len(set(found)) == 27


@many
@given(option=st.sampled_from(integer_options()), number=INTEGERS)
def test_an_integer_is_accepted_or_refused_in_one_line(option: tuple[str, str], number: int) -> None:
    command, name = option
    more = ["--distributed"] if name in {"processes", "process_id"} else []
    more += ["--data-parallel"] if more and command == "train" else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "measure", lambda: estimate.Speed(1e-11, 1e-5))
        try:
            checked([command, f"--{name.replace('_', '-')}={number}", *more])
        except ArgumentError as error:
            assert "\n" not in str(error)
            assert error.exit_code == 2
            return
    assert 0 <= number < 2**32


TORCH_OPTIONS = ("--epochs", "--seed", "--init-passes", "--batch-size", "--threads")


@many
@given(option=st.sampled_from(TORCH_OPTIONS), number=INTEGERS)
def test_an_integer_is_accepted_or_refused_in_one_line_by_torch_ref(option: str, number: int) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt  # where the data would be read

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_ref.commands.data, "load", stop)
        patch.setattr(torch_ref.commands.torch, "set_num_threads", lambda _: None)
        try:
            torch_ref.commands.train(torch_ref.cli.parse(["train", f"{option}={number}"]), print)
        except TorchArgumentError as error:
            assert "\n" not in str(error)
            return
        except KeyboardInterrupt:
            assert 0 <= number < (2**32 if option == "--seed" else 1025 if option == "--threads" else 2**31)


def parsed_or_refused(parse: Callable[[list[str]], object], refusal: type[Exception], words: list[str]) -> None:
    words = [word for word in words if word not in {"-h", "--help"}]
    try:
        parse(words)
    except refusal as error:
        assert str(error)
    except SystemExit as stop:
        assert stop.code == 0, words  # a prefix of --help
