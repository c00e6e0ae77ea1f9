"""The noise: numbers moved by half a unit in the last place, and the deviation that this makes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.torch_ref.record.programs import PROGRAMS, Program, stored
from torch_ref.record.arrays import Recording
from torch_ref.record.noise import Noise, gradient_block

DEVICE = torch.device("cpu")


def noise(recording: Recording | None = None, seed: int = 1, dtype: torch.dtype = torch.float64) -> Noise:
    return Noise(recording or Recording(), seed, DEVICE, dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_number_moves_by_at_most_one_unit_in_the_last_place(dtype: torch.dtype) -> None:
    value = torch.linspace(1.1, 1.9, 3000, dtype=dtype)
    moved = noise().perturbed(value)
    steps = (moved.double() - value.double()) / torch.finfo(dtype).eps
    assert set(steps.tolist()) <= {-1.0, 0.0, 1.0}
    assert (steps > 0).double().mean() == pytest.approx(0.5, abs=0.05)
    assert (steps < 0).double().mean() == pytest.approx(0.5, abs=0.05)


def test_fills_integers_and_empty_tensors_stay() -> None:
    value = torch.tensor([-math.inf, torch.finfo(torch.float32).min, 1.5, math.inf])
    moved = noise(dtype=torch.float32).perturbed(value)
    assert moved[[0, 1, 3]].equal(value[[0, 1, 3]])
    assert moved[2] != value[2]
    for value in (torch.arange(5), torch.ones(0), torch.tensor([True])):
        assert noise().perturbed(value) is value


def test_more_numbers_than_signs_are_perturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch_ref.record.noise.SIGNS", 7)
    value = torch.full((100,), 1.5)
    assert (noise(dtype=torch.float32).perturbed(value) != value).all()


def test_the_programs_random_numbers_are_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    noise().perturbed(torch.ones(100))
    assert before.equal(torch.get_rng_state())


def test_the_noise_is_the_largest_deviation() -> None:
    recording = Recording()
    array = recording.array("slot", torch.tensor([3.0, 4.0], dtype=torch.float64), "steps")
    noise(recording).array("slot", torch.tensor([3.5, 4.0], dtype=torch.float64), "steps")
    noise(recording).array("slot", torch.tensor([3.0, 4.25], dtype=torch.float64), "steps")
    assert array.noise == 0.5
    number = recording.number("loss", 2.0)
    noise(recording).number("loss", 1.75)
    noise(recording).number("loss", math.nan)
    assert number.noise == 0.25


def test_the_result_itself_is_rounded() -> None:
    """Two runs may agree by chance: the noise is at least the unit roundoff times the norm."""
    recording = Recording()
    value = torch.tensor([3.0, 4.0], dtype=torch.float64)
    array, number = recording.array("slot", value, "steps"), recording.number("loss", 2.0)
    counts = recording.array("counts", torch.arange(3), "steps")
    run = noise(recording)
    run.array("slot", value, "steps")
    run.array("counts", torch.arange(3), "steps")
    run.number("loss", 2.0)
    assert (array.noise, number.noise, counts.noise) == (5 * 2**-53, 2 * 2**-53, 0)


def test_the_deviation_of_a_sample_stands_for_all() -> None:
    recording = Recording()
    value = torch.ones(10_000, dtype=torch.float64)
    array = recording.array("slot", value, "steps", 100)
    noise(recording).array("slot", -value, "steps", 100)  # the norm is the same
    assert array.noise == pytest.approx(200)  # 2 * sqrt(10,000)


def test_a_sample_that_misses_the_deviation_does_not_hide_it() -> None:
    recording = Recording()
    value = torch.zeros(10_000, dtype=torch.float64)
    value[1] = 1
    array = recording.array("slot", value, "steps", 100)
    noise(recording).array("slot", value * 1.5, "steps", 100)
    assert array.noise == 0.5


def test_a_run_that_takes_another_path_is_all_noise() -> None:
    recording = Recording()
    array = recording.array("slot", torch.tensor([3.0, 4.0]), "steps")
    noise(recording).array("slot", torch.ones(3), "steps")
    noise(recording).array("elsewhere", torch.ones(3), "steps")
    assert array.noise == 5


def test_equal_fills_are_no_noise() -> None:
    recording = Recording()
    value = torch.tensor([-math.inf, torch.finfo(torch.float16).min, 0.0], dtype=torch.float16)
    array = recording.array("slot", value, "forward")
    value[1] += 64
    noise(recording, dtype=torch.float16).array("slot", value, "forward")
    assert array.noise == 0


@pytest.mark.parametrize("name", ["cnn", "encoder", "tagger"])
def test_the_noise_is_the_size_of_the_true_rounding_error(name: str, tmp_path: Path) -> None:
    """A float32 run is as far from the float64 run, which is exact beside it, as its own noise says.

    Over six models the ratio of error to noise was 0.1 to 2.5. A median below 0.05 would mean noise that hides bugs, a
    ratio above 4 noise that fails correct ports.
    """
    ratios = []
    exact, rounded = (_recorded(PROGRAMS[name](), tmp_path / p, p) for p in ("float64", "as it is"))
    for part in ("forward", "gradients", "injected", "trajectory"):
        for ours, theirs in zip(stored(rounded[part]), stored(exact[part]), strict=True):
            if theirs.dtype == "float64" and ours.norm:
                ratios.append(np.linalg.norm(ours.value - theirs.value.astype(float)) / ours.noise)
    assert len(ratios) > 100
    assert 0.05 < np.median(ratios) < 1
    assert max(ratios) < 4


def _recorded(program: Program, folder: Path, precision: str) -> dict[str, object]:
    torch.manual_seed(1)
    return program.save(folder, precision=precision)


def test_injected_gradients_are_exact_in_every_dtype() -> None:
    for steps in (1, 2, 10):
        block, scale = gradient_block(steps)
        assert (block.shape, scale.shape) == ((65_536,), (steps,))
        gradients = torch.from_numpy(np.outer(scale, block))
        assert gradients.equal(gradients.bfloat16().double())
    assert 1e-9 <= np.abs(block).min() < 1e-8
    assert 0.9 < np.abs(block).max() <= 1
    assert (np.sort(scale)[[0, -1]] == [2.0**-10, 2.0**10]).all()
    assert not (np.diff(scale) > 0).all()  # large ones come before small ones, too: old moments matter


def test_perturbing_a_masked_attention_makes_no_nan(tmp_path: Path) -> None:
    """-inf times (1 - u) plus itself would be NaN."""
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    batches = [torch.randn(2, 5, 8)]
    program = Program(model, lambda model, batch: model(batch, mask).pow(2).mean(), batches, torch.optim.SGD)
    found = program.save(tmp_path / "new")
    assert all(0 <= array.noise <= 1e-12 for array in stored(found["forward"]))


def test_small_elements_of_a_gradient_move_by_the_rounding_of_the_largest() -> None:
    noise = Noise(Recording(), 0, torch.device("cpu"), torch.float64)
    grad = torch.tensor([[8.0, 1e-6], [0.0, -1e-6]], dtype=torch.float64)
    before = grad.clone()
    noise.perturb_gradient(grad)
    moved = (grad - before).abs()
    assert moved[1, 0] == 0  # an exact 0, of a dead unit, stays
    assert moved[0, 1].item() == moved[1, 1].item() == pytest.approx(8 * 2**-53, rel=1e-6)
    noise.perturb_gradient(None)
    noise.perturb_gradient(torch.zeros(0))
