"""Rungs 8 and 9: the loss, and its gradients from the deepest module on."""

from collections.abc import Iterator

from jax_impl.parity.checks import check
from jax_impl.parity.measures.execution import events
from jax_impl.parity.pair import MODES, Pair
from jax_impl.parity.records.content import Reference
from jax_impl.parity.verdict import Check, Evidence, Rung


def loss(pair: Pair) -> Rung:
    """Compare the loss of the first batch in both modes."""
    checks = []
    for mode, title in MODES.items():
        theirs, ours = pair.forward(mode)
        if theirs is not None and theirs.loss is not None:
            value = None if ours is None else ours.loss
            found = pair.tolerance.number(value, theirs.loss, theirs.loss_noise, loose=bool(pair.in_float32(mode)))
            checks.append(
                check(found, place="the value", stage=f"loss, {title}", what="loss", finding="differs", module=None)
            )
    return Rung(
        number=8,
        title="Loss",
        question="Is the loss of the first batch the same?",
        checks=tuple(checks),
        reason="" if checks else "the reference recorded no loss: pass loss= to torch_ref.record.save",
    )


def gradients(pair: Pair) -> Rung:
    """Compare the gradient of each leaf, in the order in which backpropagation computes them."""
    theirs, ours = pair.theirs.content.gradients, pair.ours.content.gradients
    checks = list(_checks(pair, theirs, ours or {})) if theirs else []
    return Rung(
        number=9,
        title="Gradients",
        question="Are the gradients of the first batch the same, from the loss backwards?",
        checks=tuple(checks),
        reason="" if checks else "the reference recorded no gradients: pass loss= to torch_ref.record.save",
    )


def backward_order(pair: Pair) -> list[str]:
    """Return the names of paired leaves: those of the module that begins last first."""
    train, _ = pair.forward("train")
    calls = train.free if train else []
    begun = [calls[event.call].module for event in events(calls) if event.begins]
    last = {module: number for number, module in enumerate(begun)}
    names = [name for name, terms in pair.paired.items() if _kind(pair, terms[0].leaf) == "parameter"]
    return sorted(names, key=lambda name: -last.get(pair.module_of(name), -1))


def _kind(pair: Pair, leaf: str) -> str:
    return pair.leaves[leaf].kind if leaf in pair.leaves else ""


def _checks(pair: Pair, theirs: dict[str, Reference | None], ours: dict[str, Reference | None]) -> Iterator[Check]:
    unit = pair.tolerance.unit
    largest = max((one.norm for one in theirs.values() if one is not None and one.norm < 1e300), default=0.0)
    agree = 0
    for name in backward_order(pair):
        if pair.paired[name][0].leaf not in theirs:  # frozen
            continue
        # An absolute floor: next to the largest gradient, one of this size is rounding, even if it is zero in theory
        slack = unit * largest
        found = pair.compare_leaf(name, ours, theirs, loose=pair.computes_in_float32, slack=slack, summed=False)
        finding = "differs, those of later modules agree" if agree > 0 else "differs"
        yield check(
            found,
            place=name,
            stage="gradients",
            what="gradient",
            finding=finding,
            module=pair.module_of(name),
            evidence=Evidence(leaf=name),
        )
        agree = agree + 1 if found.passed and agree >= 0 else -1  # -1 after the first difference
