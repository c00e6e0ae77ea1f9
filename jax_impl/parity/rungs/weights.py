"""Rung 4: the weights before training, as the port loaded them."""

from jax_impl.parity.checks import check
from jax_impl.parity.pair import Pair
from jax_impl.parity.verdict import Evidence, Rung

STAGE = "weights before training"


def weights(pair: Pair) -> Rung:
    """Compare each leaf before training, taken to the port and back to the reference's layout."""
    loaded = pair.ours.content.loaded
    checks = tuple(
        check(
            found,
            place=name,
            stage=STAGE,
            what="values",
            finding="differ",
            module=pair.module_of(name),
            evidence=Evidence(leaf=name),
        )
        for name, found in pair.starts.items()
    )
    converted = "the port came with weights of its own (load=False): these are what your converter made"
    return Rung(
        number=4,
        title="Weights there and back",
        question="Are the weights the same on both sides after conversion?",
        checks=checks,
        reason="" if checks else "no leaf has a partner",
        notes=() if loaded else (converted,),
    )
