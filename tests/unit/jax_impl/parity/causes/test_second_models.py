"""Causes that are tested elsewhere in one model only, planted in a second one of another kind."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from jax_impl.parity.causes.compute.conversions import bfloat16
from jax_impl.parity.causes.compute.layers.attention import Attention, attended
from jax_impl.parity.pair import Pair
from jax_impl.parity.records import content as c
from jax_impl.parity.records.content import Step
from jax_impl.parity.rungs.data import data
from jax_impl.parity.rungs.distribution import distribution
from jax_impl.parity.rungs.state import state
from jax_impl.parity.rungs.structure import structure
from jax_impl.parity.rungs.weights import weights
from tests.unit.jax_impl.parity.causes import in_memory, memory
from tests.unit.jax_impl.parity.causes.toy import Tape, Toy, causes, random

RANDOM = np.random.default_rng(0)
Batches = list[dict[str, np.ndarray]]


# Batches of two programs


def of_images(count: int = 3, size: int = 6) -> Batches:
    """Return batches of images, normalised to -1 … 1, and their labels."""
    return [
        {"pixels": 2 * RANDOM.random((size, 3, 8, 5)).astype(np.float32) - 1, "label": RANDOM.integers(0, 5, size)}
        for _ in range(count)
    ]


def of_sentences(count: int = 4, size: int = 5) -> Batches:
    """Return batches of sentences, features of their words, and a label for each word."""
    return [
        {"words": RANDOM.integers(0, 40, (size, 7)), "features": RANDOM.random((size, 7, 3)).astype(np.float32),
         "tags": RANDOM.integers(0, 4, (size, 7))} for _ in range(count)
    ]  # fmt: skip


IMAGES, SENTENCES = of_images(), of_sentences()
PLANTED: list[tuple[str, Batches, str, Callable[[Any], Any]]] = [
    ("not normalised by mean 0.5 and std 0.5", IMAGES, "pixels", lambda x: (x + 1) / 2),
    ("255 times the reference's numbers", SENTENCES, "features", lambda x: 255 * x),
    ("channels in the order BGR instead of RGB", IMAGES, "pixels", lambda x: x[:, ::-1]),
    ("reversed along axis 1", SENTENCES, "features", lambda x: x[:, ::-1]),
    ("one-hot vectors instead of indices", IMAGES, "label", lambda x: np.eye(5)[x]),
    ("every number 1 more", SENTENCES, "words", lambda x: x + 1),
    ("rounded to bfloat16", IMAGES, "pixels", lambda x: bfloat16(x.astype(float), cut=False)),
    ("rounded to float16", SENTENCES, "features", lambda x: x.astype(np.float16)),
    ("the samples of each batch in reverse order", IMAGES, "", lambda x: x[::-1]),
    ("the same samples in another order", SENTENCES, "", lambda x: np.roll(x, 2, 0)),
]


def told(theirs: Batches, ours: Batches) -> list[str]:
    return [one.cause for one in memory.diagnosed(memory.pair_of(batches=(theirs, ours)), data).causes]


@pytest.mark.parametrize(("cause", "theirs", "name", "change"), PLANTED, ids=[one[0] for one in PLANTED])
def test_data(cause: str, theirs: Batches, name: str, change: Callable[[Any], Any]) -> None:
    ours = [{key: change(one) if name in ("", key) else one for key, one in batch.items()} for batch in theirs]
    ours = [{key: one.astype(theirs[0][key].dtype) for key, one in batch.items()} for batch in ours]
    found = told(theirs, ours)
    assert len(found) == 1 and cause in found[0], found


def test_the_same_order_in_every_epoch() -> None:
    theirs = [batch for _ in range(3) for batch in of_sentences(2)]
    every = np.concatenate([one["words"] for one in theirs[:2]])
    for number in (2, 4):  # the words of the first epoch, in other orders
        order = RANDOM.permutation(len(every))
        for batch, rows in zip(theirs[number : number + 2], np.split(order, 2), strict=True):
            for key in batch:
                batch[key] = np.concatenate([one[key] for one in theirs[:2]])[rows]
    assert told(theirs, theirs[:2] * 3) == ["the same order of samples in every epoch instead of a new one"]


def test_the_number_of_batches() -> None:
    for make, sizes in ((of_images, (6, 6, 2)), (of_sentences, (5, 5, 5, 1))):
        theirs = [make(1, size)[0] for size in sizes]
        assert told(theirs, theirs[:-1]) == [f"the last batch is dropped, of {sizes[-1]} instead of {sizes[0]} samples"]


# Weights, as loaded and as drawn


def test_kernels_are_exchanged() -> None:
    one, other = (RANDOM.standard_normal((4, 4, 3, 3)).astype(np.float32) for _ in range(2))
    leaves = {"layer1.conv1.weight": one, "layer1.conv2.weight": other}
    convolutions: Any = {"layer1.conv1": ("Conv2d", {}), "layer1.conv2": ("Conv2d", {})}
    exchanged = {"layer1.conv1.weight": other, "layer1.conv2.weight": one}
    found = memory.diagnosed(memory.pair_of(leaves, exchanged, modules=convolutions), weights).causes
    assert [cause.cause for cause in found] == ["layer1.conv1.weight and layer1.conv2.weight are exchanged"]


def test_one_key_for_two_tables() -> None:
    """Words and positions, of which one has another scale."""
    tables: Any = {"wte": ("Embedding", {}), "wpe": ("Embedding", {}), "head": ("Linear", {})}
    shapes = {"wte.weight": (30, 16), "wpe.weight": (30, 16), "head.weight": (5, 16)}
    laws = {"wte.weight": 0.02, "wpe.weight": 0.01, "head.weight": 0.02}
    theirs = {name: laws[name] * RANDOM.standard_normal((8, np.prod(shape))) for name, shape in shapes.items()}
    bits = RANDOM.random((8, 480))
    ours = {name: laws[name] * RANDOM.standard_normal((8, np.prod(shape))) for name, shape in shapes.items()}
    ours |= {name: laws[name] * stats.norm.ppf(bits) for name in ("wte.weight", "wpe.weight")}
    found = memory.diagnosed(memory.pair_of(modules=tables, shapes=shapes, drawn=(theirs, ours)), distribution).causes
    assert len(found) == 1
    assert found[0].cause.endswith("are drawn from the same random numbers instead of independently")


# Buffers


def trained(kind: str, buffer: str, *, forgets: str) -> Pair:
    """Return records of three steps that change a buffer by 1 each, in the port only as far as it does not forget."""
    start = 3 + RANDOM.random(6)
    pair = [in_memory.record(side, {buffer: start}, {"": ("Net", {}), buffer.rpartition(".")[0]: (kind, {})})
            for side in ("torch", "jax")]  # fmt: skip
    for side, one in enumerate(pair):
        leaves = [replace(leaf, kind="buffer") for leaf in one.content.leaves]
        counted = {"": (1, 2, 3), "all": (0, 0, 0), "later": (1, 1, 1)}[forgets if side else ""]
        steps = [Step(updates={}, loss=1.0, loss_noise=1e-16,
                      buffers={buffer: one.put("steps", start + count, noise=1e-15)}) for count in counted]  # fmt: skip
        one.change(leaves=leaves, trajectory=steps)
    return Pair(*pair, 0.01)


@pytest.mark.parametrize(("kind", "buffer"), [("SpectralNorm", "norm.u"), ("VectorQuantiser", "book.usage")])
@pytest.mark.parametrize(("forgets", "when"), [("all", ""), ("later", " after the first step")])
def test_a_buffer_that_stays(kind: str, buffer: str, forgets: str, when: str) -> None:
    found = in_memory.causes(trained(kind, buffer, forgets=forgets), "state", 11, state)
    assert {one.cause for one in found} == {f"the buffer {buffer} is not updated{when}"}


# Leaves and layers


def encoder(
    *, lost: tuple[str, ...] = (), kept_modules: tuple[str, ...] = (), sized: tuple[int, ...] = (),
    shared: dict[str, str] | None = None,
) -> list[str]:  # fmt: skip
    """Return the causes where an encoder's port lacks leaves, has one of another size, or uses one twice."""
    shapes = {"0.embed.weight": (9, 4), "0.scale.gamma": (4,), "0.norm.weight": (4,), "0.norm.bias": (4,),
              "1.weight": (2, 4)}  # fmt: skip
    types = {"0": "Encoder", "0.embed": "Embedding", "0.scale": "LayerScale", "0.norm": "LayerNorm", "1": "Linear"}
    own = {name: f"encoder_{name}" for name in shapes}
    kept = [name for name in shapes if name not in lost]
    loose = [c.Unpaired(name=own[lost[0]], shape=list(sized))] if sized else []
    mapping = c.Mapping(
        leaves=[c.PairedLeaf(theirs=[name], ours=[own[(shared or {}).get(name, name)]]) for name in kept],
        modules=[c.PairedModule(theirs=path, ours=f"encoder_{path}") for path in kept_modules or types],
        unmatched=c.Unmatched(theirs=[c.Unpaired(name=name, shape=list(shapes[name])) for name in lost], ours=loose),
    )
    settings = {"1": {"in_features": 4, "out_features": 2}}
    listed = [c.Module(path=path, type=kind, settings=settings.get(path, {})) for path, kind in types.items()]
    theirs = c.Content(side="torch", modules=listed, leaves=[memory.leaf(name, shapes[name]) for name in shapes])
    leaves = [memory.leaf(own[name], shapes[name]) for name in kept]
    leaves += [memory.leaf(own[name], sized) for name in lost if sized]
    ours = c.Content(side="jax", modules=[], leaves=leaves, mapping=mapping)
    pair = Pair(memory.Memory(Path(), "", theirs), memory.Memory(Path(), "", ours), 0.01)
    return [one.cause for one in memory.diagnosed(pair, structure).causes]


@pytest.mark.parametrize(
    ("lost", "cause"),
    [("0.norm.weight", "0.norm has no scale"), ("0.norm.bias", "0.norm has no bias"),
     ("0.scale.gamma", "0.scale has no gamma")],
)  # fmt: skip
def test_an_encoder_lacks_a_leaf(lost: str, cause: str) -> None:
    assert encoder(lost=(lost,)) == [cause]


def test_an_encoder_lacks_a_module() -> None:
    assert encoder(lost=("0.norm.weight", "0.norm.bias"), kept_modules=("0", "0.embed", "0.scale", "1")) == [
        "no module that does what 0.norm does"
    ]


def test_an_encoder_has_another_size() -> None:
    found = encoder(lost=("1.weight",), sized=(3, 4))
    assert found == ["size 3 instead of 2, which is out_features in the reference"]


def test_an_encoder_uses_a_leaf_twice() -> None:
    assert encoder(shared={"0.norm.bias": "0.scale.gamma"}) == [
        "0.norm and 0.scale share their numbers instead of each having its own"
    ]


def test_a_linear_function_of_two_branches(tmp_path: Path) -> None:
    """The reference's layer gets one branch; the port's function, whose input is not seen, the other."""
    start = {"head.weight": random(3, 5, seed=8), "head.bias": random(3, seed=9)}

    def model(tape: Tape, fault: str) -> None:
        def inner(x: np.ndarray) -> np.ndarray:
            left = tape.call("left", np.sin, x)
            right = tape.call("right", lambda x: x**3, x)
            z = left if fault else right
            if tape.absent:  # the port
                tape.order += 1
                out = z @ start["head.weight"].T + start["head.bias"]
                tape.calls.append({"module": "head", "own": "head", "call": 0, "order": tape.order, "inputs": [],
                                   "outputs": [out]})  # fmt: skip
                return out
            return tape.call("head", lambda z: z @ start["head.weight"].T + start["head.bias"], z)

        tape.call("", inner, random(8, 5))

    modules = {"": "Net", "left": "Branch", "right": "Branch", "head": "Linear", "none": "Identity"}
    toy = Toy(model, modules, start=start, absent=["none"])
    assert causes(toy.verdict(tmp_path / "wrong", "one")) == ["head receives left's output instead of right's output"]
    assert not causes(toy.verdict(tmp_path / "right"))


# Attention


@pytest.mark.parametrize(("n", "heads", "length", "size"), [(3, 2, 6, 5), (4, 3, 7, 4)])
@pytest.mark.parametrize(
    ("fault", "words"),
    [("missing", "dropout of attention's weights is missing"), ("rate", "dropout rate 0.5 instead of 0.25"),
     ("sequences", "one mask for all sequences"), ("both", "one mask for all sequences and heads"),
     ("exchanged", "key for query and query for key")],
)  # fmt: skip
def test_attention(tmp_path: Path, n: int, heads: int, length: int, size: int, fault: str, words: str) -> None:
    query, key, value = (random(n, length, heads * size, seed=seed) for seed in (1, 2, 3))
    how = Attention(query=query, key=key, value=value, heads=heads, key_heads=heads)
    shapes = {"sequences": (1, heads, length, length), "both": (1, 1, length, length)}

    def model(tape: Tape, fault: str) -> None:
        def inner(x: np.ndarray) -> np.ndarray:
            used = how if fault != "exchanged" else replace(how, query=key, key=query)
            if tape.training and fault != "missing":
                rate = 0.5 if fault == "rate" else 0.25
                kept = tape.mask("attn", shapes.get(fault, (n, heads, length, length)), 0.25, seed=int(fault in shapes))
                used = replace(used, kept=np.broadcast_to(kept / (1 - rate), (n, heads, length, length)))
                tape.masks[-1]["rate"] = rate
            for name, part in zip("qkv", (query, key, value), strict=True):
                tape.call(f"attn.{name}", lambda x, part=part: part, x)
            return tape.call("attn.o", np.sin, attended(used))

        tape.call("", lambda x: tape.call("attn", inner, x), random(n, length, 5))

    modules = {"": "Net", "attn": "Attention"} | {f"attn.{name}": "Linear" for name in "qkvo"}
    found = causes(Toy(model, modules, {"attn": {"num_heads": heads}}).verdict(tmp_path, fault))
    if fault == "missing":  # no other mask is drawn, so both are true
        assert found.pop(0) == "dropout is off in training mode"
    assert len(found) == 1 and words in found[0], found
