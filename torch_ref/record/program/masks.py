"""Dropout whose masks are known: the numbers are drawn exactly as torch draws them on the CPU.

`torch.nn.functional`'s dropout functions all end in `torch._VF`, which is replaced here. So nn.Dropout, attention, and
code that calls or has imported the functions itself, are all seen.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch

from torch_ref.record.arrays import Array
from torch_ref.record.noise import Sink
from torch_ref.record.program import recurrent
from torch_ref.record.program.capture import Capture


class Masks:
    """The masks of one pass, and who else draws random numbers.

    Attributes:
        drawn: Entries of record.json's `masks`.
        others: Modules that draw random numbers which are no mask.
    """

    def __init__(self, sink: Sink, prefix: str, device: torch.device, capture: Capture) -> None:
        self.drawn: list[dict[str, Any]] = []
        self.others: list[str] = []
        self._sink, self._prefix, self._device, self._capture = sink, prefix, device, capture
        self._state = rng_state(device)

    def draw(self, like: torch.Tensor, rate: float) -> torch.Tensor:
        """Return a mask of ones and zeros of the shape and dtype of `like`, and record it."""
        if not self._capture.over:
            self.watch()
        mask = torch.empty_like(like)
        mask = mask.bernoulli_(1 - rate) if rate < 1 else mask.zero_()
        self._state = rng_state(self._device)
        if not self._capture.over and not self._sink.noisy:
            place = f"{self._prefix}/mask{len(self.drawn)}"
            array: Array | None = self._sink.array(place, mask.bool(), "masks")
            entry = {"module": self._capture.module, "rate": rate, "shape": list(mask.shape), "array": array}
            self.drawn.append(entry)
        return mask

    def watch(self, path: str | None = None) -> None:
        """Note the module, or the innermost one, if random numbers were drawn since the last mask."""
        state = rng_state(self._device)
        if not torch.equal(state, self._state):
            self._state = state
            self.others.append(self._capture.module if path is None else path)

    def end(self) -> None:
        """Take the model's output as computed: masks drawn in the backward pass are repetitions."""
        self.watch()
        self._capture.over = True


def rng_state(device: torch.device) -> torch.Tensor:
    """Return the state of the generators that a model on this device draws from."""
    states = [torch.get_rng_state()]
    states += [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return torch.cat(states)


@contextlib.contextmanager
def replaced(masks: Masks) -> Iterator[None]:
    """Replace torch's dropout and its attention with dropout while the context lasts."""
    functions = {
        "dropout": _dropout(masks, _elements),
        "dropout_": _in_place(_dropout(masks, _elements)),
        "feature_dropout": _dropout(masks, _channels),
        "feature_dropout_": _in_place(_dropout(masks, _channels)),
    }
    layered = {name: recurrent.layered(getattr(torch, name), name) for name in recurrent.NAMES}
    functional = torch.nn.functional
    with contextlib.ExitStack() as patches:
        for name, function in (functions | layered).items():
            for owner in (torch._VF, torch):
                patches.enter_context(mock.patch.object(owner, name, function, create=owner is not torch))
        attention = _attention(functional.scaled_dot_product_attention)
        patches.enter_context(mock.patch.object(functional, "scaled_dot_product_attention", attention))
        yield


def _elements(value: torch.Tensor) -> torch.Tensor:
    return value


def _channels(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the shape of a mask of whole channels: (batch, channels, 1, ...)."""
    return value.new_empty((*value.shape[:2], *(1 for _ in value.shape[2:])))


def _dropout(masks: Masks, shaped: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., torch.Tensor]:
    def dropout(input: torch.Tensor, p: float, train: bool) -> torch.Tensor:  # noqa: A002 - torch's name
        if p == 0 or not train or not input.numel():
            return input
        mask = masks.draw(shaped(input), p)
        return input * (mask.div_(1 - p) if p < 1 else mask)

    return dropout


def _in_place(dropout: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def dropout_(input: torch.Tensor, p: float, train: bool) -> torch.Tensor:  # noqa: A002 - torch's name
        # Multiplied by a mask of its own: the tensor itself is needed for no gradient
        factor = dropout(torch.ones_like(input), p, train)
        return input.mul_(factor) if p and train else input

    return dropout_


def _attention(original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def scaled_dot_product_attention(  # the steps of torch's own fallback (aten, _scaled_dot_product_attention_math)
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        if not dropout_p:
            return original(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        if enable_gqa:
            key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
            value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
        dtype = query.dtype
        if dtype in (torch.float16, torch.bfloat16):  # computed in float32
            query, key, value = query.float(), key.float(), value.float()
            attn_mask = attn_mask.float() if attn_mask is not None and attn_mask.is_floating_point() else attn_mask
        root = math.sqrt(1 / math.sqrt(query.size(-1)) if scale is None else scale)
        scores = (query * root) @ (key.transpose(-2, -1) * root)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -math.inf)
        weights = torch._safe_softmax(scores if attn_mask is None else scores + attn_mask, -1)
        return (torch.dropout(weights, dropout_p, True) @ value).to(dtype)

    return scaled_dot_product_attention
