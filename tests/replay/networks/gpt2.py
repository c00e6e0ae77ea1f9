"""GPT-2 as nanoGPT builds it: output layer and embedding are one tensor, and are drawn twice."""

from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.modules import Embedding, LayerNorm, Linear, initial


def tensors(seed, words=50257, context=1024, layers=12, width=768):
    block = {"ln_1": LayerNorm(width), "attn": {"c_attn": Linear(width, 3 * width), "c_proj": Linear(width, width)}}
    block |= {"ln_2": LayerNorm(width), "mlp": {"c_fc": Linear(width, 4 * width), "c_proj": Linear(4 * width, width)}}
    body = {"wte": Embedding(words, width), "wpe": Embedding(context, width), "h": [block] * layers}
    network = {"transformer": body | {"ln_f": LayerNorm(width)}, "lm_head": Linear(width, words, bias=False)}
    generator = TorchGenerator(seed)
    found = initial(network, generator)
    for name, tensor in found.items():
        if tensor.ndim == 2:
            found[name] = generator.normal(tensor.shape, 0.0, 0.02)
        elif name.endswith("bias"):
            found[name] = 0 * tensor
    found["transformer.wte.weight"] = found["lm_head.weight"]
    for name, tensor in found.items():
        if name.endswith("c_proj.weight"):
            found[name] = generator.normal(tensor.shape, 0.0, 0.02 / (2 * layers) ** 0.5)
    return found
