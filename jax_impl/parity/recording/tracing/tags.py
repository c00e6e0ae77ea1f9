"""Arrays inside a traced program: named, collected and replaced.

`tag` marks an array in a program, at no cost. `evaluate` runs a program and shows each tagged array to a visitor, which
may answer with another array. Tags survive `jit`, `vmap`, `remat` and `scan`, whose steps are then evaluated one by
one, or together if they do not depend on each other, as in `jax.lax.map`. So what a model computes can be recorded
whichever library it is written in.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from jax_impl.parity.recording.tracing import convolutions

CALLS = {"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"}
INLINED = CALLS | {"custom_jvp_call", "custom_vjp_call", "scan"}


@dataclass(frozen=True)
class Tag:
    """The name of an array.

    Attributes:
        role: "input" or "output" of a call of a module, or "mask".
        path: Of the module that is called, or in which the mask is drawn.
        number: Of the place in the program where it is called; different for each trace.
        index: Which of the call's arrays.
        count: How many arrays the call has in this role.
        rate: Of a mask: the probability of False; None if the program computes it.
    """

    role: str
    path: str
    number: int
    index: int = 0
    count: int = 1
    rate: float | None = None


Visitor = Callable[[Tag, Any], Any]
Watcher = Callable[[Any], None]


@dataclass(frozen=True)
class View:
    """What is shown of a program, and to whom: the arguments of `evaluate`."""

    visit: Visitor
    roles: frozenset[str]
    watch: Watcher
    repeated: frozenset[int]


tag_primitive = core.Primitive("parity_tag")
tag_primitive.def_impl(lambda array, **_: array)
tag_primitive.def_abstract_eval(lambda array, **_: array)
mlir.register_lowering(tag_primitive, lambda _context, array, **_: [array])
ad.deflinear2(tag_primitive, lambda cotangent, _array, **_: (cotangent,))


def _batched(arguments: Sequence[Any], axes: Sequence[int], *, tag: Tag) -> tuple[Any, int]:
    """Under vmap, the whole batch is one tagged array with the batch as its first axis."""
    return tag_primitive.bind(jnp.moveaxis(arguments[0], axes[0], 0), tag=tag), 0


batching.primitive_batchers[tag_primitive] = _batched


def tag(name: Tag, array: Any) -> Any:
    """Return `array`, tagged."""
    return tag_primitive.bind(jnp.asarray(array), tag=name)


def evaluate(
    program: core.ClosedJaxpr,
    arguments: Sequence[Any],
    visit: Visitor,
    *,
    roles: Sequence[str],
    watch: Watcher | None = None,
    repeated: Collection[int] = (),
) -> list[Any]:
    """Run a program. Can itself be traced, compiled and differentiated.

    Args:
        program: From `jax.make_jaxpr`.
        arguments: Its flat arguments.
        visit: Takes each tag of one of the `roles`, and its array; returns the array to continue with.
        roles: Of the tags that are shown. Inner programs without such tags run as they are: custom gradients stay.
            Only convolutions that would be slow are computed in another way.
        watch: Is shown each other equation.
        repeated: How often the reference calls a module in one pass. A loop with that many steps makes one call in
            each. In any other loop with independent steps, such as one over a batch, all steps are one call.

    Returns:
        The flat results.
    """
    view = View(visit, frozenset(roles), watch or (lambda _: None), frozenset(repeated) - {1})
    return _evaluate(program.jaxpr, program.consts, arguments, view)


def _evaluate(jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any], view: View) -> list[Any]:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
    values |= dict(zip(jaxpr.invars, arguments, strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        inputs = [value(atom) for atom in equation.invars]
        if equation.primitive is tag_primitive:
            found = equation.params["tag"]
            outputs = [view.visit(found, inputs[0]) if found.role in view.roles else inputs[0]]
        elif inner := _inner(equation, view.roles):
            outputs = _inlined(equation, inner, inputs, view)
        elif convolutions.slow(equation):
            outputs = [convolutions.product(*inputs, **equation.params)]
        else:
            view.watch(equation)
            outputs = _alone(equation, inputs)
        values |= dict(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _alone(equation: Any, inputs: Sequence[Any]) -> list[Any]:
    """Evaluate one equation, under the settings (precision, …) in which it was traced."""
    variables = {a: x for a, x in zip(equation.invars, inputs, strict=True) if not isinstance(a, core.Literal)}
    names = core.DebugInfo("one equation", equation.primitive.name, None, None)
    program = core.ClosedJaxpr(core.Jaxpr([], list(variables), equation.outvars, [equation], debug_info=names), [])
    return list(core.jaxpr_as_fun(program)(*variables.values()))


def _inner(equation: Any, roles: frozenset[str]) -> Any:
    """Return the program inside an equation, if it must be evaluated step by step, and can be."""
    name = equation.primitive.name
    if name not in INLINED:
        return None
    inner = next((equation.params[key] for key in ("jaxpr", "call_jaxpr") if key in equation.params), None)
    if inner is None:
        return None
    wanted = has_tags(inner, roles) or (name in CALLS and _has(inner, convolutions.slow))
    return inner if wanted else None


def has_tags(program: Any, roles: frozenset[str] | None = None) -> bool:
    """Return whether a program, or one inside it, has tags of these roles."""

    def tagged(equation: Any) -> bool:
        return equation.primitive is tag_primitive and (roles is None or equation.params["tag"].role in roles)

    return _has(program, tagged)


def _has(program: Any, condition: Callable[[Any], bool]) -> bool:
    """Return whether an equation of a program, or of one inside it, meets a condition."""
    return any(
        condition(equation) or any(_has(inner, condition) for inner in inner_programs(equation))
        for equation in getattr(program, "jaxpr", program).eqns
    )


def inner_programs(equation: Any) -> list[Any]:
    """Return the programs in the parameters of an equation."""
    leaves = list(equation.params.values())
    flat = [part for leaf in leaves for part in (leaf if isinstance(leaf, list | tuple) else [leaf])]
    return [part for part in flat if hasattr(part, "eqns") or hasattr(getattr(part, "jaxpr", None), "eqns")]


def _inlined(equation: Any, inner: Any, inputs: list[Any], view: View) -> list[Any]:
    jaxpr, constants = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
    if equation.primitive.name != "scan":
        return _evaluate(jaxpr, constants, inputs, view)
    n_constants, n_carried = equation.params["num_consts"], equation.params["num_carry"]
    if not n_carried and equation.params["length"] not in view.repeated:
        together = _together(inner, inputs, n_constants, equation.params["length"])
        return _evaluate(together.jaxpr, together.consts, inputs, view)
    fixed, carry, rows = (
        inputs[:n_constants],
        inputs[n_constants : n_constants + n_carried],
        inputs[n_constants + n_carried :],
    )
    steps = range(equation.params["length"])
    stacked: list[list[Any]] = []
    for step in reversed(steps) if equation.params["reverse"] else steps:
        outputs = _evaluate(jaxpr, constants, [*fixed, *carry, *(row[step] for row in rows)], view)
        carry = outputs[:n_carried]
        stacked.append(outputs[n_carried:])
    if equation.params["reverse"]:
        stacked.reverse()
    return [*carry, *(jnp.stack(column) for column in zip(*stacked, strict=True))]


def _together(inner: Any, inputs: list[Any], n_constants: int, length: int) -> Any:
    """Return the program of all steps of a loop at once: that of vmap, in which each tagged array has a batch."""
    axes = tuple(None if number < n_constants else 0 for number in range(len(inputs)))
    return jax.make_jaxpr(jax.vmap(core.jaxpr_as_fun(inner), in_axes=axes, axis_size=length))(*inputs)


def narrowed(equation: Any) -> bool:
    """Return whether an equation turns float64 into a narrower float, or such a one into float64."""
    if equation.primitive.name == "convert_element_type":
        before, after = equation.invars[0].aval.dtype, equation.params["new_dtype"]
        floats = [jnp.issubdtype(dtype, jnp.floating) for dtype in (before, after)]
        return all(floats) and (before == jnp.float64) != (after == jnp.float64)
    return any(
        narrowed(inner) for program in inner_programs(equation) for inner in getattr(program, "jaxpr", program).eqns
    )


def compiled(function: Callable[..., Any]) -> Any:
    """Return a function compiled for one run: on a CPU without LLVM's optimization, which takes longer than the run."""
    quick = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=quick)


def trace(function: Callable[..., Any], *arguments: Any) -> tuple[core.ClosedJaxpr, Any]:
    """Return the program of a function, and the tree of its results."""
    program, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    return program, jax.tree.structure(shapes)
