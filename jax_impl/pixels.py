"""Pixels as every network sees them."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, UInt8


def scale(images: UInt8[Array, "batch pixels"], dtype: DTypeLike) -> Float[Array, "batch pixels"]:
    """Map pixels 0 … 255 to [0, 1], as `torchvision.transforms.ToTensor` does.

    By table, since XLA may turn `x / 255` into `x * (1 / 255)`, which is off in the last bit for 126 of the 256.
    """
    table = np.arange(256, dtype=dtype) / np.asarray(255, dtype)
    return jnp.asarray(table)[images]
