"""What the port hands on or returns in place of the reference's array: another expression of what is at hand."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.causes.compute.layers.activations import IDENTITY
from jax_impl.parity.causes.families.glue.arrangements import REDUCTIONS
from jax_impl.parity.causes.families.glue.at_hand import calls_within, outer_call, reproduces, short
from jax_impl.parity.causes.families.glue.blocks import Block, restructured
from jax_impl.parity.causes.families.glue.explaining import THE_SAME, Glue
from jax_impl.parity.causes.families.glue.expressions import Expression, Term
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured

PLAIN = 2.0  # factors up to this size say little: 2 need not be the root of a size of 4


def relations(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield the expressions that give the port's array, beside the one that gives the reference's."""
    glue = Glue.of(case)
    if not glue.fits:
        return
    block = restructured(case)
    if block is not None:
        yield block
        return
    arrays = Block.of(case)
    theirs = arrays.wires.get(case.evidence, glue.reference)
    for ours in (arrays.spelt_out(one, arrays.wires) for one in glue.port):
        plain = len(ours.terms) == 1 and ours.outer is IDENTITY and ours.terms[0] == Term(ours.terms[0].operand)
        if whole_numbers(case) and not ours.names <= {one.name for one in glue.more_operands}:
            continue  # positions and the like: the indices of `modules.embeddings`
        if theirs is not None and told_of_modules(case, theirs, ours):
            continue
        if reproduces(case, ours.value()):
            continue  # another expression of the reference's own numbers
        if theirs is None and not (plain or THE_SAME in ours.names):
            continue
        if theirs is not None and only_activations_differ(theirs, ours):
            continue
        instead = str(theirs) if theirs is not None else THE_SAME
        word = special(case, theirs, ours)
        done = told(case, str(ours) + constant(case, theirs, ours))
        yield Hypothesis(
            cause=f"{word + ': ' if word else ''}{done} instead of {instead}",
            fix=told(case, instead, fix=True),
            test=partial(confirm, case, ours),
        )


def confirm(case: ForwardCase, expression: Expression) -> Measured | None:
    """Compare an expression of the reference's arrays with the port's array."""
    return case.target.agrees(expression.value())


def whole_numbers(case: ForwardCase) -> bool:
    """Return whether the array is an input of whole numbers or truth values."""
    return case.role == "input" and case.expected is not None and case.expected.dtype.kind in "iub"


def told_of_modules(case: ForwardCase, theirs: Expression, ours: Expression) -> bool:
    """Return whether the family of a module that the port lacks explains it: a pooling, or a module left out."""
    present = {call.module for call in calls_within(case)}
    absent = [call.module for call in calls_within(case, absent=True) if call.module not in present]
    pooled = any("Pool" in case.pair.modules[path].type for path in absent)
    reduced = str(theirs).startswith(tuple(f"the {name} of" for name, _ in REDUCTIONS))
    skipped = [term.operand.module in absent for term in theirs.terms if term.operand.name not in ours.names]
    return (pooled and reduced) or (skipped == [True] and special(case, theirs, ours).endswith("is left out"))


def told(case: ForwardCase, what: str, *, fix: bool = False) -> str:
    """Return what is done with an array: it is returned, or handed on."""
    if case.role == "output":
        return f"{'return' if fix else 'it returns'} {what}"
    to = "the model" if not case.call.module else short(case, case.call)
    return f"{'hand' if fix else 'it hands'} {to} {what}"


def only_activations_differ(theirs: Expression, ours: Expression) -> bool:
    """Return whether two expressions are the same but for one of their activations."""
    bare = [[(term.operand.name, term.factor) for term in one.terms] for one in (theirs, ours)]
    if sorted(bare[0]) != sorted(bare[1]) or theirs.product != ours.product:
        return False
    inner = [{(term.operand.name, term.inner.name) for term in one.terms} for one in (theirs, ours)]
    return (theirs.outer.name != ours.outer.name) + len(inner[0] - inner[1]) == 1


def special(case: ForwardCase, theirs: Expression | None, ours: Expression) -> str:
    """Return what such a change is called; empty if it has no name."""
    extra = [term for term in ours.terms if term.operand.name == THE_SAME]
    if theirs is None or extra:
        others = [term for term in ours.terms if term.operand.name != THE_SAME]
        if not extra or len(others) != 1 or extra[0].factor != 1 or ours.product:
            return ""
        residual = "the residual" if others[0].operand.own else others[0].operand.name
        return {1.0: f"{residual} is added once more", -1.0: f"{residual} is not added"}.get(others[0].factor, "")
    if theirs.product and ours.product and theirs.names == ours.names and theirs.outer is ours.outer:
        return "the activation is on the other factor"
    sums = not theirs.product and not ours.product
    missing = [term for term in theirs.terms if term.operand.name not in ours.names]
    added = [term for term in ours.terms if term.operand.name not in theirs.names]
    if sums and missing and not added and ours.outer.name == theirs.outer.name:
        if any(term.operand.own for term in missing):
            return "the residual is missing"
        return f"{' and '.join(term.operand.name for term in missing)} is not added"
    if any(map(dropped, missing)) and not any(map(dropped, added)):
        return "dropout is missing"
    if theirs.outer is not IDENTITY and not missing and not added and ours.outer is IDENTITY and len(ours.terms) > 1:
        return f"{theirs.outer.name} is applied before the sum instead of after it"
    if ours.outer is not IDENTITY and not missing and not added and theirs.outer is IDENTITY and len(ours.terms) > 1:
        return f"{ours.outer.name} is applied after the sum instead of before it"
    if sums and not added and not missing:
        twice = [
            term for term in ours.terms for one in theirs.terms if term == Term(one.operand, one.inner, 2 * one.factor)
        ]
        return f"{'the residual' if twice[0].operand.own else twice[0].operand.name} is added twice" if twice else ""
    return left_out(case, missing, added)


def dropped(term: Term) -> bool:
    """Return whether a term is dropped out by a mask that the module draws itself."""
    return term.operand.name.startswith(("dropout of ", "the dropout mask"))


def left_out(case: ForwardCase, missing: list[Term], added: list[Term]) -> str:
    """Return that a module is left out, if the port takes what goes into it for what comes out of it."""
    if len(missing) != 1 or len(added) != 1:
        return ""
    path = missing[0].operand.module
    for call in calls_within(case, absent=True):
        if call.module == path and call.inputs and call.inputs[0] is not None and not call.inputs[0].sampled:
            array = case.pair.theirs.array(call.inputs[0])
            if array.shape == added[0].operand.array.shape and np.array_equal(array, added[0].operand.array):
                return f"{short(case, call)} is left out"
    kinds = [case.pair.modules[one.operand.module].type for one in (*missing, *added) if one.operand.module]
    if len(kinds) == 2 and kinds[0] == kinds[1]:
        return "another module of the same kind"
    return ""


def constant(case: ForwardCase, theirs: Expression | None, ours: Expression) -> str:
    """Return what a factor of the port may stand for, in brackets."""
    known = {term.factor for term in theirs.terms} if theirs is not None else set()
    factors = [term.factor for term in ours.terms if term.factor not in {1.0, -1.0, 2.0, *known}]
    if len(factors) != 1:
        return ""
    meanings = list(dict.fromkeys(meaning(case, factors[0])))
    return f" ({' or '.join(meanings)})" if meanings else ""


def meaning(case: ForwardCase, factor: float) -> Iterator[str]:
    """Yield what a factor may be: a root, a size, or one that dropout uses."""
    shape = case.target.theirs.shape
    outer = outer_call(case)
    sizes = {size for one in (*(outer.inputs if outer else ()), case.target.theirs) if one for size in one.shape}
    for value, text in ((factor, "{}"), (1 / factor, "1 / {}")):
        square = value * value
        whole = abs(square - round(square)) < 1e-6 * square and round(square) in sizes
        if whole and value > PLAIN:
            yield text.format(f"sqrt({round(square)})")
        if shape and value > 1 and abs(value - shape[0]) < 1e-6:
            yield text.format(f"the batch size {shape[0]}")
    rates = {mask.rate for mask in case.passes[0].masks if mask.rate}
    for rate in rates:
        if math.isclose(factor, 1 - rate, rel_tol=1e-6):
            yield f"1 - dropout rate {rate:g}"
        if math.isclose(factor, 1 / (1 - rate), rel_tol=1e-6):
            yield f"1 / (1 - dropout rate {rate:g})"


FAMILIES = (Family("another expression of the arrays at hand", relations, last_resort=True),)
