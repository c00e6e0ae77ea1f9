"""Models of both sides as the mapping sees them, and loading one side's weights into the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import linen, nnx

from jax_impl.parity.mapping import Leaf, Pair, converted, propose

PLAIN = (int, float, str, bool, tuple, type(None))
FLOAT = {"param_dtype": jnp.float64}  # for the layers of Flax
CLOSE = 1e-12  # relative: rounding of float64 in sums of some hundred terms
FLOAT32 = 1e-6  # relative: jax.nn.dot_product_attention computes its softmax in float32


def inputs(*shape: int) -> tuple[torch.Tensor, np.ndarray]:
    values = np.random.default_rng(0).normal(size=shape)
    return torch.from_numpy(values), values


def close(ours: Any, theirs: torch.Tensor, tolerance: float = CLOSE) -> None:
    expected = theirs.detach().numpy()
    assert ours.shape == expected.shape
    assert np.abs(np.asarray(ours) - expected).max() <= tolerance * np.abs(expected).max()


def random_weights(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give every parameter and statistic a random float64 value: no two are alike, and none is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * 0.3
            tensor.copy_(values.abs() + 0.5 if name.endswith("var") else values)
    return model


def leaf(
    name: str, array: Any, owner: Any, path: str, framework: str, *, trained: bool, tied: str | None = None
) -> Leaf:
    settings = {key: value for key, value in vars(owner).items() if isinstance(value, PLAIN) and key[0] != "_"}
    return Leaf(
        name=name,
        shape=tuple(array.shape),
        kind="parameter" if trained else "buffer",
        module=path,
        module_type=type(owner).__name__,
        settings=settings,
        framework=framework,
        tied=tied,
    )


def torch_leaves(model: torch.nn.Module) -> list[Leaf]:
    leaves = []
    seen: dict[int, str] = {}
    for named in (model.named_parameters, model.named_buffers):
        for name, tensor in named(remove_duplicate=False):
            path, tied = name.rpartition(".")[0], seen.get(id(tensor))
            seen.setdefault(id(tensor), name)
            trained = isinstance(tensor, torch.nn.Parameter)
            leaves.append(leaf(name, tensor, model.get_submodule(path), path, "torch", trained=trained, tied=tied))
    return leaves


def torch_arrays(model: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict(keep_vars=True).items()}


def dotted(path: Sequence[Any]) -> str:
    return ".".join(str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", None)))) for key in path)


def named(tree: Any) -> dict[str, Any]:
    """The arrays of a pytree by dotted path."""
    return {
        dotted(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0] if hasattr(leaf, "shape")
    }


def owned(name: str, array: Any, modules: Mapping[str, Any], framework: str, *, trained: bool = True) -> Leaf:
    path = name.rpartition(".")[0]
    while path not in modules:
        path = path.rpartition(".")[0]
    return leaf(name, array, modules[path], path, framework, trained=trained)


def nnx_leaves(model: nnx.Module) -> list[Leaf]:
    modules = {".".join(map(str, path)): module for path, module in nnx.iter_modules(model)}
    state = nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.RngState)))
    return [
        owned(".".join(map(str, path)), one.get_value(), modules, "nnx", trained=isinstance(one, nnx.Param))
        for path, one in state
    ]


def linen_leaves(model: linen.Module, variables: Any, *inputs: Any) -> list[Leaf]:
    modules: dict[str, Any] = {}

    def note(function: Any, args: Any, kwargs: Any, context: Any) -> Any:
        modules.setdefault(".".join(context.module.path), context.module)
        return function(*args, **kwargs)

    with linen.intercept_methods(note):
        jax.eval_shape(lambda variables: model.apply(variables, *inputs, mutable=True), variables)
    return [
        owned(name, array, modules, "linen", trained=collection == "params")
        for collection, arrays in variables.items()
        for name, array in named(arrays).items()
    ]


def equinox_leaves(model: eqx.Module) -> list[Leaf]:
    modules: dict[str, Any] = {}

    def walk(part: Any, path: str) -> None:
        if isinstance(part, eqx.Module):
            modules[path] = part
            children: Mapping[Any, Any] = vars(part)
        else:
            children = dict(enumerate(part)) if isinstance(part, list | tuple) else {}
        for name, child in children.items():
            walk(child, f"{path}.{name}".lstrip("."))

    walk(model, "")
    arrays = named(eqx.filter(model, eqx.is_array))
    return [owned(name, array, modules, "equinox") for name, array in arrays.items()]


def tree_leaves(tree: Any) -> list[Leaf]:
    return [
        Leaf(name=name, shape=np.shape(array), framework="tree", module=name.rpartition(".")[0])
        for name, array in named(tree).items()
    ]


def load(model: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the model, an NNX module or a pytree, with these arrays in place of its own."""
    if isinstance(model, nnx.Module):
        flat = [
            (path, one.replace(jnp.asarray(arrays.get(".".join(map(str, path)), one.get_value()))))
            for path, one in nnx.to_flat_state(nnx.state(model))
        ]
        nnx.update(model, nnx.from_flat_state(flat))
        return model

    def take(path: Sequence[Any], leaf: Any) -> Any:
        return jnp.asarray(arrays[dotted(path)]) if dotted(path) in arrays else leaf

    return jax.tree_util.tree_map_with_path(take, model)


def settled(theirs: Sequence[Leaf], ours: Sequence[Leaf]) -> tuple[Pair, ...]:
    """The pairs by convention; every leaf has to be in one."""
    proposal = propose(theirs, ours)
    assert proposal.unmatched_theirs == proposal.unmatched_ours == (), proposal
    return proposal.convention()


def loaded(theirs: torch.nn.Module, model: Any, ours: Sequence[Leaf]) -> Any:
    """Return our model with torch's weights."""
    return load(model, converted(settled(torch_leaves(theirs), ours), torch_arrays(theirs)))
