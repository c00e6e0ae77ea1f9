"""The user's model in the recording's precision, and everything put back afterwards."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from torch_ref.record.noise import Sink

OWN = frozenset(vars(nn.Module()))  # attributes that every module has


class Workspace:
    """A model whose parameters, buffers and other attributes start anew at each `reset`.

    The parameters stay the same objects; their data are swapped for copies. So nothing of the user's is written to, and
    `close` only has to put it back.
    """

    def __init__(
        self, model: nn.Module, constants: Sequence[nn.Module | torch.Tensor], dtype: torch.dtype | None
    ) -> None:
        """Look at the model and at what its loss uses: `constants`, such as another module, or weights of the classes.

        Floating-point tensors are converted to `dtype` unless that is None.
        """
        self._model, self._dtype = model, dtype
        roots = [model, *(constant for constant in constants if isinstance(constant, nn.Module))]
        self._modules = list(dict.fromkeys(module for root in roots for module in root.modules()))
        tensors = [*(p for root in roots for p in root.parameters()), *_tensors(constants)]
        self._parameters = [(p, p.data, p.grad, p.requires_grad) for p in {id(p): p for p in tensors}.values()]
        self._weights: dict[Any, torch.Tensor] = {}
        self._training = [module.training for module in self._modules]
        self._buffers = [dict(module._buffers) for module in self._modules]
        self._extras = [{key: value for key, value in vars(m).items() if key not in OWN} for m in self._modules]
        free = [module for module in self._modules if isinstance(module, nn.RMSNorm) and module.eps is None]
        self._epsilons = {id(module): {"eps": _own_epsilon(module)} for module in free}
        self.device = self._parameters[0][0].device if self._parameters else torch.device("cpu")

    def reset(self, sink: Sink) -> None:
        """Give every parameter, buffer and attribute its value from the start; a noisy run perturbs the parameters."""
        perturbed = set[int]()
        for parameter, data, _, required in self._parameters:
            weight = self._weight(data)
            parameter.grad = None
            parameter.data = weight
            parameter.requires_grad_(required)
            if id(weight) not in perturbed:
                weight.copy_(data)
                weight.copy_(sink.perturbed(weight))
                perturbed.add(id(weight))
        self._set_attributes(copied=True)
        for module in self._modules:
            if isinstance(module, nn.RNNBase):
                module.flatten_parameters()  # does nothing on a CPU

    def close(self) -> None:
        """Put everything back."""
        for parameter, data, grad, required in self._parameters:
            parameter.grad = None
            parameter.data = data
            parameter.grad = grad
            parameter.requires_grad_(required)
        self._set_attributes(copied=False)
        for module, training in zip(self._modules, self._training, strict=True):
            module.training = training

    def train(self, training: bool) -> None:
        """Set the mode: all of the model, but modules that the user had put into evaluation mode stay there."""
        self._model.train(training)
        if training and self._training[0]:
            for module, mode in zip(self._modules, self._training, strict=True):
                module.training = mode

    def frozen(self) -> list[str]:
        """Return the modules that stay in evaluation mode while the model trains."""
        modes = dict(zip(self._modules, self._training, strict=True))
        return [path for path, module in self._model.named_modules() if modes[self._model] and not modes[module]]

    def _weight(self, original: torch.Tensor) -> torch.Tensor:
        """Return the copy of a parameter's data, the same one for parameters that share their memory."""
        key = storage_key(original)
        if key not in self._weights:
            self._weights[key] = self._copied(original)
        return self._weights[key]

    def _copied(self, original: torch.Tensor) -> torch.Tensor:
        dtype = self._dtype if self._dtype is not None and original.is_floating_point() else original.dtype
        return original.detach().to(dtype, copy=True)

    def _set_attributes(self, *, copied: bool) -> None:
        """Give the modules their buffers and other attributes, as they were or as new copies."""
        copies = dict(self._weights)

        def value_of(value: Any) -> Any:
            if not copied or not isinstance(value, torch.Tensor) or isinstance(value, nn.Parameter):
                return value
            key = storage_key(value)
            if key not in copies:
                copies[key] = self._copied(value)
            return copies[key]

        for number, module in enumerate(self._modules):
            extras = {key: value_of(value) for key, value in self._extras[number].items()}
            extras |= self._epsilons.get(id(module), {}) if copied else {}
            for key in vars(module).keys() - OWN - extras.keys():
                del vars(module)[key]
            vars(module).update(extras)
            module._buffers.clear()
            module._buffers.update({key: value_of(value) for key, value in self._buffers[number].items()})


def _tensors(constants: Sequence[nn.Module | torch.Tensor]) -> list[torch.Tensor]:
    return [constant for constant in constants if isinstance(constant, torch.Tensor)]


def storage_key(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Return what two tensors have in common if they are the same numbers in memory."""
    if not tensor.numel() or tensor.layout != torch.strided:
        return (id(tensor),)
    return (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())


def _own_epsilon(module: nn.RMSNorm) -> float:
    """Return the epsilon of an RMSNorm that has none: that of float32 for all smaller dtypes, too."""
    wide = module.weight is not None and module.weight.dtype == torch.float64
    return torch.finfo(torch.float64 if wide else torch.float32).eps


@contextlib.contextmanager
def settled(dtype: torch.dtype | None) -> Iterator[None]:
    """Compute plainly and repeatably while the context lasts: no fast path, no TF32, new tensors of the dtype given."""
    backends: Any = torch.backends
    owners = (
        backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn,
        backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn,
    )  # fmt: skip
    precisions = [owner.fp32_precision for owner in owners]
    default, fast = torch.get_default_dtype(), backends.mha.get_fastpath_enabled()
    repeatable = (backends.cudnn.deterministic, backends.cudnn.benchmark)
    try:
        for owner in owners:
            owner.fp32_precision = "ieee"
        backends.cudnn.deterministic, backends.cudnn.benchmark = True, False
        backends.mha.set_fastpath_enabled(False)
        torch.set_default_dtype(default if dtype is None else dtype)
        with torch.enable_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        torch.set_default_dtype(default)
        backends.mha.set_fastpath_enabled(fast)
        backends.cudnn.deterministic, backends.cudnn.benchmark = repeatable
        for owner, precision in zip(owners, precisions, strict=True):
            owner.fp32_precision = precision


class RandomState:
    """The state of torch's generators at one moment."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []

    def restore(self) -> None:
        """Set the generators back to that moment."""
        torch.set_rng_state(self._cpu)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
