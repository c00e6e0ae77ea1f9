"""The published results that a study reproduces, by name."""

from collections.abc import Sequence

from jax_impl.errors import unknown_name
from jax_impl.study.presets.notebook import NOT_ALL_ZERO, ONLY_THE_WEIGHTS_CHANGED
from jax_impl.study.presets.papers import GLOROT_2010, HE_2015
from jax_impl.study.presets.preset import Preset
from jax_impl.study.presets.pretraining import PRETRAINING_PRESET
from jax_impl.study.presets.starts import LSUV, ORTHOGONAL

ALL = "all"

PRESETS = {
    preset.name: preset
    for preset in (NOT_ALL_ZERO, ONLY_THE_WEIGHTS_CHANGED, GLOROT_2010, HE_2015, ORTHOGONAL, LSUV, PRETRAINING_PRESET)
}


def named(names: Sequence[str]) -> list[Preset]:
    """Return the presets of these names, all of them for `all`.

    Raises:
        ArgumentError: There is no such preset; the message lists them all.
    """
    for name in names:
        if name not in {*PRESETS, ALL}:
            raise unknown_name("preset", name, (*PRESETS, ALL))
    return [preset for preset in PRESETS.values() if preset.name in names or ALL in names]
