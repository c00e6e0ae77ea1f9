"""The models by name: where their programs are, and what their two functions are called."""

import importlib
from dataclasses import dataclass
from typing import Any

from tests.ports.planting import Change, planted


@dataclass(frozen=True)
class Port:
    """A torch program and its port to JAX.

    Attributes:
        theirs: The module with the torch program, and the expression that gives the arguments of `record.save`.
        ours: The module with the port, and the expression that gives the arguments of `parity.save`.
    """

    theirs: tuple[str, str]
    ours: tuple[str, str]

    def reference(self, call: str | None = None) -> dict[str, Any]:
        """Return the arguments of `record.save`. Imports torch."""
        return evaluated(importlib.import_module(f"tests.ports.{self.theirs[0]}"), call or self.theirs[1])

    def port(self, *changes: Change, call: str | None = None) -> dict[str, Any]:
        """Return the arguments of `parity.save`, after changes of the port's source."""
        return evaluated(planted(f"tests.ports.{self.ours[0]}", changes), call or self.ours[1])


def evaluated(module: Any, expression: str) -> Any:
    return eval(expression, dict(vars(module)))


PORTS = {
    "cnn": Port(("cnn.theirs", "theirs()"), ("cnn.ours", "ours()")),
    "resnet": Port(("resnet.theirs", "theirs()"), ("resnet.ours", "ours()")),
    "dcgan": Port(("dcgan.theirs", "theirs()"), ("dcgan.ours", "ours()")),
    "gpt": Port(("gpt.theirs", "theirs()"), ("gpt.ours", "ours()")),
    "lstm": Port(("lstm.theirs", "theirs()"), ("lstm.ours", "ours()")),
    "gru": Port(("lstm.theirs", "theirs(Gru)"), ("lstm.ours", "ours(gru, fresh_gru)")),
    "encoder": Port(("encoder.theirs", "theirs()"), ("encoder.ours", "ours()")),
    "encoder_equinox": Port(("encoder.theirs", "theirs()"), ("encoder.ours_equinox", "ours()")),
    "llama": Port(("llama.theirs", "theirs()"), ("llama.ours", "ours()")),
    "bert": Port(("bert.theirs", "theirs()"), ("bert.ours", "ours()")),
}
FULL = {
    "large": Port(("large.theirs", "theirs()"), ("large.ours", "ours()")),
    "resnet18": Port(("resnet.theirs", "theirs(full, size=64, batch_size=8)"), ("resnet.ours", "ours(full)")),
}
