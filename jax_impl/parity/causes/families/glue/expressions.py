"""Expressions of arrays: sums and products, with activations, and a search for the one that gives an array."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.cases import Floats
from jax_impl.parity.causes.compute.layers.activations import IDENTITY, KNOWN, Activation
from jax_impl.parity.causes.families.glue.at_hand import Operand

POSITIONS = 384  # elements on which expressions are tried before they are computed whole
TRIPLES = 24  # operands of which three are added


@dataclass(frozen=True)
class Term:
    """An operand, after an activation, times a factor."""

    operand: Operand
    inner: Activation = IDENTITY
    factor: float = 1.0

    def __str__(self) -> str:
        text = self.operand.name if self.inner is IDENTITY else f"{self.inner.name} of {self.operand.name}"
        return text if self.factor == 1 else f"{self.factor:.6g} × {text}"


@dataclass(frozen=True)
class Expression:
    """An activation of a sum or a product of terms, in the shape of the array that it gives."""

    terms: tuple[Term, ...]
    shape: tuple[int, ...]
    outer: Activation = IDENTITY
    product: bool = False

    def __str__(self) -> str:
        terms = self.terms if self.product else sorted(self.terms, key=lambda term: not term.operand.own)
        text = (" × " if self.product else " + ").join(map(str, terms)).replace("+ -", "- ")
        if self.outer is IDENTITY:
            return text
        return f"{self.outer.name} of {text if len(self.terms) == 1 else f'({text})'}"

    def value(self) -> Floats | None:
        """Return the array; None if an operand does not fit."""
        total: Floats | None = None
        for term in self.terms:
            array = fitted(term.operand.array, self.shape)
            if array is None:
                return None
            part = term.factor * term.inner.apply(array)
            total = part if total is None else total * part if self.product else total + part
        return None if total is None else self.outer.apply(total)

    @property
    def names(self) -> frozenset[str]:
        """The names of the operands."""
        return frozenset(term.operand.name for term in self.terms)


def fitted(array: Floats, shape: tuple[int, ...]) -> Floats | None:
    """Return an array broadcast to a shape, reshaped, or cut to its length as a table of positions is.

    None if it cannot be.
    """
    if array.shape == shape:
        return array
    if array.size == np.prod(shape):
        return array.reshape(shape)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        pass
    if array.ndim > len(shape):
        return None
    ends = shape[len(shape) - array.ndim :]
    if all(have in (1, want) or have > want for have, want in zip(array.shape, ends, strict=True)):
        return np.broadcast_to(array[tuple(slice(want) for want in ends)], shape)
    return None


class Search:
    """Finds expressions that give an array, on a sample of its elements.

    Args:
        operands: What may occur in them.
        shape: Of the array.
        positions: Of the elements that are known, in the flattened array.
        tolerance: The relative difference that counts as equal.
        activations: That are tried.
    """

    def __init__(
        self,
        operands: Sequence[Operand],
        shape: tuple[int, ...],
        positions: NDArray[np.int64],
        tolerance: float,
        activations: Sequence[Activation] = KNOWN,
    ) -> None:
        self.shape, self.tolerance, self.known = shape, tolerance, activations
        fits = [(one, fitted(one.array, shape)) for one in operands]
        columns = [(one, array.reshape(-1)[positions]) for one, array in fits if array is not None]
        columns = [(one, values) for one, values in columns if np.isfinite(values).all() and values.any()]
        self.operands = [one for one, _ in columns]
        self.columns = np.array([values for _, values in columns]).reshape(len(columns), positions.size)

    @cached_property
    def activated(self) -> list[tuple[Activation, Floats]]:
        """Each known activation of all columns."""
        with np.errstate(all="ignore"):
            return [(one, one.apply(self.columns)) for one in self.known]

    def find(self, target: Floats, *, plain: bool = False) -> list[Expression]:
        """Return the simplest expressions that give the target's sample; those found are equally simple.

        If `plain`, only the operands themselves are tried.
        """
        if not len(self.columns) or not np.isfinite(target).all() or np.ptp(target) == 0:
            return []
        for tier in (
            self._single,
            self._activated,
            self._pairs,
            self._mixed,
            self._scaled,
            self._triples,
            self._weighed,
        ):
            if (found := list(tier(target))) or plain:
                return found
        return []

    def _hits(self, columns: Floats, target: Floats) -> NDArray[np.int64]:
        with np.errstate(all="ignore"):
            differences = np.linalg.norm(columns - target, axis=-1)
        return np.flatnonzero(differences <= self.tolerance * np.linalg.norm(target))

    def _make(self, *terms: Term, outer: Activation = IDENTITY, product: bool = False) -> Expression:
        return Expression(terms, self.shape, outer, product)

    def _single(self, target: Floats) -> Iterator[Expression]:
        for i in self._hits(self.columns, target):
            yield self._make(Term(self.operands[i]))

    def _activated(self, target: Floats) -> Iterator[Expression]:
        for activation, columns in self.activated:
            for i in self._hits(columns, target):
                yield self._make(Term(self.operands[i]), outer=activation)

    def _pairs(self, target: Floats) -> Iterator[Expression]:
        for i, one in enumerate(self.operands):
            for j in self._hits(self.columns[i:] + self.columns[i], target):
                other = self.operands[i + j]
                yield self._make(Term(one), Term(other)) if j else self._make(Term(one, factor=2.0))

    def _mixed(self, target: Floats) -> Iterator[Expression]:
        """Yield an activation of a sum, a sum or a product with an activation, and products."""
        for i, one in enumerate(self.operands):
            for j in self._hits(self.columns[i:] * self.columns[i], target):
                yield self._make(Term(one), Term(self.operands[i + j]), product=True)
            with np.errstate(all="ignore"):
                sums = [(one, one.apply(self.columns[i + 1 :] + self.columns[i])) for one in self.known]
            for activation, columns in sums:
                for j in self._hits(columns, target):
                    yield self._make(Term(one), Term(self.operands[i + 1 + j]), outer=activation)
            for activation, columns in self.activated:
                for product, both in ((False, self.columns + columns[i]), (True, self.columns * columns[i])):
                    for j in self._hits(both, target):
                        if j != i:
                            yield self._make(Term(one, activation), Term(self.operands[j]), product=product)

    def _scaled(self, target: Floats) -> Iterator[Expression]:
        """Yield an operand times a constant."""
        for activation, columns in ((IDENTITY, self.columns), *self.activated):
            with np.errstate(all="ignore"):
                factors = columns @ target / np.square(columns).sum(axis=1)
                hits = self._hits(columns * factors[:, None], target)
            for i in hits:
                if np.ptp(columns[i]) and factors[i] and np.isfinite(factors[i]):
                    yield self._make(Term(self.operands[i], activation, rounded(factors[i])))
            if activation is IDENTITY and len(hits):
                return

    def _triples(self, target: Floats) -> Iterator[Expression]:
        """Yield sums of three, and activations of them."""
        some = range(min(len(self.operands), TRIPLES))
        for i, j in combinations(some, 2):
            pair = self.columns[i] + self.columns[j]
            for k in self._hits(self.columns, target - pair) if np.linalg.norm(target - pair) else ():
                if k >= j or k == i:
                    yield self._summed(i, j, int(k))
            for activation in self.known[:2]:  # ReLU and GELU: what people write around sums
                for k in self._hits(activation.apply(self.columns[j + 1 :] + pair), target):
                    yield replace(self._summed(i, j, int(j + 1 + k)), outer=activation)

    def _summed(self, *numbers: int) -> Expression:
        counts = {number: numbers.count(number) for number in numbers}
        return self._make(*(Term(self.operands[number], factor=float(count)) for number, count in counts.items()))

    def _weighed(self, target: Floats) -> Iterator[Expression]:
        """Yield sums of two operands times constants."""
        for i, j in combinations(range(len(self.operands)), 2):
            both = self.columns[[i, j]].T
            factors, _, rank, _ = np.linalg.lstsq(both, target, rcond=1e-6)
            close = np.linalg.norm(both @ factors - target) <= self.tolerance * np.linalg.norm(target)
            if rank == 2 and close and min(abs(factors)) > 1e-6:
                yield self._make(
                    *(Term(self.operands[n], factor=rounded(f)) for n, f in zip((i, j), factors, strict=True))
                )


def rounded(factor: float) -> float:
    """Return a fitted factor without its rounding error, if it is a short number, a root, or the inverse of one."""
    for simple in (float(f"{factor:.6g}"), _root(factor), 1 / _root(1 / factor) if factor else 0.0):
        if abs(simple - factor) <= 1e-8 * abs(factor):
            return simple
    return factor


def _root(factor: float) -> float:
    return float(np.copysign(np.sqrt(np.round(factor * factor)), factor)) or np.inf
