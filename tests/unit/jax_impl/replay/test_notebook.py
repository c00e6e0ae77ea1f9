"""The notebook's draws compared with its output. starts/test_replayed.py compares them with torch's."""

import numpy as np
import pytest
import torch

from jax_impl import initializers
from jax_impl.replay import init, notebook
from jax_impl.replay.generator import TorchGenerator

# The notebook's cell 10 printed these values of linear3.weight: the first and last three columns of its first and last
# three rows.
PRINTED = np.array(
    [
        [-0.0039, -0.0166, -0.0415, 0.1375, -0.0556, -0.0868],
        [-0.0806, 0.0315, -0.1408, -0.1330, -0.0807, 0.0600],
        [0.1287, 0.0014, -0.0580, 0.0508, -0.0500, -0.1308],
        [-0.1004, -0.0187, -0.0075, -0.0087, -0.0063, 0.0588],
        [0.1414, 0.1065, 0.1057, 0.1154, -0.0272, -0.0432],
        [-0.1199, -0.0441, -0.1109, -0.0223, 0.0153, 0.0347],
    ]
)


@pytest.mark.parametrize("init_passes", [1, 2])
def test_after_two_passes_the_weights_are_those_that_the_notebook_printed(init_passes: int) -> None:
    tensors = notebook.initial_tensors(
        TorchGenerator(777),
        (784, 256, 256, 10),
        init="xavier_uniform",
        bias_init="linear_default",
        init_passes=init_passes,
    )
    shown = tensors["linear3.weight"][np.ix_([0, 1, 2, -3, -2, -1], [0, 1, 2, -3, -2, -1])]
    equal = np.round(shown.astype(np.float64), 4) == PRINTED
    assert equal.all() if init_passes == 2 else not equal.any()


@pytest.mark.parametrize("init", notebook.WEIGHTS)
def test_initial_tensors_have_torch_s_names_and_layout(init: str) -> None:
    tensors = notebook.initial_tensors(TorchGenerator(0), (7, 5, 3), init=init, bias_init="linear_default")
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "linear1.weight": (5, 7),
        "linear1.bias": (5,),
        "linear2.weight": (3, 5),
        "linear2.bias": (3,),
    }
    assert all(tensor.dtype == np.float32 for tensor in tensors.values())


def test_zero_biases_do_not_change_the_weights() -> None:
    ours, zeros = (
        notebook.initial_tensors(TorchGenerator(0), (7, 5, 3), init="xavier_normal", bias_init=bias_init)
        for bias_init in notebook.BIASES
    )
    for name in ours:
        if name.endswith("weight"):
            np.testing.assert_array_equal(ours[name], zeros[name])
        else:
            assert not zeros[name].any()
            assert ours[name].all()


def test_each_pass_of_the_init_cell_draws_new_weights_and_keeps_the_biases() -> None:
    generators = [TorchGenerator(0) for _ in range(2)]
    once, twice = (
        notebook.initial_tensors(generator, (7, 5, 3), init="normal", bias_init="linear_default", init_passes=passes)
        for passes, generator in enumerate(generators, start=1)
    )
    for name in once:
        assert np.array_equal(once[name], twice[name]) == name.endswith("bias")
    assert generators[0].random_int64() != generators[1].random_int64()


def test_permutations_are_those_of_torch_s_random_sampler() -> None:
    generator = TorchGenerator(3)
    torch.manual_seed(3)
    loader = torch.utils.data.DataLoader(range(1000), batch_size=10, shuffle=True)
    for _ in range(3):
        np.testing.assert_array_equal(notebook.permutation(generator, 1000), torch.cat(list(loader)).numpy())


@pytest.mark.parametrize("a", [0.0, 0.01, 5**0.5])
def test_standard_deviations_are_those_of_the_initialisers_to_the_last_bit(a: float) -> None:
    """`replay` computes them itself, so that it needs no JAX. They decide the last bits of replayed weights."""
    sizes = (1, 2, 3, 7, 10, 100, 255, 256, 257, 500, 512, 784, 1000, 4096)
    for fan_in in sizes:
        for fan_out in sizes:
            shape = (fan_out, fan_in)
            assert init.kaiming_std(shape, a) == initializers.kaiming_std(fan_in, fan_out, a)
            for gain in (1.0, 5 / 3, 2**0.5):
                assert init.xavier_std(shape, gain) == initializers.xavier_std(fan_in, fan_out, gain)
    assert init.xavier_std((10, 256)) != init.xavier_std((256, 256))
    assert init.kaiming_std((256, 784)) != init.kaiming_std((784, 256))
