"""A port that starts where the reference started: weights paired, converted and loaded."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.parity import mapping
from jax_impl.parity.arrays import FORWARD_LIMIT, Array
from jax_impl.parity.mapping import Leaf, Pair, Scores
from jax_impl.parity.recording.models.adapters import adapted
from jax_impl.parity.recording.models.base import Arrays, Model
from jax_impl.parity.recording.theirs import Theirs
from jax_impl.parity.recording.tracing.align import match, relative_error
from jax_impl.parity.recording.tracing.aligned import Aligned, Place, align, forcing
from jax_impl.parity.recording.tracing.passes import Call, Given, Mask, Runner

AGREEING = 1e-3  # relative difference of two modules' outputs, below which they do the same


class Port:
    """A port with the reference's weights.

    Attributes:
        theirs: The reference's record.
        model: The port's model, adapted.
        runner: Its loss.
        pairs: Which leaves belong together.
        modules: Pairs of module paths, theirs and ours.
        params, state: The port's start.
        keys: A JAX key for each step.
    """

    def __init__(
        self,
        theirs: Theirs,
        model: Any,
        loss: Callable[..., Any],
        *,
        state: Any,
        load: bool,
        pairs: Mapping[str, Any],
        seed: int,
    ) -> None:
        self.theirs = theirs
        self.model: Model = adapted(model, loss, theirs.batches[0], state)
        self._loss, self._given_state = loss, state
        self.runner = Runner(self.model, {module.get("calls", 1) for module in theirs.content["modules"]})
        self.loaded = load
        self.keys = [jax.random.fold_in(jax.random.key(seed), step) for step in range(len(theirs.batches))]
        self.leaves = own_leaves(self.model)
        theirs_paths, ours_paths = self._module_paths()
        self._given_modules = {
            one: other for one, other in pairs.items() if one in theirs_paths and other in ours_paths
        }
        leaves = {one: other for one, other in pairs.items() if one not in self._given_modules}
        self.proposal = mapping.propose(theirs.leaves, self.leaves, leaves)
        self.pairs: Sequence[Pair] = mapping.decide(self.proposal, self._score)
        self.runner.features = feature_orders(self.pairs)
        self.params, self.state = self._start(self.pairs)
        self.modules = self._settled_modules()
        self.runner.layouts = self._layouts()

    def calls(
        self, mode: str, params: Arrays, state: Any, modules: Sequence[tuple[str, str]]
    ) -> tuple[float, dict[Place, Aligned], dict[Place, Aligned], list[Mask], list[Call]]:
        """Run the first batch; return the loss, the calls free and forced, the port's own masks, and all calls."""
        value, calls, own, free = self._free(mode, params, state, modules)
        given = forcing(self.theirs, free)
        _, forced_calls, _ = self._run(mode, params, state, given)
        return value, free, self._align(mode, forced_calls, modules), own, calls

    def _free(
        self, mode: str, params: Arrays, state: Any, modules: Iterable[tuple[str, str]]
    ) -> tuple[float, list[Call], list[Mask], dict[Place, Aligned]]:
        """Run the first batch; return the loss, all calls, the port's own masks, and the calls that are paired."""
        value, calls, own = self._run(mode, params, state)
        return value, calls, own, self._align(mode, calls, modules)

    def _run(
        self, mode: str, params: Arrays, state: Any, given: Given | None = None
    ) -> tuple[float, list[Call], list[Mask]]:
        masks = self.theirs.masks(self.theirs.content["forward"][mode]["masks"])
        batch, key = self.theirs.batches[0], self.keys[0]
        return self.runner.calls(params, state, batch, key, masks, train=mode == "train", given=given)

    def _align(self, mode: str, calls: Sequence[Call], modules: Iterable[tuple[str, str]]) -> dict[Place, Aligned]:
        of_ours: dict[str, list[str]] = {}
        for theirs, ours in modules:
            of_ours.setdefault(ours, []).append(theirs)
        return align(self.theirs, mode, calls, of_ours, self.runner.features)

    def leaves_of(self, other: Any, seed: int) -> dict[str, Array]:
        """Return the leaves of another model of the same kind. `seed` is for Linen modules without variables."""
        other = self.model.completed(other)
        model = adapted(other, self._loss, self.theirs.batches[0], self._given_state, seed=seed)
        return numpy_arrays(model.params | model.buffers(model.state))

    def converted(self, theirs: Mapping[str, Array]) -> dict[str, Array]:
        """Return those of the reference's arrays that the port has, under its names and in its layout."""
        return mapping.converted(self.pairs, theirs)

    def restored(self, ours: Arrays) -> dict[str, Array]:
        """Return the port's arrays, of all or some of its leaves, under the reference's names and in its layout."""
        return mapping.restored(self.pairs, numpy_arrays(ours))

    def root_outputs(self, calls: Sequence[Call], references: Sequence[Any]) -> list[Array | None]:
        """Return what the whole model returned, in the reference's order and layout."""
        outputs = next((call.outputs for call in calls if call.path == ""), [])
        listed = [(tuple(one["shape"]), self.theirs.array(one)) for one in references]
        found = match(listed, outputs, limit=FORWARD_LIMIT)
        return [None if one is None else one.axes.to_theirs(outputs[one.index]) for one in found]

    def _score(self, pairs: Sequence[Pair]) -> Scores:
        """Return how far the port is from the reference if these pairs are loaded."""
        self.runner.features = feature_orders(pairs)
        params, state = self._start(pairs, load=True)
        value, free, forced, _, _ = self.calls("eval", params, state, self._paired_modules(pairs))
        expected = self.theirs.content["forward"]["eval"]["loss"]
        total = relative_error(np.asarray(value), np.asarray(expected))
        total += sum(one.error for one in free.values())
        return Scores(total=total, by_module=_errors(forced), free=_errors(free))

    def _paired_modules(
        self, pairs: Sequence[Pair], agreeing: Collection[tuple[str, str]] = ()
    ) -> Sequence[tuple[str, str]]:
        theirs, ours = self._module_paths()
        found = mapping.modules(theirs, ours, pairs, self.theirs.leaves, self.leaves, agreeing)
        chosen = {one: other for one, other in found if other not in self._given_modules.values()}
        return list((chosen | self._given_modules).items())

    def _module_paths(self) -> tuple[list[str], list[str]]:
        return [module["path"] for module in self.theirs.content["modules"]], [one.path for one in self.model.modules]

    def _settled_modules(self) -> Sequence[tuple[str, str]]:
        """Return the pairs of modules. Of a module and its wrapper, the one that returns the same is paired."""
        groups = mapping.alternatives(*self._module_paths(), self.pairs, self.theirs.leaves, self.leaves)
        links = [
            (one, other) for theirs, ours in groups if len(theirs) != len(ours) for one in theirs for other in ours
        ]
        if not links:
            return self._paired_modules(self.pairs)
        *_, free = self._free("eval", self.params, self.state, links)
        agreeing = {(path, one.ours.path) for (path, _), one in free.items() if one.error < AGREEING}
        return self._paired_modules(self.pairs, agreeing)

    def _layouts(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """Return the order of axes of the arrays of each of the port's modules by rank; under "" that of most arrays.

        Dropout masks need it: where all axes have one length, the shape of a mask does not tell its layout.
        """
        *_, free = self._free("eval", self.params, self.state, self.modules)
        counts: dict[tuple[str, int], Counter[tuple[int, ...]]] = defaultdict(Counter)
        for one in free.values():
            for matched in (*one.inputs, *one.outputs):
                if matched is not None and matched.axes.order is not None:
                    order = matched.axes.order
                    counts[one.ours.path, len(order)][order] += 1
                    counts["", len(order)][order] += 1
        return {place: count.most_common(1)[0][0] for place, count in counts.items()}

    def _start(self, pairs: Sequence[Pair], *, load: bool | None = None) -> tuple[Arrays, Any]:
        """Return parameters and state: the reference's, or the model's own, in the recorded precision."""
        load = self.loaded if load is None else load
        found = mapping.converted(pairs, self.theirs.start) if load else {}
        buffers = self.model.buffers(self.model.state)
        params = {name: self._cast(found.get(name, array), array) for name, array in self.model.params.items()}
        buffers = {name: self._cast(found.get(name, array), array) for name, array in buffers.items()}
        return params, self.model.with_buffers(self.model.state, buffers)

    def _cast(self, array: Any, like: Any) -> Any:
        if self.theirs.float64 and jnp.issubdtype(jnp.result_type(like), jnp.floating):
            return jnp.asarray(array, jnp.float64)
        return jnp.asarray(array, jnp.result_type(like))


def _errors(calls: Mapping[Place, Aligned]) -> dict[str, float]:
    """Return the largest error of each of the reference's modules."""
    found: dict[str, float] = {}
    for (path, _), one in calls.items():
        found[path] = max(found.get(path, 0.0), one.error)
    return found


def feature_orders(pairs: Sequence[Pair]) -> list[Array]:
    """Return the orders in which flattened images are read."""
    orders = [order for pair in pairs for order in (pair.layout.inputs, pair.layout.outputs) if order is not None]
    return [np.asarray(order) for order in orders]


def own_leaves(model: Model) -> list[Leaf]:
    """Return the port's parameters and buffers as the mapping takes them."""
    modules = {module.path: module for module in model.modules}

    def leaf(name: str, array: Any, kind: str) -> Leaf:
        owner = name.rpartition(".")[0]
        while owner and owner not in modules:
            owner = owner.rpartition(".")[0]
        module = modules.get(owner)
        return Leaf(
            name=name,
            shape=tuple(jnp.shape(array)),
            kind=kind,
            module=owner,
            module_type=module.type if module else "",
            settings=module.settings if module else {},
            framework=model.framework,
        )

    parameters = [leaf(name, array, "parameter") for name, array in model.params.items()]
    return parameters + [leaf(name, array, "buffer") for name, array in model.buffers(model.state).items()]


def numpy_arrays(arrays: Arrays) -> dict[str, Array]:
    """Return arrays on the host."""
    return {name: np.asarray(array) for name, array in arrays.items()}
