"""ResNets that others released as ports. Their computations agree with torchvision's, and their training does not."""

from typing import Any

import jax
import jax.numpy as jnp
import jax_resnet
import optax
from jax_resnet.resnet import ResNetBlock, ResNetStem


def loss(model: Any, batch: Any) -> jax.Array:
    x, y = batch
    logits = model(jnp.transpose(x, (0, 2, 3, 1)))
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def small() -> Any:
    """Return jax-resnet's network in the size of `theirs.Small`."""
    return jax_resnet.ResNet(
        ResNetBlock, stage_sizes=[2, 1, 1, 1], hidden_sizes=(8, 16, 32, 64), n_classes=10, stem_cls=ResNetStem
    )


def fresh(seed: int) -> Any:
    module = small()
    return module, module.init(jax.random.key(seed), jnp.zeros((1, 32, 32, 3)))


def ours(with_fresh: bool = True) -> dict[str, Any]:
    """Return jax-resnet's: the last BatchNorm of each block starts at zero, and all store the biased variance."""
    run = {"model": small(), "loss": loss, "optimizer": optax.adam(1e-3)}
    return run | ({"fresh": fresh} if with_fresh else {})


def with_flaxmodels() -> dict[str, Any]:
    """Return flaxmodels' ResNet-18: torch's momentum of 0.1 means 0.9 in Flax."""
    from flaxmodels import ResNet18

    def loss_in_mode(model: Any, batch: Any, train: bool) -> jax.Array:
        return loss(lambda x: model(x, train=train), batch)

    module = ResNet18(output="logits", pretrained=None, normalize=False, num_classes=10)
    return {"model": module, "loss": loss_in_mode, "optimizer": optax.adam(1e-3)}
