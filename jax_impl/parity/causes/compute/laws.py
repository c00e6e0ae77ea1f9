"""Distributions from which initial weights are drawn, and how well a sample agrees with one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
SURVIVES = 1e-4  # p-value from which on a law is not rejected
CUT = 2.0  # standard deviations at which truncated normals are cut
KEPT = 0.8796256610342398  # std of N(0, 1) cut at ±2
ABOVE = 1 + 1e-5  # of a bound, for rounding
FAR = 8.0  # standard errors from which on a law is rejected at once
FAR_LESS = math.log(1e6)  # of the logarithm of the likelihood, by which a law is excluded by another one
LESS = math.log(20)  # the same for laws that nobody draws weights from
FOURTH = {"uniform": 1.8, "one-sided": 1.8, "normal": 3.0, "truncated": 2.3655}  # standardised fourth moments


@dataclass(frozen=True)
class Law:
    """A distribution.

    Attributes:
        kind: "uniform" within ±scale, "one-sided" uniform from 0 to scale, "normal", or "truncated" at two stds.
        scale: The bound, or the standard deviation; of a truncated one that after it is cut.
        mean: Added to it.
    """

    kind: str
    scale: float
    mean: float = 0.0

    @property
    def std(self) -> float:
        """The standard deviation."""
        return self.scale / {"uniform": math.sqrt(3), "one-sided": math.sqrt(12)}.get(self.kind, 1.0)

    @property
    def centre(self) -> float:
        """The mean."""
        return self.mean + (self.scale / 2 if self.kind == "one-sided" else 0.0)

    @property
    def support(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        if self.kind == "normal":
            return -math.inf, math.inf
        low = 0.0 if self.kind == "one-sided" else -self._end
        return self.mean + low, self.mean + self._end

    @property
    def _end(self) -> float:
        return CUT * self.scale / KEPT if self.kind == "truncated" else self.scale

    def cdf(self, x: Floats) -> Floats:
        """Return the cumulative distribution."""
        z = x - self.mean
        if self.kind == "one-sided":
            return np.asarray(np.clip(z / self.scale, 0, 1))
        if self.kind == "uniform":
            return np.asarray(np.clip(z / (2 * self.scale) + 0.5, 0, 1))
        if self.kind == "normal":
            return np.asarray(special.ndtr(z / self.scale))
        edge = float(special.ndtr(CUT))
        return np.asarray(np.clip((special.ndtr(z * KEPT / self.scale) - (1 - edge)) / (2 * edge - 1), 0, 1))

    def log_likelihood(self, x: Floats) -> float:
        """Return the logarithm of the density of independent draws; -inf if one is not in the support."""
        low, high = self.support
        slack = (ABOVE - 1) * self.scale
        if x.min() < low - slack or x.max() > high + slack:
            return -math.inf
        if self.kind in ("uniform", "one-sided"):
            return -x.size * math.log(high - low)
        std = self.scale / KEPT if self.kind == "truncated" else self.scale
        inside = 2 * float(special.ndtr(CUT)) - 1 if self.kind == "truncated" else 1.0
        square = float(np.square((x - self.mean) / std).sum())
        return -x.size * math.log(std * math.sqrt(2 * math.pi) * inside) - square / 2


class Sample:
    """Independent draws, sorted. Tests of laws are made once each."""

    def __init__(self, values: Floats) -> None:
        self.values = np.sort(values.reshape(-1))
        self._known: dict[Law, float] = {}

    @property
    def size(self) -> int:
        """The number of draws."""
        return int(self.values.size)

    @cached_property
    def mean(self) -> float:
        """The mean."""
        return float(self.values.mean())

    @cached_property
    def std(self) -> float:
        """The standard deviation."""
        return float(self.values.std())

    def p_value(self, law: Law) -> float:
        """Return the smallest p-value, times their number, of the tests of mean, spread, shape and largest draw."""
        if law not in self._known:
            self._known[law] = self._tested(law)
        return self._known[law]

    def _tested(self, law: Law) -> float:
        if self.size < 2 or not law.scale > 0:
            return 0.0
        slack = (ABOVE - 1) * law.scale
        if self.values[0] < law.support[0] - slack or self.values[-1] > law.support[1] + slack:
            return 0.0
        mean = (self.mean - law.centre) / law.std * math.sqrt(self.size)
        spread = (self.std / law.std - 1) * 2 * math.sqrt(self.size / (FOURTH[law.kind] - 1))
        if max(abs(mean), abs(spread)) > FAR:
            return 0.0
        p_values = [2 * float(special.ndtr(-abs(mean))), 2 * float(special.ndtr(-abs(spread)))]
        p_values += [self._shape(law), self._largest(law)]
        return min(1.0, len(p_values) * min(p_values))

    def _largest(self, law: Law) -> float:
        """Return the p-value of the largest distance from the centre: it tells bounds and cuts."""
        largest = max(law.centre - float(self.values[0]), float(self.values[-1]) - law.centre)
        ends = law.cdf(np.array([law.centre - largest, law.centre + largest]))
        outside = max(1.0 - float(ends[1] - ends[0]), 0.0)  # of one draw; rounding may leave less than nothing
        below = math.exp(self.size * math.log1p(-outside)) if outside < 1 else 0.0
        above = -math.expm1(self.size * math.log1p(-outside)) if outside < 1 else 1.0
        bounded = law.support[1] - law.centre <= largest * ABOVE
        return min(1.0, 2 * min(below, 1.0 if bounded else above))

    def _shape(self, law: Law) -> float:
        """Return the p-value of the Kolmogorov-Smirnov test, by the distribution of its statistic for large samples.

        Stephens' correction (1970) makes it good from five draws on.
        """
        below = np.arange(self.size) / self.size
        expected = law.cdf(self.values)
        gap = float(max((expected - below).max(), (below + 1 / self.size - expected).max()))
        root = math.sqrt(self.size)
        return float(special.kolmogorov(gap * (root + 0.12 + 0.11 / root)))

    def fitted(self) -> list[Law]:
        """Return the kinds of laws that are not rejected with this sample's own mean and spread."""
        around = 0.0 if abs(self.mean) < 5 * self.std / math.sqrt(self.size) else self.mean
        bound = float(np.abs(self.values - around).max())
        laws = (
            Law("uniform", bound * (1 + 1 / self.size), around),
            Law("truncated", self.std, around),
            Law("normal", self.std, around),
        )
        return [law for law in laws if self.p_value(law) > SURVIVES]

    @cached_property
    def kind(self) -> str | None:
        """The kind of law, if the likeliest of each other kind is far less likely; None if several are as likely.

        Kinds that nobody draws weights from must be less likely, too: a law that is only near one should not get its
        name.
        """
        around = 0.0 if abs(self.mean) < 5 * self.std / math.sqrt(self.size) else self.mean
        away = np.abs(self.values - around)
        largest, spread = float(away.max()), math.sqrt(float(np.square(away).mean()))
        if not spread > 0:
            return None
        laws = (
            Law("uniform", largest, around),
            Law("normal", spread, around),
            Law("truncated", KEPT * max(largest / CUT, spread), around),
        )
        found = sorted(((law.log_likelihood(self.values), law.kind) for law in laws), reverse=True)
        (best, kind), (second, _), _ = found
        return kind if best - second > FAR_LESS and best - unusual(away) > LESS else None


def unusual(x: Floats) -> float:
    """Return the largest likelihood, its logarithm, by three kinds of laws: triangular, Laplace's and logistic.

    `x` holds the distances from the centre.
    """
    largest, scale = float(x.max()), math.sqrt(3 * float(np.square(x).mean())) / math.pi
    sides = largest * np.linspace(1 + 0.2 / x.size, 1.2, 24)
    steep = x / scale
    return max(
        *(float(np.log(side - x).sum()) - 2 * x.size * math.log(side) for side in sides),
        -x.size * (math.log(2 * float(x.mean())) + 1),
        -x.size * math.log(scale) - float((steep + 2 * np.log1p(np.exp(-steep))).sum()),
    )


@lru_cache(maxsize=128)
def _sample(content: bytes) -> Sample:
    return Sample(np.frombuffer(content))


def sample(values: Floats) -> Sample:
    """Return the sample, with its tests if the same numbers were tested before."""
    return _sample(np.ascontiguousarray(values, np.float64).tobytes())


def orthogonal(rows: Floats, shape: Sequence[int], blocks: int = 1) -> float | None:
    """Return the gain if each row, as a matrix or as blocks below each other, is orthogonal; otherwise None.

    `rows` has shape (seeds, elements), and `shape` is that of the leaf.
    """
    if len(shape) < 2 or rows.shape[1] != math.prod(shape) or min(shape) < 1 or shape[0] % blocks or rows.shape[1] < 4:
        return None
    gains: list[float] = []
    for row in rows:
        for matrix in np.split(row.reshape(shape[0], -1), blocks):
            wide: Any = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
            product = wide @ wide.T
            square = float(np.trace(product)) / len(product)
            if len(product) < 2 or not square or np.abs(product / square - np.eye(len(product))).max() > 1e-4:
                return None
            gains.append(math.sqrt(square))
    return gains[0] if max(gains) - min(gains) < 1e-3 * gains[0] else None
