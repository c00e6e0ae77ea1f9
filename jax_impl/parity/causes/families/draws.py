"""Fresh initial weights: from which published law each side draws a leaf.

A law is reported if no test of the port's draws rejects it at the level `laws.SURVIVES`, and the reference's do.
All laws that cannot be told apart are named together: the more draws, the fewer.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import Floats, LeafCase
from jax_impl.parity.causes.compute.laws import FAR_LESS, SURVIVES, Sample, orthogonal
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.causes.leaves.drawn import Drawn, alike, drawn_of, law_like, shared_laws, surviving
from jax_impl.parity.causes.leaves.formulas import PUBLISHED, Named, default_of, packed_blocks
from jax_impl.parity.causes.leaves.initializers import fix_of
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair

MANY = 1000  # draws that tell a law by themselves; a quarter is enough for a published one
ENOUGH = 64  # draws from which on a law is named
WORDS = {"uniform": "a uniform law", "normal": "a normal law", "truncated": "a truncated normal law"}
SEVERAL = 6  # different laws that are named together at most
KNOWN = {"uniform": "pytorch 15314, jax 4862", "truncated": "flax 4091", "always": "flax 3125"}


def reference_law(pair: Pair, name: str, drawn: Drawn) -> tuple[str, Named | float | None]:
    """Return the reference's law in words, and the law itself or the constant."""
    if drawn.constant:
        value = float(drawn.rows.flat[0])
        return f"always {value:g}", value
    draws = drawn.moving
    if draws.size < 2:
        return "the same table in every model", None
    module = pair.modules.get(pair.module_of(name))
    gain = _orthogonal(pair, name, drawn.rows)
    if gain is not None:
        return f"orthogonal with gain {gain:.4g}", None
    found = surviving(pair, name, draws)
    for other in alike(pair, name, module.type if module else ""):
        like = drawn_of(pair.theirs, other) if len(found) > 1 else None
        if like is not None:
            found = shared_laws(found, surviving(pair, other, like.moving)) or found
    default = default_of(module.type if module else "")
    usual = [one for one in found if (one.law.kind, one.formula) == default]
    if usual or (found and draws.size >= ENOUGH):
        best = usual or found
        return _listed(best, SEVERAL // 2), best[0]
    fitted = _fitted(draws)
    return (fitted[0].text, fitted[0]) if fitted else (f"with std {draws.std:.3g}", None)


def _fitted(draws: Sample) -> list[Named]:
    """Return the kinds of laws that agree with the sample's own spread, if it is large enough to tell them apart."""
    found = draws.fitted() if draws.size >= 20 * ENOUGH else []
    return [Named(law, f"{law.scale:.3g} (estimated)") for law in found] if len(found) == 1 else []


def _orthogonal(pair: Pair, name: str, rows: Floats) -> float | None:
    """Return the gain of a leaf that is orthogonal, as a whole or in its blocks."""
    leaf, module = pair.leaves.get(name), pair.modules.get(pair.module_of(name))
    shape = leaf.shape if leaf else []
    blocks = packed_blocks(module.type if module else "", name)
    counts = (1, blocks) if blocks > 1 else (1,)
    return next((gain for count in counts if (gain := orthogonal(rows, shape, count)) is not None), None)


def _listed(laws: Sequence[Named], most: int) -> str:
    """Return laws as alternatives: those with the same numbers, and those that the draws cannot tell apart."""
    texts = list(dict.fromkeys(one.text for one in laws))
    more = f" or {len(texts) - most} more" if len(texts) > most else ""
    return " or ".join(texts[:most]) + more


def law(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield the law of the port's draws."""
    theirs, ours = Drawn(case.theirs), Drawn(case.ours)
    if not (theirs.usable and ours.usable):
        return
    words, reference = reference_law(case.pair, case.name, theirs)
    fix = fix_of(case.pair, case.name, reference, words)
    if ours.constant:
        value = float(ours.rows.flat[0])
        if not theirs.constant or value != theirs.rows.flat[0]:
            test = partial(_spread, ours.rows, value)
            yield Hypothesis(cause=f"always {value:g} instead of {words}", fix=fix, known=KNOWN["always"], test=test)
        return
    if not theirs.constant and theirs.moving.size < 2:
        return  # `dependence.seeds` tells of tables
    gain = _orthogonal(case.pair, case.name, ours.rows)
    if gain is not None:
        if not words.startswith("orthogonal"):
            test = partial(Measured, measured=0.0, allowed=1e-4)
            yield Hypothesis(cause=f"orthogonal with gain {gain:.4g} instead of {words}", fix=fix, test=test)
        return
    draws = ours.moving
    found, count = explaining(case.pair, case.name, theirs, ours)
    if found:
        yield Hypothesis(
            cause=f"{_alternatives(case, found, count)} instead of {words}",
            fix=fix,
            known=KNOWN.get(found[0].law.kind, "") if len({one.law.kind for one in found}) == 1 else "",
            test=partial(_likely, draws, found),
        )


def _alternatives(case: LeafCase, found: Sequence[Named], count: int) -> str:
    """Return the laws that explain the draws, and an orthogonal matrix if a sample of it would look the same.

    Few draws also agree with laws that nobody published: those reported are examples.
    """
    values = {(one.law.kind, round(one.law.scale, 9)) for one in found}
    kind = Drawn(case.ours).moving.kind
    kind = kind if {one.law.kind for one in found} == {kind} else None
    if len(values) > SEVERAL:
        few = "of which there are too few draws to tell"
        return f"{WORDS[kind]}, {few} its scale," if kind else f"another law, {few} it,"
    leaf = case.pair.leaves.get(case.name)
    shape = leaf.shape if leaf else []
    looks = [one for one in found if one.law.kind == "normal" and len(shape) == 2]
    like = any(math.isclose(one.law.scale, max(shape) ** -0.5, rel_tol=0.02) for one in looks)
    whole = case.ours.shape[1] == math.prod(shape)
    listed = _listed(found, 3 * SEVERAL) + (" or orthogonal" if like and not whole else "")
    usual = len(values) == 1 and count >= MANY / 4 and (found[0].law.kind, found[0].formula) in PUBLISHED
    return listed if count >= MANY or usual else f"{WORDS[kind] if kind else 'another law'}, such as {listed},"


def explaining(pair: Pair, name: str, theirs: Drawn, ours: Drawn) -> tuple[list[Named], int]:
    """Return the laws that ours does not reject and theirs does, and by how many draws.

    If there are some that explain all leaves of this name in modules of this type, only these are returned: one change
    is more likely than several. Of these, laws that are far less likely than another one are left out.
    """
    own, count = _alone(pair, name, theirs, ours), ours.moving.size
    total = likelihoods(own, ours.moving)
    module = pair.modules.get(pair.module_of(name))
    for other in alike(pair, name, module.type if module else "") if own else ():
        sides = drawn_of(pair.theirs, other), drawn_of(pair.ours, other)
        if sides[0] is not None and sides[1] is not None:
            alone = _alone(pair, other, sides[0], sides[1])
            if both := shared_laws(own, alone):
                own, count = both, count + sides[1].moving.size
                more = likelihoods(alone, sides[1].moving)
                total = {law: value + more.get(law, -math.inf) for law, value in total.items()}
    best = max((total[one.law.kind, one.formula] for one in own), default=0.0)
    return [one for one in own if total[one.law.kind, one.formula] >= best - FAR_LESS], count


def likelihoods(laws: Sequence[Named], draws: Sample) -> dict[tuple[str, str], float]:
    """Return the logarithm of the likelihood of some draws by each law, by its kind and formula."""
    return {(one.law.kind, one.formula): one.law.log_likelihood(draws.values) for one in laws}


def _alone(pair: Pair, name: str, theirs: Drawn, ours: Drawn) -> list[Named]:
    draws = ours.moving
    if draws.size < ENOUGH:
        return []
    found = surviving(pair, name, draws)
    expected = theirs.moving
    if theirs.constant:
        return found or _fitted(draws)
    mine = [one for one in found if expected.p_value(one.law) <= SURVIVES]
    shared = len(mine) < len(found)
    if found:
        return [] if shared else mine  # a law that both sides agree with is no difference
    return [law_like(pair, name, one, draws) for one in _fitted(draws) if expected.p_value(one.law) <= SURVIVES]


def _likely(draws: Sample, found: Sequence[Named]) -> Measured:
    best = max(draws.p_value(one.law) for one in found)
    return Measured(measured=-math.log10(max(best, 1e-300)), allowed=-math.log10(SURVIVES), unit="-log10 p")


def _spread(rows: Floats, value: float) -> Measured:
    return Measured(measured=float(np.abs(rows - value).max()), allowed=0.0, unit="absolute")


FAMILIES = (Family("law of the initial weights", law),)
