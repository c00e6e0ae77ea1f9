"""Real models: all leaves are paired, as the libraries' own converters pair them, or so that the outputs agree."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torchvision
from flax import linen, nnx
from jax_resnet import ResNet18
from jax_resnet.pretrained import pretrained_resnet
from torch import nn

from jax_impl.parity.mapping import Leaf, converted, modules, propose
from tests.unit.jax_impl.parity.mapping.models import (
    FLOAT,
    FLOAT32,
    close,
    linen_leaves,
    loaded,
    named,
    nnx_leaves,
    random_weights,
    settled,
    torch_arrays,
    torch_leaves,
    tree_leaves,
)


def parents(leaves: list[Leaf]) -> list[str]:
    paths = {".".join(leaf.module.split(".")[:count]) for leaf in leaves for count in range(leaf.module.count(".") + 2)}
    return sorted(paths)


def equal(found: dict[str, np.ndarray], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], np.asarray(expected[name])) for name in expected)


def test_resnet_18_of_torchvision_and_jax_resnet() -> None:
    """Their names have nothing in common. jax_resnet's own converter is the judge."""
    theirs = random_weights(torchvision.models.resnet18()).float()
    arrays = torch_arrays(theirs)
    _, judge = pretrained_resnet(18, {name: torch.from_numpy(array) for name, array in arrays.items()})
    model, x = ResNet18(n_classes=1000), jnp.zeros((1, 32, 32, 3))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), x))
    ours = linen_leaves(model, shapes, x)
    pairs = settled(torch_leaves(theirs), ours)
    equal(converted(pairs, arrays), {**named(judge["params"]), **named(judge["batch_stats"])})
    found = modules([path for path, _ in theirs.named_modules()], parents(ours), pairs, torch_leaves(theirs), ours)
    assert {("layer2.0", "layers_4"), ("layer2.0.downsample", "layers_4.ResNetSkipConnection_0")} <= set(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_bert_of_transformers_by_names() -> None:
    """The converter of the library is the judge."""
    from transformers import BertConfig, BertModel, FlaxBertModel
    from transformers.modeling_flax_pytorch_utils import convert_pytorch_state_dict_to_flax

    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        vocab_size=50,
        max_position_embeddings=16,
    )
    theirs, ours = random_weights(BertModel(config)).float(), FlaxBertModel(config)
    judge = convert_pytorch_state_dict_to_flax(theirs.state_dict(), ours)
    leaves = [
        Leaf(name=name, shape=array.shape, framework="linen", module=name.rpartition(".")[0])
        for name, array in named(ours.params).items()
    ]
    proposal = propose(torch_leaves(theirs), leaves)
    assert proposal.choices == proposal.unmatched_theirs == proposal.unmatched_ours == ()
    assert {pair.how for pair in proposal.pairs} == {"name"}
    equal(converted(proposal.pairs, torch_arrays(theirs)), named(judge))


class Block(nnx.Module):
    """A post-norm layer of an encoder, with other names than torch's."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.attention = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs, **FLOAT)
        self.up, self.down = nnx.Linear(8, 16, rngs=rngs, **FLOAT), nnx.Linear(16, 8, rngs=rngs, **FLOAT)
        self.attention_norm, self.mlp_norm = (nnx.LayerNorm(8, epsilon=1e-5, rngs=rngs, **FLOAT) for _ in range(2))

    def __call__(self, x: Any) -> Any:
        x = self.attention_norm(x + self.attention(x))
        return self.mlp_norm(x + self.down(nnx.relu(self.up(x))))


class Encoder(nnx.Module):
    """Sorted by name, its final norm comes before its blocks."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.stack = nnx.List([Block(rngs) for _ in range(3)])
        self.end_norm = nnx.LayerNorm(8, epsilon=1e-5, rngs=rngs, **FLOAT)

    def __call__(self, x: Any) -> Any:
        for block in self.stack:
            x = block(x)
        return self.end_norm(x)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_encoder_of_torch_and_nnx() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    theirs = random_weights(nn.TransformerEncoder(layer, 3, norm=nn.LayerNorm(8), enable_nested_tensor=False))
    ours, x = Encoder(), np.random.default_rng(0).normal(size=(2, 5, 8))
    leaves = nnx_leaves(ours)
    result = loaded(theirs, ours, leaves)(jnp.asarray(x))
    close(result, theirs(torch.from_numpy(x)), FLOAT32)
    found = dict(
        modules(
            [path for path, _ in theirs.named_modules()],
            parents(leaves),
            settled(torch_leaves(theirs), leaves),
            torch_leaves(theirs),
            leaves,
        )
    )
    assert (found["layers.2"], found["layers.1.self_attn"], found["norm"]) == (
        "stack.2",
        "stack.1.attention",
        "end_norm",
    )


class GPTBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(8, 24), "c_proj": nn.Linear(8, 8)})
        self.attn.register_buffer("bias", torch.ones(1, 1, 4, 4))
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(8, 32), "c_proj": nn.Linear(32, 8)})


class GPT(nn.Module):
    """The layers of nanoGPT, whose last layer shares the table of tokens."""

    def __init__(self) -> None:
        super().__init__()
        blocks = nn.ModuleList([GPTBlock() for _ in range(2)])
        parts = {"wte": nn.Embedding(20, 8), "wpe": nn.Embedding(20, 8), "h": blocks, "ln_f": nn.LayerNorm(8)}
        self.transformer = nn.ModuleDict(parts)
        self.lm_head = nn.Linear(8, 20, bias=False)
        self.transformer["wte"].weight = self.lm_head.weight


GPT_NAMES = {  # of everything that is not in a block
    "transformer.wte.weight": "tok_embed.embedding",
    "transformer.wpe.weight": "pos_embed.embedding",
    "transformer.ln_f.weight": "final.scale",
    "transformer.ln_f.bias": "final.bias",
}


@pytest.mark.parametrize("packed", [True, False])
def test_gpt_with_tied_embeddings(packed: bool) -> None:
    table, norm = {"embedding": np.zeros((20, 8))}, {"scale": np.zeros(8), "bias": np.zeros(8)}

    def dense(i: int, o: int) -> dict[str, np.ndarray]:
        return {"kernel": np.zeros((i, o)), "bias": np.zeros(o)}

    attention = {"qkv": dense(8, 24)} if packed else {name: dense(8, 8) for name in ("query", "key", "value")}
    block = {
        "attn": {**attention, "out": dense(8, 8)},
        "ln1": norm,
        "ln2": norm,
        "mlp": {"proj": dense(32, 8), "fc": dense(8, 32)},
    }
    tree = {"tok_embed": table, "pos_embed": table, "blocks": [block, block], "final": norm}
    ours = [Leaf(name=leaf.name, shape=leaf.shape, framework="linen", module=leaf.module) for leaf in tree_leaves(tree)]
    pairs = settled(torch_leaves(GPT()), ours)
    found = {pair.theirs[0]: pair.ours for pair in pairs}
    assert {name: found[name] for name in GPT_NAMES} == {name: (partner,) for name, partner in GPT_NAMES.items()}
    names = ["qkv"] if packed else ["query", "key", "value"]
    assert found["transformer.h.1.attn.c_attn.weight"] == tuple(f"blocks.1.attn.{name}.kernel" for name in names)
    assert found["transformer.h.1.attn.c_proj.bias"] == ("blocks.1.attn.out.bias",)
    assert found["transformer.h.0.mlp.c_fc.weight"] == ("blocks.0.mlp.fc.kernel",)
    assert found["transformer.h.0.ln_2.weight"] == ("blocks.0.ln2.scale",)


def test_a_generator_of_images_in_linens_own_names() -> None:
    class Generator(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            for features in (16, 16):
                x = linen.ConvTranspose(features, (4, 4), (2, 2), use_bias=False)(x)
                x = linen.relu(linen.BatchNorm(use_running_average=True)(x))
            return linen.ConvTranspose(3, (4, 4), (2, 2))(x)

    layers = [
        layer
        for i, o in ((16, 16), (16, 16))
        for layer in (nn.ConvTranspose2d(i, o, 4, 2, bias=False), nn.BatchNorm2d(o), nn.ReLU())
    ]
    theirs, x = nn.Sequential(*layers, nn.ConvTranspose2d(16, 3, 4, 2)), jnp.zeros((1, 4, 4, 16))
    variables = Generator().init(jax.random.key(0), x)
    pairs = settled(torch_leaves(theirs), linen_leaves(Generator(), variables, x))
    found = {pair.theirs[0]: pair.ours[0] for pair in pairs}
    assert [found[f"{i}.weight"] for i in (0, 3, 6)] == [f"ConvTranspose_{i}.kernel" for i in range(3)]
    assert [found[f"{i}.running_var"] for i in (1, 4)] == [f"BatchNorm_{i}.var" for i in range(2)]
