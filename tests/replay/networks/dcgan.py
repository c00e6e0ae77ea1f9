"""The generator of PyTorch's DCGAN tutorial. `apply(weights_init)` draws the norms' scales, too."""

from itertools import pairwise

from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.modules import BatchNorm, ConvTranspose2d, initial


def tensors(seed, widths=(100, 512, 256, 128, 64, 3)):
    layers = []
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        layers.append(ConvTranspose2d(inputs, outputs, 4, bias=False))
        if number < len(widths) - 2:
            layers += [BatchNorm(outputs), None]  # and ReLU
    generator = TorchGenerator(seed)
    found = initial({"main": layers}, generator)
    for name, tensor in found.items():
        if tensor.ndim == 4:
            found[name] = generator.normal(tensor.shape, 0.0, 0.02)
        elif name.endswith("weight"):
            found[name] = generator.normal(tensor.shape, 1.0, 0.02)
    return found
