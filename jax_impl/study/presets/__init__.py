"""The published results that a study reproduces: one file per result, with its claim, parts, bands and figure."""

from collections.abc import Sequence

from jax_impl.errors import unknown_name
from jax_impl.study.presets import (
    glorot_2010,
    he_2015,
    lsuv,
    not_all_zero,
    only_the_weights_changed,
    orthogonal,
    pretraining,
)
from jax_impl.study.presets.preset import Preset

ALL = "all"

PRESETS: dict[str, Preset] = {
    result.PRESET.name: result.PRESET
    for result in (not_all_zero, only_the_weights_changed, glorot_2010, he_2015, orthogonal, lsuv, pretraining)
}


def named(names: Sequence[str]) -> list[Preset]:
    """Return the presets with these names, in the order of `PRESETS`. The name `all` stands for every preset.

    Raises:
        ArgumentError: A name is unknown. The message lists the known ones.
    """
    for name in names:
        if name not in {*PRESETS, ALL}:
            raise unknown_name("preset", name, (*PRESETS, ALL))
    return [preset for preset in PRESETS.values() if preset.name in names or ALL in names]
