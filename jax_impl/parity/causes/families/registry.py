"""All families, by the kind of case."""

from jax_impl.parity.causes.families import data, dependence, draws, modules, norms, shapes, structure, weights
from jax_impl.parity.causes.families.glue import activations, dropout, relations, settings, through_linear
from jax_impl.parity.causes.families.sequences import attention, heads, recurrent
from jax_impl.parity.causes.families.steps import constants, gradients, losses, state, trajectory
from jax_impl.parity.causes.families.steps.optimizing import optimizer
from jax_impl.parity.causes.hypotheses import Family

FAMILIES: dict[str, tuple[Family, ...]] = {
    "settings": settings.FAMILIES,
    "data": data.FAMILIES,
    "structure": structure.FAMILIES,
    "weights": weights.FAMILIES,
    "fresh": (*draws.FAMILIES, *dependence.LEAVES),
    "dependence": dependence.BETWEEN,
    "forward": (
        *norms.FAMILIES,
        *modules.FAMILIES,
        *activations.FAMILIES,
        *dropout.FAMILIES,
        *attention.FAMILIES,
        *heads.FAMILIES,
        *recurrent.FAMILIES,
        *relations.FAMILIES,
        *through_linear.FAMILIES,
    ),
    "shape": shapes.FAMILIES,
    "loss": losses.FAMILIES,
    "gradients": (*gradients.FAMILIES, *constants.FAMILIES),
    "optimizer": optimizer.FAMILIES,
    "state": state.FAMILIES,
    "trajectory": trajectory.FAMILIES,
}
