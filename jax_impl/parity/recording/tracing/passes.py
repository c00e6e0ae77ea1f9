"""Runs of the port: its loss with the reference's masks, and every call of a module, free or forced."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp

from jax_impl.parity.arrays import Array
from jax_impl.parity.recording.models.base import Arrays, Model
from jax_impl.parity.recording.tracing.align import candidates
from jax_impl.parity.recording.tracing.calls import masks_tagged
from jax_impl.parity.recording.tracing.tags import Tag, compiled, evaluate, narrowed, trace

Given = Mapping[tuple[str, int, str, int], Any]  # arrays to continue with, by path, call, role and index
Layouts = Mapping[tuple[str, int], tuple[int, ...]]  # the order of axes by path and rank; "" stands for other paths


@dataclass
class Call:
    """One call of a module. `inputs` and `outputs` are its arrays, in order."""

    path: str
    call: int
    order: int
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    float32: bool = False


@dataclass
class Mask:
    """A mask as the port drew it, and whether one of the reference's took its place."""

    rate: float | None
    array: Any
    replaced: bool
    path: str = ""  # of the port's module that draws it


class Visit:
    """Sees the tagged arrays of one evaluation: keeps them, and replaces masks and the arrays that are given."""

    def __init__(
        self,
        masks: Sequence[Any],
        given: Given | None = None,
        features: Sequence[Array] = (),
        layouts: Layouts | None = None,
    ) -> None:
        self.calls: list[Call] = []  # in the order in which they return
        self.masks: list[Mask] = []
        self._theirs = masks
        self._features = features
        self._layouts = layouts or {}
        self._given = given or {}
        self._open: list[tuple[int, Call]] = []
        self._counts: Counter[str] = Counter()
        self._begun = 0

    def __call__(self, tag: Tag, array: Any) -> Any:
        """Return the array with which the program continues."""
        if tag.role == "mask":
            return self._mask(tag, array)
        call = self._current(tag)
        (call.inputs if tag.role == "input" else call.outputs).append(array)
        if tag.role == "output" and tag.index == tag.count - 1:
            self._open.pop()
            self.calls.append(call)
        theirs = self._given.get((tag.path, call.call, tag.role, tag.index))
        return array if theirs is None else theirs.astype(array.dtype)

    def watch(self, equation: Any) -> None:
        """Note that the innermost call computes in a narrower dtype than float64."""
        if self._open and narrowed(equation):
            self._open[-1][1].float32 = True

    def _current(self, tag: Tag) -> Call:
        """Return the call to which an array belongs; begin it if this is its first array."""
        numbers = [number for number, _ in self._open]
        begun = tag.number in numbers and not (tag.role == "input" and tag.index == 0)
        if begun:  # calls above it returned no arrays
            del self._open[numbers.index(tag.number) + 1 :]
        else:
            self._open.append((tag.number, Call(tag.path, self._counts[tag.path], self._begun)))
            self._counts[tag.path] += 1
            self._begun += 1
        return self._open[-1][1]

    def _mask(self, tag: Tag, drawn: Any) -> Any:
        number = len(self.masks)
        theirs = self._theirs[number] if number < len(self._theirs) else None
        fitting = [] if theirs is None else candidates(theirs.shape, drawn.shape, self._features)
        self.masks.append(Mask(tag.rate, drawn, bool(fitting), tag.path))
        # A flattened image has a size of its own: where features are in another order, so are those of its mask.
        rank = len(drawn.shape)
        order = self._layouts.get((tag.path, rank)) or self._layouts.get(("", rank))
        known = [axes for axes in fitting if axes.features is not None] or [
            axes for axes in fitting if axes.order == order
        ]
        chosen = next(iter((*known, *fitting)), None)
        return chosen.to_ours(theirs).astype(drawn.dtype) if chosen else drawn


class Runner:
    """A model's loss, traced once for each mode and each shape of batch."""

    def __init__(self, model: Model, repeated: Collection[int] = ()) -> None:
        self.features: Sequence[Array] = ()  # orders of flattened features, for the masks
        self.layouts: Layouts = {}  # orders of axes, for the masks
        self._model = model
        self._repeated = repeated  # how often the reference calls its modules in one pass
        self._programs: dict[Any, Any] = {}
        self._runs: dict[Any, tuple[Callable[..., Any], list[Visit]]] = {}

    def loss(
        self, params: Arrays, state: Any, batch: Any, key: Any, masks: Sequence[Any], *, train: bool
    ) -> tuple[Any, tuple[Any, list[Mask]]]:
        """Return the loss, the new state and the port's own masks. Can be compiled and differentiated."""
        visit = Visit(masks, features=self.features, layouts=self.layouts)
        value, state = self._evaluate(visit, ("mask",), params, state, batch, key, train=train)
        return value, (state, visit.masks)

    def calls(
        self,
        params: Arrays,
        state: Any,
        batch: Any,
        key: Any,
        masks: Sequence[Any],
        *,
        train: bool,
        given: Given | None = None,
    ) -> tuple[float, list[Call], list[Mask]]:
        """Return the loss, every call of a module, and the port's own masks, compiled as one program.

        A call that has arrays among the `given` ones continues with these, after its own were recorded.
        """
        run, visits = self._run(train=train)
        value, arrays, masks = jax.device_get(run(params, state, batch, key, list(masks), given))
        visit = visits[-1]
        calls = [
            Call(call.path, call.call, call.order, inputs, outputs, call.float32)
            for call, (inputs, outputs) in zip(visit.calls, arrays, strict=True)
        ]
        own = [replace(mask, array=array) for mask, array in zip(visit.masks, masks, strict=True)]
        return float(value), calls, own

    def _run(self, *, train: bool) -> tuple[Callable[..., Any], list[Visit]]:
        """Return the compiled program that records calls, and where its traces are noted.

        It is traced again where other arrays are given; what all traces note of the calls is the same.
        """
        layouts = tuple(sorted(self.layouts.items())) if train else ()
        place = (train, tuple(order.tobytes() for order in self.features), layouts)
        if place not in self._runs:
            visits: list[Visit] = []

            def run(params: Arrays, state: Any, batch: Any, key: Any, masks: Any, given: Any) -> Any:
                visit = Visit(masks, given, self.features, self.layouts)
                visits.append(visit)
                value, _ = self._evaluate(visit, ("input", "output", "mask"), params, state, batch, key, train=train)
                called = [(call.inputs, call.outputs) for call in visit.calls]
                return value, called, [mask.array for mask in visit.masks]

            self._runs[place] = compiled(run), visits
        return self._runs[place]

    def _evaluate(
        self, visit: Visit, roles: Sequence[str], params: Arrays, state: Any, batch: Any, key: Any, *, train: bool
    ) -> tuple[Any, Any]:
        arguments = (params, state, batch, key)
        program, structure = self._program(arguments, train=train)
        watch = visit.watch if "input" in roles else None
        results = evaluate(
            program, jax.tree.leaves(arguments), visit, roles=roles, watch=watch, repeated=self._repeated
        )
        value, state = jax.tree.unflatten(structure, results)
        return value, state

    def _program(self, arguments: tuple[Any, ...], *, train: bool) -> tuple[Any, Any]:
        leaves, structure = jax.tree.flatten(arguments)
        shape = (train, structure, tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves))
        if shape not in self._programs:
            with masks_tagged():
                self._programs[shape] = trace(lambda *given: self._model.loss(*given, train=train), *arguments)
        program: tuple[Any, Any] = self._programs[shape]
        return program
