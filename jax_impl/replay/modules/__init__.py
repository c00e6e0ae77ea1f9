"""The tensors that a module of `torch.nn` has after `torch.manual_seed(seed)`, without torch.

    from jax_impl.replay.modules import Conv2d, Linear, initial

    tensors = initial({"conv": Conv2d(1, 8, 3), "fc": Linear(1352, 10)}, seed=0)

A spec has torch's name and arguments, in torch's order. Those that do not matter for the draws are accepted, too. A
network is a mapping of names to specs, or a list as in `nn.Sequential` with None for modules without tensors, in the
order in which the program builds them. Names join by dots.

What the program draws afterwards is drawn by the functions of `replay.init`, with the generator that was passed to
`initial`. Tensors that are built and then overwritten have drawn, too.
"""

from jax_impl.replay.modules.attention import (
    MultiheadAttention,
    Transformer,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from jax_impl.replay.modules.building import Copies, initial
from jax_impl.replay.modules.layers import (
    Bilinear,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Embedding,
    EmbeddingBag,
    Linear,
)
from jax_impl.replay.modules.norms import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, PReLU, RMSNorm
from jax_impl.replay.modules.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BatchNorm",
    "Bilinear",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Copies",
    "Embedding",
    "EmbeddingBag",
    "GRUCell",
    "GroupNorm",
    "InstanceNorm",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "MultiheadAttention",
    "PReLU",
    "RMSNorm",
    "RNNCell",
    "Transformer",
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
    "initial",
]
