"""Attention and transformers (torch/nn/modules/activation.py and transformer.py)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from jax_impl.replay import init
from jax_impl.replay.arguments import floating, integer
from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.modules.building import Copies, Tensors, divided, initial
from jax_impl.replay.modules.layers import Linear
from jax_impl.replay.modules.norms import LayerNorm


@dataclass(frozen=True)
class MultiheadAttention:
    """`nn.MultiheadAttention`: packed, or with sizes of their own for keys and values."""

    embed_dim: int
    num_heads: int
    dropout: float = 0.0
    bias: bool = True
    add_bias_kv: bool = False
    add_zero_attn: bool = False
    kdim: int | None = None
    vdim: int | None = None
    batch_first: bool = False

    def __post_init__(self) -> None:
        """Refuse what torch refuses."""
        divided("embed_dim", integer("embed_dim", self.embed_dim, 1), "num_heads", self.num_heads)

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw the output layer, whose bias then becomes 0, and after it the projections and bias_k, bias_v."""
        size, tensors = self.embed_dim, {}
        out = Linear(size, size, self.bias).tensors(generator, dtype)
        sizes = (size, *(size if one is None else one for one in (self.kdim, self.vdim)))
        if sizes == (size, size, size):
            tensors["in_proj_weight"] = init.xavier_uniform(generator, (3 * size, size), dtype=dtype)
        else:
            for name, inputs in zip("qkv", sizes, strict=True):
                tensors[f"{name}_proj_weight"] = init.xavier_uniform(generator, (size, inputs), dtype=dtype)
        if self.bias:
            zeros = floating(dtype).rounded(np.zeros(3 * size))
            tensors["in_proj_bias"], out["bias"] = zeros, zeros[:size].copy()
        if self.add_bias_kv:
            for name in ("bias_k", "bias_v"):
                tensors[name] = init.xavier_normal(generator, (1, 1, size), dtype=dtype)
        return tensors | {f"out_proj.{name}": tensor for name, tensor in out.items()}


@dataclass(frozen=True)
class TransformerEncoderLayer:
    """`nn.TransformerEncoderLayer`. The layers of `nn.TransformerEncoder` are `Copies` of one."""

    d_model: int
    nhead: int
    dim_feedforward: int = 2048
    dropout: float = 0.1
    activation: object = "relu"
    layer_norm_eps: float = 1e-5
    batch_first: bool = False
    norm_first: bool = False
    bias: bool = True

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw self_attn, linear1 and linear2."""
        attention = {"self_attn": MultiheadAttention(self.d_model, self.nhead, bias=self.bias)}
        return initial(attention | _feed_forward(self, norms=2), generator, dtype)


@dataclass(frozen=True)
class TransformerDecoderLayer(TransformerEncoderLayer):
    """`nn.TransformerDecoderLayer`. The layers of `nn.TransformerDecoder` are `Copies` of one."""

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw self_attn, multihead_attn, linear1 and linear2."""
        one = MultiheadAttention(self.d_model, self.nhead, bias=self.bias)
        attention = {"self_attn": one, "multihead_attn": one}
        return initial(attention | _feed_forward(self, norms=3), generator, dtype)


def _feed_forward(layer: TransformerEncoderLayer, *, norms: int) -> dict[str, Any]:
    linear: dict[str, Any] = {
        "linear1": Linear(layer.d_model, layer.dim_feedforward, layer.bias),
        "linear2": Linear(layer.dim_feedforward, layer.d_model, layer.bias),
    }
    return linear | {f"norm{number}": LayerNorm(layer.d_model, bias=layer.bias) for number in range(1, norms + 1)}


@dataclass(frozen=True)
class Transformer:
    """`nn.Transformer`, which draws all matrices again after its layers were copied."""

    d_model: int = 512
    nhead: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    dim_feedforward: int = 2048
    dropout: float = 0.1
    activation: object = "relu"
    custom_encoder: None = None
    custom_decoder: None = None
    layer_norm_eps: float = 1e-5
    batch_first: bool = False
    norm_first: bool = False
    bias: bool = True

    def __post_init__(self) -> None:
        """Refuse what is not replayed."""
        if self.custom_encoder is not None or self.custom_decoder is not None:
            raise ValueError(
                "a Transformer with a custom encoder or decoder is not replayed: draw its parts one by one"
            )

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw a layer of each kind, and then every matrix by Xavier."""
        sizes = (self.d_model, self.nhead, self.dim_feedforward)
        norm = LayerNorm(self.d_model, bias=self.bias)
        encoder = {
            "layers": Copies(TransformerEncoderLayer(*sizes, bias=self.bias), self.num_encoder_layers),
            "norm": norm,
        }
        decoder = {
            "layers": Copies(TransformerDecoderLayer(*sizes, bias=self.bias), self.num_decoder_layers),
            "norm": norm,
        }
        tensors = initial({"encoder": encoder, "decoder": decoder}, generator, dtype)
        for name, tensor in tensors.items():
            if tensor.ndim > 1:
                tensors[name] = init.xavier_uniform(generator, tensor.shape, dtype=dtype)
        return tensors
