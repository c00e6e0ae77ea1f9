"""Mistakes as ports make them, each planted into one of the ports: what must fail, and where."""

from dataclasses import dataclass

from tests.ports.planting import Change

# The ladder's rungs
SETTINGS, DATA, STRUCTURE, WEIGHTS, FRESH, TRAIN, EVAL = range(1, 8)
LOSS, GRADIENTS, OPTIMIZER, STATE, TRAJECTORY = range(8, 13)
OWN = "own"


@dataclass(frozen=True)
class Fault:
    """A mistake in a port.

    Attributes:
        name: What is wrong.
        model: The port that has it.
        changes: Texts of the port's file and those that replace them.
        module: torch's path of the module that must be named, or more of them where either is right; "" is the root.
            None if no module is to blame: the rung alone is right or wrong.
        rung: The first rung that must see it.
        seen: The public thread where somebody made this mistake, or OWN.
        call: How the port's arguments are made, if not as usual.
        misnamed: Whether the ladder is known to name another module.
        load: False if the port converts the reference's weights by its own `from_torch`.
    """

    name: str
    model: str
    changes: tuple[Change, ...]
    module: str | tuple[str, ...] | None
    rung: int
    seen: str = OWN
    call: str | None = None
    load: bool = True
    misnamed: bool = False

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of which one must be named; none if no module is to blame."""
        return (self.module,) if isinstance(self.module, str) else self.module or ()


def faults() -> list[Fault]:
    """Return all of them."""
    from tests.ports.faults import bert, cnn, dcgan, encoder, gpt, llama, recurrent, resnet

    modules = (cnn, resnet, dcgan, gpt, llama, recurrent, encoder, bert)
    return [fault for module in modules for fault in module.FAULTS]
