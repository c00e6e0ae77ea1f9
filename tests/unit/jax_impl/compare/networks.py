"""Three small networks in NumPy whose products add up in any order: what correct float32 programs may differ in."""

from itertools import pairwise

import numpy as np

SIZES = {"mlp": (784, 256, 256, 256, 10), "conv": (3, 16, 32), "resnet": (8, 16, 32)}


class Product:
    """A matrix product, in a random order of summation and with partial sums of a random length.

    Without an `rng` it is NumPy's own. With `bits` both factors are rounded to so many bits after the leading one: 10
    in TF32, 7 in bfloat16. `only` is the number of the product that is rounded, counted from 0; None rounds all.
    """

    def __init__(self, rng=None, *, bits=None, only=None):
        self.rng, self.bits, self.only, self.calls = rng, bits, only, 0
        self.block = None if rng is None else int(rng.choice([8, 32, 128, 10**6]))

    def __call__(self, a, b):
        if self.bits is not None and self.only in {None, self.calls}:
            a, b = rounded(a, self.bits), rounded(b, self.bits)
        self.calls += 1
        if self.rng is None:
            return a @ b
        terms = self.rng.permutation(len(b))
        parts = [a[:, rows] @ b[rows] for rows in np.split(terms, range(self.block, len(b), self.block))]
        return sum(parts[1:], parts[0])


def rounded(array, bits):
    """Round float32 to `bits` bits after the leading one, ties to even."""
    drop = 23 - bits
    whole = np.ascontiguousarray(array).view(np.uint32).astype(np.uint64)
    whole += (1 << (drop - 1)) - 1 + ((whole >> drop) & 1)
    return (whole >> drop << drop).astype(np.uint32).view(np.float32)


def weights(kind, rng):
    """Return random weights (fan_in, fan_out) of the network's products, and its inputs' shape."""
    sizes = SIZES[kind]
    if kind == "mlp":
        fans, inputs = list(pairwise(sizes)), (16, 784)
    elif kind == "conv":
        fans, inputs = [(9 * i, o) for i, o in pairwise(sizes)] + [(32 * 6 * 6, 10)], (4, 12, 12, 3)
    else:
        fans, inputs = [(27, sizes[0])], (2, 10, 10, 3)
        for i, o in pairwise(sizes):
            fans += [(9 * i, o), (9 * o, o), (i, o)]
        fans.append((sizes[-1], 10))
    return [rng.normal(size=fan).astype(np.float32) * np.float32(np.sqrt(2 / fan[0])) for fan in fans], inputs


def outputs(kind, tensors, inputs, product):
    """Return what every layer of the network puts out, by name, in the dtype of its inputs."""
    tensors, seen = iter([tensor.astype(inputs.dtype) for tensor in tensors]), {}

    def keep(name, array):
        seen[f"{name}{len(seen)}"] = array
        return array

    def conv(x, size=3):
        return keep("conv", product(patches(x, size), next(tensors)).reshape(*x.shape[:3], -1))

    if kind == "mlp":
        for _ in SIZES[kind][1:]:
            inputs = np.maximum(keep("linear", product(inputs, next(tensors))), 0)
    elif kind == "conv":
        for _ in SIZES[kind][1:]:
            inputs = np.maximum(conv(inputs), 0)
        inputs = inputs[:, ::2, ::2].reshape(len(inputs), -1)
    else:
        x = np.maximum(normalized(conv(inputs)), 0)
        for _ in SIZES[kind][1:]:
            y = keep("norm", normalized(conv(np.maximum(normalized(conv(x)), 0))))
            x = keep("block", np.maximum(y + normalized(conv(x, 1)), 0))
        inputs = x.mean(axis=(1, 2))
    logits = inputs if kind == "mlp" else keep("linear", product(inputs, next(tensors)))
    shifted = logits - logits.max(axis=1, keepdims=True)
    keep("loss", -(shifted[:, 0] - np.log(np.exp(shifted).sum(axis=1))).mean())
    return seen


def patches(x, size):
    """Return the size² neighbourhoods of all pixels of (n, h, w, c) as rows."""
    if size == 1:
        return x.reshape(-1, x.shape[-1])
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return windows.reshape(-1, size * size * x.shape[-1])


def normalized(x):
    """BatchNorm without state: zero mean and unit variance of each channel."""
    centred = x - x.mean(axis=(0, 1, 2), keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=(0, 1, 2), keepdims=True) + np.asarray(1e-5, x.dtype))
