"""torchvision's `resnet18()`: a shortcut is built before its block, and then all convolutions are drawn again."""

from jax_impl.replay import init
from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.modules import BatchNorm, Conv2d, Linear, initial


def tensors(seed):
    network, inputs = {"conv1": Conv2d(3, 64, 7, bias=False), "bn1": BatchNorm(64)}, 64
    for layer, width in enumerate((64, 128, 256, 512), start=1):
        for name in (f"layer{layer}.0", f"layer{layer}.1"):
            if inputs != width:
                network[f"{name}.downsample"] = [Conv2d(inputs, width, 1, bias=False), BatchNorm(width)]
            network[name] = {"conv1": Conv2d(inputs, width, 3, bias=False), "bn1": BatchNorm(width)}
            network[name] |= {"conv2": Conv2d(width, width, 3, bias=False), "bn2": BatchNorm(width)}
            inputs = width
    network["fc"] = Linear(512, 1000)
    generator = TorchGenerator(seed)
    found = initial(network, generator)
    for name in sorted(found):  # torch's order of modules is alphabetical here
        if found[name].ndim == 4:
            found[name] = init.kaiming_normal(generator, found[name].shape, mode="fan_out", nonlinearity="relu")
    return found
