from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import torch

import torch_ref.errors
import torch_ref.model
import torch_ref.recipes
import torch_ref.runs
from jax_impl import interop, model, recipes
from jax_impl.errors import UserError

RECIPE = recipes.named("mnist_nn_xavier")


def params_of(seed: int) -> model.Params:
    return model.init_params(RECIPE, key=jax.random.key(seed))


def test_saved_parameters_are_loaded_to_the_last_bit(tmp_path: Path) -> None:
    params = params_of(0)
    interop.save(tmp_path / "params.safetensors", params)
    back = interop.load(tmp_path / "params.safetensors", RECIPE.layers)
    jax.tree.map(np.testing.assert_array_equal, params, back)


def test_torch_loads_the_file_and_computes_the_same_logits(tmp_path: Path) -> None:
    params = params_of(1)
    interop.save(tmp_path / "params.safetensors", params)
    network = torch_ref.model.build(torch_ref.recipes.named(RECIPE.name))
    network.load_state_dict(torch_ref.runs.load(tmp_path / "params.safetensors", RECIPE.layers))
    images = np.random.default_rng(0).random((20, 784), np.float32)
    ours = model.apply(params, jnp.asarray(images))
    theirs = network(torch.from_numpy(images)).detach().numpy()
    # Float32 noise of two summation orders is 3e-7 of the logits; a kernel transposed by mistake changes them by 1.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6)


def test_the_file_is_in_torch_s_layout(tmp_path: Path) -> None:
    interop.save(tmp_path / "params.safetensors", params_of(0))
    tensors = safetensors.numpy.load_file(tmp_path / "params.safetensors")
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "linear1.weight": (256, 784),
        "linear1.bias": (256,),
        "linear2.weight": (256, 256),
        "linear2.bias": (256,),
        "linear3.weight": (10, 256),
        "linear3.bias": (10,),
    }
    kernel = np.asarray(params_of(0)["linear2"]["kernel"])
    np.testing.assert_array_equal(tensors["linear2.weight"], kernel.T)  # square: only the values tell
    assert not np.array_equal(kernel, kernel.T)


def spoiled(**changes: np.ndarray | None) -> interop.Tensors:
    tensors = interop.to_torch(params_of(0)) | {name.replace("_", "."): value for name, value in changes.items()}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (spoiled(linear2_bias=None), r"linear2.bias must be \(256,\).*got none"),
        (spoiled(extra=np.zeros(1, np.float32)), "has tensors of other names, such as 'extra': rename them"),
        (spoiled(linear1_weight=np.zeros((784, 256), np.float32)), r"linear1.weight must be \(256, 784\)"),
        (
            spoiled(linear1_bias=np.zeros(256, np.float16)),
            "only float32 or only float64, got float16, float32: convert all",
        ),
        ({}, "holds no tensors: name the params.safetensors of a run"),
    ],
)
def test_another_network_s_file_is_refused(tmp_path: Path, tensors: interop.Tensors, message: str) -> None:
    (tmp_path / "p").write_bytes(safetensors.numpy.save(tensors))
    with pytest.raises(UserError, match=message):
        interop.load(tmp_path / "p", RECIPE.layers)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"{}", (10).to_bytes(8, "little") + b"not a json"])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(UserError, match="is not a safetensors file"):
        interop.load(tmp_path / "p", RECIPE.layers)
    with pytest.raises(torch_ref.errors.UserError, match="is no safetensors file"):
        torch_ref.runs.load(tmp_path / "p", RECIPE.layers)


def test_a_bfloat16_file_is_refused_by_both(tmp_path: Path) -> None:
    tensors = {name: torch.tensor(value).bfloat16() for name, value in spoiled().items()}
    (tmp_path / "p").write_bytes(safetensors.torch.save(tensors))
    with pytest.raises(UserError, match="holds numbers of dtype BF16: convert all to float32"):
        interop.load(tmp_path / "p", RECIPE.layers)
    with pytest.raises(torch_ref.errors.UserError, match="only float32 or only float64"):
        torch_ref.runs.load(tmp_path / "p", RECIPE.layers)


def test_a_damaged_file_is_refused_by_both(tmp_path: Path) -> None:
    path = tmp_path / "p"
    interop.save(path, params_of(0))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="p is damaged: its checksum does not match; use a copy, or train again"):
        interop.load(path, RECIPE.layers)
    with pytest.raises(torch_ref.errors.UserError, match="p is damaged"):
        torch_ref.runs.load(path, RECIPE.layers)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*nothing"):
        interop.load(tmp_path / "nothing", RECIPE.layers)
