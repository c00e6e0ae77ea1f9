"""Inputs that nobody would write: every reader answers with what it documents, and with nothing else.

`FAULTS_EXAMPLES=10000 python -m pytest tests/faults/test_inputs.py` is the long form.
"""

import json
import os
import random
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import torch_ref.cli
import torch_ref.recipes
import torch_ref.runs
from jax_impl import data, interop, recipes
from jax_impl.commands.options import parser
from jax_impl.errors import ArgumentError, UserError
from jax_impl.storage import tensors as tensor_files
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


def parsed_or_refused(parse: Callable[[list[str]], object], refusal: type[Exception], words: list[str]) -> None:
    words = [word for word in words if word not in {"-h", "--help"}]
    try:
        parse(words)
    except refusal as error:
        assert str(error)
    except SystemExit as stop:
        assert stop.code == 0, words  # a prefix of --help
