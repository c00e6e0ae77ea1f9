"""The reference's rounding error: runs whose numbers are all moved by half a unit in the last place."""

import math
import random
from typing import Any

import numpy as np
import torch

from torch_ref.record.arrays import Array, Number, NumPyArray, Recording, fill, largest_of, plain, sample, size

SIGNS = 1_048_573  # a prime number, so that no shape of an array repeats with the signs


class Noise:
    """Stands in for a Recording in a second run, and measures how far that run is from the first.

    The signs come from a generator of its own, so the program's random numbers stay the same.
    """

    noisy = True

    def __init__(self, recording: Recording, seed: int, device: torch.device, dtype: torch.dtype) -> None:
        """Measure the noise of `recording`, which was computed in `dtype`."""
        self._recording = recording
        self._roundoff = torch.finfo(dtype).eps / 2
        self._generator = torch.Generator(device).manual_seed(seed)
        self._random = random.Random(seed)  # noqa: S311 - signs are no secret
        self._lists: dict[torch.dtype, torch.Tensor] = {}
        self.overwriting = recording.overwriting

    def array(self, slot: str, value: torch.Tensor, file: str, limit: int | None = None) -> Array | None:
        """Measure the distance to the array that was recorded at this place."""
        del file
        array = self._recording.slots.get(slot)
        if not isinstance(array, Array):
            return None  # the program took another path, such as another expert
        value = plain(value)
        if tuple(value.shape) != array.shape:
            array.noise = max(array.noise, array.norm)
            return array
        if value.is_floating_point():  # the result itself is rounded
            array.noise = max(array.noise, torch.finfo(value.dtype).eps / 2 * array.norm)
        array.noise = max(array.noise, deviation(sample(value, limit), array.stored, value.numel()))
        if limit is not None and value.numel() > limit:  # a sample of a sparse gradient may miss what differs
            array.noise = max(array.noise, abs(size(value)[0] - array.norm))
        return array

    def number(self, slot: str, value: float) -> Number:
        """Measure the distance to the number that was recorded at this place."""
        number = self._recording.slots[slot]
        assert isinstance(number, Number)  # noqa: S101 - a slot's kind is fixed
        rounded = self._roundoff * abs(number.value)
        number.noise = max(number.noise, rounded, abs(value - number.value) if math.isfinite(value) else 0.0)
        return number

    def perturbed(self, value: torch.Tensor) -> torch.Tensor:
        """Return x (1 ± u) with random signs, u the unit roundoff of its dtype; fills stay."""
        if not value.is_floating_point() or not value.numel():
            return value
        moved = torch.addcmul(value, value, self._signs(value.numel(), value.dtype).view(value.shape))
        limit = fill(value.dtype)
        if largest_of(value.detach()) < limit:
            return moved
        return torch.where(value.abs() < limit, moved, value)  # a mask's -inf or smallest number must not become NaN

    def sign(self) -> int:
        """Return 1 or -1."""
        return self._random.choice((1, -1))

    def perturb_gradient(self, grad: torch.Tensor | None) -> None:
        """Move the elements of a gradient by half a unit of its largest one, in place; exact zeros stay.

        An element is a sum. Where large terms cancel, it is small but has their rounding error, and Adam enlarges it.
        """
        if grad is None or grad.layout != torch.strided or not grad.numel():
            return
        signs = self._signs(grad.numel(), grad.dtype).view(grad.shape)
        grad += signs * largest_of(grad) * grad.ne(0)

    def _signs(self, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Return `count` numbers that are u or -u, cut out of a long list at a random place."""
        if dtype not in self._lists:
            signs = torch.randint(0, 2, (SIGNS,), generator=self._generator, device=self._generator.device)
            self._lists[dtype] = ((signs * 2 - 1) * (torch.finfo(dtype).eps / 2)).to(dtype)
        if (end := SIGNS + count) > self._lists[dtype].numel():  # repeated once, since that takes long
            self._lists[dtype] = self._lists[dtype][:SIGNS].repeat(-(-end // SIGNS))
        start = self._random.randrange(SIGNS)
        return self._lists[dtype][start : start + count]

    def named(self, file: str, key: str, stored: NumPyArray) -> None:
        """Do nothing: the record has the array."""


Sink = Recording | Noise


def deviation(value: torch.Tensor, stored: NumPyArray, count: int) -> float:
    """Return the L2 norm of the difference over `count` elements, maybe from a sample. Fills do not count."""
    if not count:
        return 0.0
    difference = value.to(torch.float64) - torch.from_numpy(stored).to(value.device, torch.float64)
    limit = fill(value.dtype)
    if value.is_floating_point() and not largest_of(value) < limit:
        difference = torch.where(value.abs() < limit, difference, 0.0)
    return size(difference)[0] * math.sqrt(count / value.numel())


def gradient_block(steps: int) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Return the numbers from which the injected gradients are made (docs/records.md, "injected").

    All are exact in bfloat16, and `scale` holds powers of 2, so that every dtype gives the same gradients.

    Returns:
        block: float64 (65536,), sizes from 1e-9 to 1, with random signs.
        scale: float64 (steps,), from 2**-10 to 2**10 in random order.
    """
    drawn = np.random.RandomState(0)
    mantissa, exponent = np.frexp(10.0 ** drawn.uniform(-9, 0, 65_536) * drawn.choice([-1.0, 1.0], 65_536))
    block = np.ldexp(np.round(mantissa * 256) / 256, exponent)
    powers = np.round(np.linspace(-10, 10, steps)) if steps > 1 else np.zeros(1)
    return block, 2.0 ** drawn.permutation(powers)
