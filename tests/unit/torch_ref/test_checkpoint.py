"""torch_ref's checkpoints: the same bits after them, and none that is damaged."""

from itertools import islice
from pathlib import Path

import pytest
import torch
from torchvision.datasets import MNIST

from torch_ref import checkpoint, data, recipes, train
from torch_ref.errors import ArgumentError, UserError
from torch_ref.recipes import Recipe

RECIPE = recipes.named("mnist_nn_xavier").but(epochs=2, batch_size=200)


@pytest.fixture(scope="module")
def sets(mnist_dir: Path) -> tuple[MNIST, MNIST]:
    """1,000 images to train on, five steps an epoch, and 500 to test with."""
    found = data.load(mnist_dir)
    for part, count in zip(found, (1000, 500), strict=True):
        part.data, part.targets = part.data[:count], part.targets[:count]
    return found


def trained(recipe: Recipe, sets: tuple[MNIST, MNIST], loader: str) -> train.Training:
    training = train.begin(recipe, sets[0], loader=loader)
    for _ in train.advance(training, recipe, sets[1]):
        pass
    return training


def same(one: train.Training, other: train.Training) -> bool:
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    numbers = [[(r.epoch, r.cost, r.test_accuracy) for r in side.records] for side in (one, other)]
    return numbers[0] == numbers[1] and all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("loader", ["dataloader", "tensor"])
@pytest.mark.parametrize(("changes", "units"), [({}, 2), ({"optimizer": "sgd"}, 3), ({}, 4)])
def test_a_training_goes_on_to_the_same_bits(
    loader: str, changes: dict[str, str], units: int, sets: tuple[MNIST, MNIST], tmp_path: Path
) -> None:
    """From the middle of the first epoch, its end, and the middle of the second; steps are saved two by two."""
    recipe = RECIPE.but(**changes)
    whole = trained(recipe, sets, loader)
    first = train.begin(recipe, sets[0], loader=loader)
    for _ in islice(train.advance(first, recipe, sets[1], every=2), units):
        pass
    checkpoint.save(tmp_path, {}, recipe, first)
    second = train.begin(recipe.but(seed=1), sets[0], loader=loader)
    torch.rand(100)  # the generator is somewhere else
    saved = checkpoint.newest(tmp_path, print)
    assert saved
    checkpoint.restore_(second, saved)
    assert (len(second.records), second.steps) == {2: (0, 4), 3: (1, 0), 4: (1, 2)}[units]
    for _ in train.advance(second, recipe, sets[1]):
        pass
    assert same(second, whole)


def test_a_pause_ends_after_the_step(sets: tuple[MNIST, MNIST]) -> None:
    training, asked = train.begin(RECIPE, sets[0], loader="tensor"), iter((False, False, True))
    next(train.advance(training, RECIPE, sets[1], pause=lambda: next(asked)))
    assert (training.steps, len(training.records)) == (3, 0)


def test_two_are_kept_and_a_damaged_one_is_set_aside(sets: tuple[MNIST, MNIST], tmp_path: Path) -> None:
    training = train.begin(RECIPE, sets[0], loader="tensor")
    for _ in train.advance(training, RECIPE, sets[1], every=3):
        checkpoint.save(tmp_path, {}, RECIPE, training)
    older, newer = checkpoint.places(tmp_path)
    assert [path.name[:10] for path in (older, newer)] == ["000000008-", "000000010-"]
    content = newer.read_bytes()
    newer.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    heard: list[str] = []
    saved = checkpoint.newest(tmp_path, heard.append)
    assert saved
    assert (len(saved["records"]), saved["steps"]) == (1, 3)
    assert heard == [f"checkpoint {newer} is damaged: set aside as {newer.stem}.damaged"]
    older.write_bytes(b"")
    assert checkpoint.glance(tmp_path) is None
    with pytest.raises(UserError, match=r"no checkpoint in .* is whole: begin anew, without --resume"):
        checkpoint.newest(tmp_path, print)
    assert checkpoint.newest(tmp_path, print) is None


def test_another_training_s_is_refused(sets: tuple[MNIST, MNIST], tmp_path: Path) -> None:
    training, settings = trained(RECIPE, sets, "tensor"), checkpoint.identity(RECIPE, threads=1)
    checkpoint.save(tmp_path, settings, RECIPE, training)
    saved = checkpoint.newest(tmp_path, print)
    assert saved
    checkpoint.check(saved, settings, RECIPE.but(epochs=9), tmp_path)
    with pytest.raises(ArgumentError, match=r"its recipe\.seed is 777, not 1; give what it was begun with"):
        checkpoint.check(saved, checkpoint.identity(RECIPE.but(seed=1), threads=1), RECIPE, tmp_path)
    with pytest.raises(ArgumentError, match=r"its threads is 1, not 2"):
        checkpoint.check(saved, checkpoint.identity(RECIPE, threads=2), RECIPE, tmp_path)
    with pytest.raises(ArgumentError, match=r"has come to epoch 2: --epochs must not be less, got 1"):
        checkpoint.check(saved, settings, RECIPE.but(epochs=1), tmp_path)
