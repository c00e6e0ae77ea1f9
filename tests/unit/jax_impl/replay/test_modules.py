"""Each module's initial tensors beside torch's: names, order, dtypes, bits, and the generator's state afterwards."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from jax_impl.replay import modules as m
from jax_impl.replay.generator import TorchGenerator
from tests.unit.jax_impl.replay.torch_pairs import DTYPES, all_dtypes, fused

Case = tuple[Any, type[nn.Module], tuple[Any, ...], dict[str, Any]]  # a spec, and torch's module with its arguments
CASES: list[Case] = [
    (m.Linear(7, 5), nn.Linear, (7, 5), {}),
    (m.Linear(7, 5, bias=False), nn.Linear, (7, 5), {"bias": False}),
    (m.Bilinear(3, 4, 5), nn.Bilinear, (3, 4, 5), {}),
    (m.Bilinear(3, 4, 5, bias=False), nn.Bilinear, (3, 4, 5), {"bias": False}),
    (m.Conv1d(4, 6, 3), nn.Conv1d, (4, 6, 3), {}),
    (m.Conv2d(4, 6, (3, 2), groups=2), nn.Conv2d, (4, 6, (3, 2)), {"groups": 2}),
    (m.Conv2d(4, 6, 3, 2, 1, bias=False), nn.Conv2d, (4, 6, 3, 2, 1), {"bias": False}),
    (m.Conv3d(4, 6, 3), nn.Conv3d, (4, 6, 3), {}),
    (m.ConvTranspose1d(4, 6, 3, 2, 1, 1), nn.ConvTranspose1d, (4, 6, 3, 2, 1, 1), {}),
    (m.ConvTranspose2d(4, 6, 3, groups=2), nn.ConvTranspose2d, (4, 6, 3), {"groups": 2}),
    (m.ConvTranspose3d(4, 6, 3, bias=False), nn.ConvTranspose3d, (4, 6, 3), {"bias": False}),
    (m.Embedding(9, 5), nn.Embedding, (9, 5), {}),
    (m.Embedding(9, 5, -2), nn.Embedding, (9, 5, -2), {}),
    (m.EmbeddingBag(9, 5, padding_idx=0), nn.EmbeddingBag, (9, 5), {"padding_idx": 0}),
    (m.BatchNorm(5), nn.BatchNorm2d, (5,), {}),
    (m.BatchNorm(5, affine=False), nn.BatchNorm1d, (5,), {"affine": False}),
    (m.InstanceNorm(5), nn.InstanceNorm2d, (5,), {}),
    (m.InstanceNorm(5, 1e-5, 0.1, True, True), nn.InstanceNorm2d, (5, 1e-5, 0.1, True, True), {}),
    (m.LayerNorm((3, 4)), nn.LayerNorm, ((3, 4),), {}),
    (m.LayerNorm(4, bias=False), nn.LayerNorm, (4,), {"bias": False}),
    (m.LayerNorm(4, 1e-5, False), nn.LayerNorm, (4, 1e-5, False), {}),
    (m.RMSNorm(4, None), nn.RMSNorm, (4, None), {}),
    (m.BatchNorm(5, 1e-3, None), nn.BatchNorm2d, (5, 1e-3, None), {}),
    (m.LSTM(3, 5, 1, True, True), nn.LSTM, (3, 5, 1, True, True), {}),
    (m.GRU(3, 5, 2, True, True, 0.1, True), nn.GRU, (3, 5, 2, True, True, 0.1, True), {}),
    (m.RNN(3, 5, 2, "relu", False), nn.RNN, (3, 5, 2, "relu", False), {}),
    (m.MultiheadAttention(8, 2, 0.1, False), nn.MultiheadAttention, (8, 2, 0.1, False), {}),
    (m.MultiheadAttention(8, 2, 0.1, True, True), nn.MultiheadAttention, (8, 2, 0.1, True, True), {}),
    (m.TransformerEncoderLayer(8, 2, 12, 0.0), nn.TransformerEncoderLayer, (8, 2, 12, 0.0), {}),
    (m.Transformer(8, 2, 1, 1, 12, 0.0), nn.Transformer, (8, 2, 1, 1, 12, 0.0), {}),
    (m.Conv2d(4, 6, 3, padding_mode="circular", padding=1), nn.Conv2d, (4, 6, 3),
     {"padding_mode": "circular", "padding": 1}),
    (m.Linear(0, 5), nn.Linear, (0, 5), {}),
    (m.Linear(5, 0), nn.Linear, (5, 0), {}),
    (m.GroupNorm(2, 4), nn.GroupNorm, (2, 4), {}),
    (m.RMSNorm(4), nn.RMSNorm, (4,), {}),
    (m.PReLU(3), nn.PReLU, (3,), {}),
    *(case for name in ("RNN", "GRU", "LSTM") for case in (
        (getattr(m, name)(3, 5), getattr(nn, name), (3, 5), {}),
        (getattr(m, name)(3, 5, 3, bidirectional=True), getattr(nn, name), (3, 5, 3), {"bidirectional": True}),
        (getattr(m, name)(3, 5, 2, bias=False), getattr(nn, name), (3, 5, 2), {"bias": False}),
        (getattr(m, f"{name}Cell")(3, 5), getattr(nn, f"{name}Cell"), (3, 5), {}),
        (getattr(m, f"{name}Cell")(3, 5, bias=False), getattr(nn, f"{name}Cell"), (3, 5), {"bias": False}),
    )),
    (m.LSTM(3, 6, 2, proj_size=2, bidirectional=True), nn.LSTM, (3, 6, 2), {"proj_size": 2, "bidirectional": True}),
    *((m.MultiheadAttention(8, 2, **options), nn.MultiheadAttention, (8, 2), options) for options in (
        {}, {"bias": False}, {"add_bias_kv": True}, {"kdim": 3, "vdim": 7}, {"kdim": 8},
        {"vdim": 5, "bias": False, "add_bias_kv": True},
    )),
    (m.TransformerEncoderLayer(8, 2, 12), nn.TransformerEncoderLayer, (8, 2, 12), {}),
    (m.TransformerDecoderLayer(8, 2, 12), nn.TransformerDecoderLayer, (8, 2, 12), {}),
    (m.Transformer(8, 2, 2, 3, 12), nn.Transformer, (8, 2, 2, 3, 12), {}),
    (m.Transformer(8, 2, 2, 3, 12, bias=False), nn.Transformer, (8, 2, 2, 3, 12), {"bias": False}),
]  # fmt: skip


def assert_built_alike(found: dict[str, np.ndarray], module: nn.Module, ours: TorchGenerator) -> None:
    expected = module.state_dict()
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        theirs = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        assert found[name].dtype == theirs.dtype
        np.testing.assert_array_equal(np.signbit(found[name]), np.signbit(theirs), err_msg=name)  # of 0.0, too
        np.testing.assert_array_equal(found[name], theirs, err_msg=name)
    np.testing.assert_array_equal(ours.state(), torch.get_rng_state().numpy())


@fused
@all_dtypes
@pytest.mark.parametrize("case", CASES, ids=[f"{number}: {case[0]}" for number, case in enumerate(CASES)])
def test_a_module_is_torch_s(case: Case, dtype: str) -> None:
    spec, build, arguments, options = case
    for seed in (0, 777):
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of nested tensors
            module = build(*arguments, **options, dtype=DTYPES[dtype])  # also warns of empty tensors
        ours = TorchGenerator(seed)
        assert_built_alike(m.initial(spec, ours, dtype), module, ours)


@fused
def test_a_network_joins_names_in_the_order_of_building() -> None:
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    module = nn.ModuleDict(
        {"body": nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 8)), "encoder": nn.TransformerEncoder(layer, 2)}
    )
    ours = TorchGenerator(3)
    encoder = {"layers": m.Copies(m.TransformerEncoderLayer(8, 2, 12), 2)}
    ours_layer_first = m.initial(encoder, ours)  # the layer was built before the body
    body = m.initial({"body": [m.Linear(3, 4), None, m.Linear(4, 8)]}, ours)
    found = body | {f"encoder.{name}": tensor for name, tensor in ours_layer_first.items()}
    assert_built_alike(found, module, ours)
    np.testing.assert_array_equal(found["encoder.layers.0.linear1.weight"], found["encoder.layers.1.linear1.weight"])
    found["encoder.layers.0.linear1.weight"][:] = 0
    assert found["encoder.layers.1.linear1.weight"].any()  # a copy


def test_convolutions_are_not_drawn_by_their_width_alone() -> None:
    """The bound is that of fan_in, which counts the kernel's pixels: 7 times smaller here."""
    weight = m.initial(m.Conv2d(3, 64, 7), 0)["weight"]
    assert abs(np.abs(weight).max() - 1 / np.sqrt(3 * 49)) < 1e-3


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [{"a": 5}, ["Linear"], "Linear", {"a": {"b": object()}}, m.Linear])
def test_what_is_no_spec_is_named(wrong: object) -> None:
    with pytest.raises(TypeError, match="a network holds specs, mappings, lists and None, got"):
        m.initial(wrong, 0)


def test_a_kernel_needs_a_size_for_each_axis() -> None:
    with pytest.raises(ValueError, match=r"kernel_size must be one number or 2, got \(3, 3, 3\)"):
        m.initial(m.Conv2d(1, 1, (3, 3, 3)), 0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: m.initial(m.Conv2d(5, 6, 3, groups=2), 0), "in_channels must be a multiple of groups, got 5 and 2"),
        (lambda: m.initial(m.Conv2d(6, 5, 3, groups=2), 0), "out_channels must be a multiple of groups, got 5 and 2"),
        (lambda: m.initial(m.ConvTranspose1d(4, 6, 3, groups=4), 0), "out_channels must be a multiple of groups"),
        (lambda: m.LSTM(3, 6, proj_size=6), "proj_size must be 0 to 5, got 6"),
        (lambda: m.GRU(3, 6, proj_size=2), "proj_size must be 0, got 2"),
        (lambda: m.GRU(3, 0), "hidden_size must be 1 to"),
        (lambda: m.RNN(3, 4, 0), "num_layers must be 1 to"),
        (lambda: m.MultiheadAttention(8, 3), "embed_dim must be a multiple of num_heads, got 8 and 3"),
        (lambda: m.MultiheadAttention(0, 1), "embed_dim must be 1 to"),
        (lambda: m.initial(m.Embedding(3, 4, 3), 0), "padding_idx must be -3 to 2, got 3"),
        (lambda: m.initial(m.EmbeddingBag(3, 4, padding_idx=-4), 0), "padding_idx must be -3 to 2, got -4"),
        (lambda: m.initial(m.Bilinear(0, 2, 3), 0), "in1_features must be 1 to"),
        (lambda: m.GroupNorm(3, 4), "num_channels must be a multiple of num_groups, got 4 and 3"),
    ],
)
def test_what_torch_refuses_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@fused
def test_a_network_of_torchvision_s_blocks() -> None:
    """A mobile block: convolutions in groups, norms, and a linear layer, in nested lists."""
    torch.manual_seed(1)
    block = nn.Sequential(nn.Conv2d(8, 24, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU6(),
                          nn.Conv2d(24, 24, 3, 1, 1, groups=24, bias=False), nn.BatchNorm2d(24))  # fmt: skip
    module = nn.Sequential(block, nn.Flatten(), nn.Linear(24, 3))
    ours = TorchGenerator(1)
    mine = [m.Conv2d(8, 24, 1, bias=False), m.BatchNorm(24), None,
            m.Conv2d(24, 24, np.int64(3), 1, 1, groups=24, bias=False), m.BatchNorm(24)]  # fmt: skip
    assert_built_alike(m.initial([mine, None, m.Linear(24, 3)], ours), module, ours)
