"""Recorded dropout draws exactly what torch draws, and says where."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from torch_ref.record.arrays import Recording
from torch_ref.record.program.capture import Capture, hooked
from torch_ref.record.program.masks import Masks, replaced
from torch_ref.record.structures import tensors


def with_masks(function: Callable[[], Any], modules: dict[str, nn.Module] | None = None) -> tuple[Any, Any, Masks]:
    """Return what a function computes with torch's dropout, with the recorded one, and the masks."""
    torch.manual_seed(3)
    plain = function()
    after = torch.get_rng_state()
    torch.manual_seed(3)
    recording = Recording()
    capture = Capture(recording, None)
    masks = Masks(recording, "train", torch.device("cpu"), capture)
    capture.returned = masks.watch
    with replaced(masks), hooked(list((modules or {}).items()), capture):
        recorded = function()
    masks.end()
    assert after.equal(torch.get_rng_state())
    return plain, recorded, masks


X = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(0))
Q, K, V = torch.randn(3, 2, 4, 9, 8, generator=torch.Generator().manual_seed(1))
ADDED = torch.randn(9, 9, generator=torch.Generator().manual_seed(2))
BOOLEAN = (ADDED > 0).index_fill(0, torch.tensor([2]), False)  # one row attends to nothing
DROPOUT: dict[str, tuple[Callable[[torch.dtype], torch.Tensor], tuple[int, ...]]] = {
    "dropout": (lambda d: functional.dropout(X.to(d), 0.3), (3, 4, 6, 5)),
    "in place": (lambda d: functional.dropout(X.to(d, copy=True), 0.3, inplace=True), (3, 4, 6, 5)),
    "transposed": (lambda d: functional.dropout(X.to(d).transpose(0, 2), 0.3), (6, 4, 3, 5)),
    "torch's": (lambda d: torch.dropout(X.to(d), 0.3, True), (3, 4, 6, 5)),
    "everything": (lambda d: functional.dropout(X.to(d), 1.0), (3, 4, 6, 5)),
    "1d": (lambda d: functional.dropout1d(X[0].to(d), 0.3), (4, 6, 1)),
    "1d unbatched": (lambda d: functional.dropout1d(X[0, 0].to(d), 0.3), (1, 6, 1)),
    "2d": (lambda d: functional.dropout2d(X.to(d), 0.3), (3, 4, 1, 1)),
    "2d in place": (lambda d: functional.dropout2d(X.to(d, copy=True), 0.3, inplace=True), (3, 4, 1, 1)),
    "3d": (lambda d: functional.dropout3d(X[None].to(d), 0.3), (1, 3, 1, 1, 1)),
}


def attention(dtype: torch.dtype, mask: torch.Tensor | None = None, heads: int = 4, **options: Any) -> torch.Tensor:
    query, key, value = Q.to(dtype), K[:, :heads].to(dtype), V[:, :heads].to(dtype)
    mask = mask.to(dtype) if mask is not None and mask.is_floating_point() else mask
    return functional.scaled_dot_product_attention(query, key, value, mask, dropout_p=0.2, **options)


ATTENTION: dict[str, Callable[[torch.dtype], torch.Tensor]] = {
    "plain": attention,
    "causal": lambda d: attention(d, is_causal=True),
    "scaled": lambda d: attention(d, scale=0.3),
    "added mask": lambda d: attention(d, ADDED),
    "boolean mask": lambda d: attention(d, BOOLEAN),
    "grouped": lambda d: attention(d, heads=2, enable_gqa=True),
}
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DROPOUT)
def test_dropout_is_torchs_own_bit_for_bit(name: str, dtype: torch.dtype) -> None:
    function, shape = DROPOUT[name]
    plain, recorded, masks = with_masks(lambda: function(dtype))
    assert plain.equal(recorded)
    (mask,) = masks.drawn
    like = recorded[None] if recorded.ndim < len(shape) else recorded  # one without a batch is given one
    assert mask["shape"] == list(shape)
    assert mask["array"].stored.dtype == bool
    assert (recorded != 0).equal(torch.from_numpy(mask["array"].stored).expand(like.shape).reshape(recorded.shape))
    assert masks.others == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_torchs_own_bit_for_bit(name: str, dtype: torch.dtype) -> None:
    plain, recorded, masks = with_masks(lambda: ATTENTION[name](dtype))
    assert plain.equal(recorded)
    assert plain.dtype == recorded.dtype
    assert [(mask["rate"], mask["shape"]) for mask in masks.drawn] == [(0.2, [2, 4, 9, 9])]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_recurrent_layers_are_torchs_own_bit_for_bit(
    kind: type[nn.RNNBase], bidirectional: bool, batch_first: bool, packed: bool
) -> None:
    torch.manual_seed(1)
    model = kind(3, 4, 3, dropout=0.4, bidirectional=bidirectional, batch_first=batch_first, dtype=torch.float64)
    inputs: Any = torch.randn(5, 6, 3, dtype=torch.float64)
    if packed:
        lengths = [6, 5, 5, 3, 1] if batch_first else [5, 5, 4, 2, 1, 1]
        inputs = pack_padded_sequence(inputs, lengths, batch_first=batch_first)
    plain, recorded, masks = with_masks(lambda: list(tensors(model(inputs))), {"rnn": model})
    assert all(a.equal(b) for a, b in zip(plain, recorded, strict=True))
    directions = 2 if bidirectional else 1
    first = [20 if batch_first else 18] if packed else [6, 5] if batch_first else [5, 6]  # time before batch
    assert [(mask["module"], mask["shape"]) for mask in masks.drawn] == [("rnn", [*first, 4 * directions])] * 2
    assert masks.others == []


def test_gradients_pass_through_the_mask() -> None:
    x = torch.ones(50, requires_grad=True)
    (plain, recorded, _) = with_masks(
        lambda: torch.autograd.grad(functional.dropout(x * 2, 0.3, inplace=True).sum(), x)[0]
    )
    assert plain.equal(recorded)


def test_a_mask_names_the_innermost_module() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True)
    modules = dict(layer.named_modules())
    _, _, masks = with_masks(lambda: layer(torch.ones(2, 5, 8)), modules)
    assert [mask["module"] for mask in masks.drawn] == ["self_attn", "dropout1", "dropout", "dropout2"]


def test_no_dropout_is_no_mask() -> None:
    model = nn.Sequential(nn.Dropout(0.0), nn.Dropout(0.5), nn.LSTM(3, 3, 2, dropout=0.5)).eval()
    _, _, masks = with_masks(lambda: model(torch.ones(4, 3)))
    assert masks.drawn == []
    _, _, masks = with_masks(lambda: functional.dropout(torch.ones(0), 0.5))
    assert masks.drawn == []
    _, _, masks = with_masks(lambda: functional.dropout(torch.ones(2), 0.5, training=True))  # also in evaluation mode
    assert len(masks.drawn) == 1


class Noisy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


def test_other_random_numbers_are_noticed_where_they_are_drawn() -> None:
    model = nn.Sequential(nn.Dropout(0.5), Noisy(), nn.AlphaDropout(0.1), nn.Dropout(0.5), nn.Identity())
    plain, recorded, masks = with_masks(lambda: model(torch.ones(4)), dict(model.named_modules()))
    assert plain.equal(recorded)
    assert masks.others == ["1", "2"]
    assert [mask["module"] for mask in masks.drawn] == ["0", "3"]
    _, _, masks = with_masks(lambda: torch.rand(1))
    assert masks.others == [""]


def test_the_functions_are_put_back() -> None:
    before = (torch.dropout, torch.lstm, functional.scaled_dot_product_attention, vars(torch._VF).keys())
    with_masks(lambda: functional.dropout(X))
    assert before == (torch.dropout, torch.lstm, functional.scaled_dot_product_attention, vars(torch._VF).keys())
