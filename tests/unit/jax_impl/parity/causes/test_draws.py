"""Causes of initial weights: laws, dependence between leaves, fixed elements."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from jax_impl.parity.causes.compute.laws import SURVIVES, Law, Sample, orthogonal
from jax_impl.parity.rungs.distribution import distribution
from tests.unit.jax_impl.parity.causes.memory import Modules, diagnosed, pair_of

SEEDS, LIMIT = 8, 4096
LINEAR: Modules = {"fc": ("Linear", {"in_features": 48, "out_features": 20})}
CONV: Modules = {"conv": ("Conv2d", {"in_channels": 6, "out_channels": 16})}
UP: Modules = {"up": ("ConvTranspose2d", {"in_channels": 6, "out_channels": 16})}
LSTM: Modules = {"lstm": ("LSTM", {"hidden_size": 16, "input_size": 10})}
TABLE: Modules = {"table": ("Embedding", {"num_embeddings": 50, "embedding_dim": 32, "padding_idx": 0})}
ATTENTION: Modules = {"attn": ("MultiheadAttention", {"embed_dim": 16, "num_heads": 4})}
GPT: Modules = {f"h.{i}{name}": ("Conv1D", {}) for i in range(4) for name in ("", ".c_proj", ".c_attn")}
DEFAULT = "uniform within ±1/sqrt(fan_in) (torch's default)"
KEPT = 0.8796256610342398

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def uniform(bound: float) -> Draw:
    return lambda random, shape: random.uniform(-bound, bound, shape)


def normal(std: float, mean: float = 0.0) -> Draw:
    return lambda random, shape: random.normal(mean, std, shape)


def truncated(std: float) -> Draw:
    """Cut at two standard deviations, as `std` before the cut."""
    return lambda random, shape: stats.truncnorm.rvs(-2, 2, scale=std, size=shape, random_state=random)


def constant(value: float) -> Draw:
    return lambda _, shape: np.full(shape, value)


def rows(draw: Draw, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return the samples of several models, as records hold them."""
    random = np.random.default_rng(seed)
    return draw(random, (SEEDS, min(math.prod(shape), LIMIT))).astype(np.float32)


def fresh_causes(
    shapes: Mapping[str, tuple[int, ...]], theirs: Mapping[str, np.ndarray], ours: Mapping[str, np.ndarray],
    modules: Modules,
) -> list[Any]:  # fmt: skip
    pair = pair_of(modules=modules, shapes=shapes, drawn=(theirs, ours))
    return list(diagnosed(pair, distribution).causes)


FC, CV, TR, IH, EM, IN = (28, 48), (24, 6, 3, 3), (6, 24, 4, 4), (64, 10), (60, 32), (48, 16)


LECUN = "truncated normal with std 1/sqrt(fan_in) (lecun_normal, Flax's default)"
HE, GLOROT = "uniform within ±sqrt(6/fan_in) (he_uniform)", "uniform within ±sqrt(6/(fan_in + fan_out))"
FAN_OUT = "normal with std sqrt(2/fan_out) (kaiming_normal, mode fan_out)"
UP_LECUN = "truncated normal with std 1/sqrt(inputs × kernel) (lecun_normal, Flax's default)"
SMALL, UNIT = "normal with std 0.02", "normal with std 1 (torch's default of an embedding)"
CUT = "truncated normal with std 0.0176 (0.02 before it is cut)"
HIDDEN = "uniform within ±1/sqrt(hidden_size) (torch's default)"
EACH = "uniform within ±sqrt(6/(fan_in + fan_out of one of the 3 blocks)) (xavier_uniform for each of q, k and v)"


@pytest.mark.parametrize(
    ("name", "shape", "modules", "theirs", "ours", "causes"),
    [
        ("fc.weight", FC, LINEAR, uniform(48**-0.5), truncated(48**-0.5 / KEPT), (LECUN, DEFAULT)),
        ("conv.weight", CV, CONV, uniform(54**-0.5), truncated(54**-0.5 / KEPT), (LECUN, DEFAULT)),
        ("up.weight", TR, UP, uniform(384**-0.5), truncated(96**-0.5 / KEPT),
         (UP_LECUN, "uniform within ±1/sqrt(outputs × kernel) (torch's default)")),
        ("fc.weight", FC, LINEAR, uniform(48**-0.5), uniform((6 / 48) ** 0.5), (HE, DEFAULT)),
        ("conv.weight", CV, CONV, uniform(54**-0.5), uniform((6 / 54) ** 0.5), (HE, DEFAULT)),
        ("fc.weight", FC, LINEAR, uniform(48**-0.5), uniform((6 / 76) ** 0.5),
         (f"{GLOROT} (xavier_uniform, glorot_uniform)", DEFAULT)),
        ("fc.weight", FC, LINEAR, uniform(48**-0.5), normal((2 / 76) ** 0.5),
         ("normal with std sqrt(2/(fan_in + fan_out)) (xavier_normal)", DEFAULT)),
        ("conv.weight", CV, CONV, normal((2 / 216) ** 0.5), normal((2 / 54) ** 0.5),
         ("normal with std sqrt(2/fan_in) (kaiming_normal)", FAN_OUT)),
        ("conv.weight", CV, CONV, normal((2 / 216) ** 0.5), truncated((2 / 216) ** 0.5 / KEPT),
         ("truncated normal with std sqrt(2/fan_out)", FAN_OUT)),
        ("fc.weight", FC, LINEAR, normal(0.02), truncated(0.02), (CUT, SMALL)),
        ("conv.weight", CV, CONV, normal(0.02), truncated(0.02), (CUT, SMALL)),
        ("fc.weight", FC, LINEAR, normal(0.02), lambda r, s: r.uniform(0, 0.02, s), ("uniform from 0 to 0.02", SMALL)),
        ("table.weight", EM, TABLE, normal(1.0), normal(32**-0.5),
         ("normal with std 1/sqrt(embedding_dim) (Flax's default)", UNIT)),
        ("table.weight", EM, TABLE, normal(0.02), normal(1.0), (UNIT, SMALL)),
        ("table.weight", EM, TABLE, normal(0.02), normal(0.01), ("normal with std 0.01", SMALL)),
        ("lstm.weight_ih_l0", IH, LSTM, uniform(0.25), uniform(10**-0.5),
         ("uniform within ±1/sqrt(input_size)", HIDDEN)),
        ("lstm.weight_ih_l0", IH, LSTM, uniform(0.25), uniform((6 / 26) ** 0.5),
         ("uniform within ±sqrt(6/(fan_in + fan_out of one of the 4 blocks))", HIDDEN)),
        ("attn.in_proj_weight", IN, ATTENTION, uniform((6 / 64) ** 0.5), uniform((6 / 32) ** 0.5),
         (f"uniform within ±sqrt(3/fan_in) (lecun_uniform) or {EACH}", GLOROT)),
        ("h.1.c_proj.weight", (64, 64), GPT, normal(0.02 / 8**0.5), normal(0.02),
         (SMALL, "normal with std 0.02/sqrt(2·4 layers)")),
        ("h.1.c_proj.weight", (64, 32), GPT, normal(0.02 / 8**0.5), normal(0.02 / 2),
         ("normal with std 0.02/sqrt(4 layers) or normal with std 0.01", "normal with std 0.02/sqrt(2·4 layers)")),
        ("fc.bias", (20,), LINEAR, uniform(48**-0.5), constant(0.0), ("always 0", DEFAULT)),
        ("conv.bias", (3,), CONV, uniform(54**-0.5), constant(0.0), ("always 0", DEFAULT)),
        ("fc.weight", FC, LINEAR, constant(0.0), truncated(48**-0.5 / KEPT), (LECUN, "always 0")),
        ("fc.scale", (200,), LINEAR, normal(0.02, 1.0), constant(1.0), ("always 1", "normal around 1 with std 0.02")),
        ("fc.scale", (200,), LINEAR, normal(0.02, 1.0), normal(0.02), (SMALL, "normal around 1 with std 0.02")),
        ("fc.scale", (7,), LINEAR, constant(1.0), constant(0.5), ("always 0.5", "always 1")),
        ("fc.weight", FC, LINEAR, uniform(48**-0.5), uniform(0.2222), ("uniform within ±0.222 (estimated)", DEFAULT)),
        ("conv.weight", CV, CONV, normal(0.02), normal(0.0372), ("normal with std 0.0374 (estimated)", SMALL)),
    ],
)  # fmt: skip
def test_the_law_of_both_sides_is_named(
    name: str, shape: tuple[int, ...], modules: Modules, theirs: Draw, ours: Draw, causes: tuple[str, str]
) -> None:
    if "bias" in name:
        shapes = {name: shape, name.replace("bias", "weight"): FC if "fc" in name else CV}
    else:
        shapes = {name: shape}
    found = fresh_causes(shapes, {name: rows(theirs, shape, 1)}, {name: rows(ours, shape, 2)}, modules)
    assert len(found) == 1, found
    assert found[0].cause.startswith(f"{causes[0]} instead of {causes[1]}")


@pytest.mark.parametrize("name", ["fc.weight", "conv.weight"])
@pytest.mark.parametrize(
    "law", [uniform(0.1), normal(0.02), truncated(0.05), normal(1.0), constant(0.0), normal(0.02, 1.0)]
)
def test_equal_laws_have_no_cause(name: str, law: Draw) -> None:
    modules, shape = (LINEAR, FC) if name == "fc.weight" else (CONV, CV)
    for seed in range(4):
        both = [{name: rows(law, shape, 2 * seed + side)} for side in (0, 1)]
        assert fresh_causes({name: shape}, both[0], both[1], modules) == []


@pytest.mark.parametrize(
    "law",
    [
        lambda r, s: r.laplace(0, 0.1, s),
        lambda r, s: r.standard_t(3, s),
        lambda r, s: r.choice([-0.1, 0.1], s),
        lambda r, s: r.exponential(0.1, s),
    ],
)
@pytest.mark.parametrize("shape", [(20, 48), (100, 30)])
def test_laws_that_nobody_published_are_not_named(law: Draw, shape: tuple[int, int]) -> None:
    name = "fc.weight"
    assert fresh_causes({name: shape}, {name: rows(uniform(0.14), shape, 1)}, {name: rows(law, shape, 2)}, LINEAR) == []


KINDS: dict[str, tuple[str, Draw]] = {
    "uniform": ("a uniform law", uniform(0.05)), "normal": ("a normal law", normal(0.02)),
    "truncated": ("a truncated normal law", truncated(0.02)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "modules"), [("fc.weight", LINEAR), ("conv.weight", CONV)])
def test_the_kind_of_a_law_is_named_by_few_draws(kind: str, name: str, modules: Modules) -> None:
    """900 draws do not tell a std from one that is 5 % larger, but a cut at two stds from none."""
    shape = (7, 16) if name == "fc.weight" else (3, 4, 3, 3)
    words, law = KINDS[kind]
    starts = []
    for seed in range(6):
        found = fresh_causes(
            {name: shape}, {name: rows(normal(0.3), shape, seed)}, {name: rows(law, shape, seed + 9)}, modules
        )
        starts += [one.cause.partition(",")[0] for one in found]
    assert set(starts) <= {words, "another law"}
    assert starts.count(words) >= 4


@pytest.mark.parametrize("size", [128, 900, 4000])
@pytest.mark.parametrize("law", ["uniform", "normal", "truncated", "Laplace", "triangle", "logistic", "Student"])
def test_a_kind_is_seldom_that_of_a_law_which_is_only_near(law: str, size: int) -> None:
    random = np.random.default_rng(3)
    unlisted: dict[str, Draw] = {
        "Laplace": lambda r, s: r.laplace(0, 1, s), "triangle": lambda r, s: r.triangular(-1, 0, 1, s),
        "logistic": lambda r, s: r.logistic(0, 1, s), "Student": lambda r, s: r.standard_t(3, s),
    }  # fmt: skip
    draw = unlisted.get(law) or KINDS[law][1]
    kinds = [Sample(draw(random, (size,))).kind for _ in range(50)]
    assert sum(kind not in (None, law) for kind in kinds) <= 4
    assert law not in KINDS or size < 900 or kinds.count(law) >= 40


@pytest.mark.parametrize("shape", [(20, 48), (64, 48)])
def test_orthogonal_weights_are_told_from_normal_ones(shape: tuple[int, int]) -> None:
    models = [torch.nn.init.orthogonal_(torch.empty(shape)).numpy().reshape(-1) for _ in range(SEEDS)]
    found = fresh_causes(
        {"fc.weight": shape}, {"fc.weight": rows(uniform(48**-0.5), shape, 1)}, {"fc.weight": np.stack(models)}, LINEAR
    )
    assert [one.cause for one in found] == ["orthogonal with gain 1 instead of " + DEFAULT]
    assert orthogonal(np.stack(models).astype(np.float64), shape) == pytest.approx(1)
    assert orthogonal(rows(normal(0.1), shape, 1).astype(np.float64), shape) is None


def test_a_sample_of_an_orthogonal_matrix_may_be_either() -> None:
    shape = (80, 80)
    models = [torch.nn.init.orthogonal_(torch.empty(shape)).numpy().reshape(-1) for _ in range(SEEDS)]
    places = np.arange(LIMIT) * 6400 // LIMIT
    drawn = np.stack(models)[:, places]
    theirs = {"fc.weight": rows(normal(0.02), shape, 1)}
    (found,) = fresh_causes({"fc.weight": shape}, theirs, {"fc.weight": drawn}, LINEAR)
    assert " or orthogonal instead of normal with std 0.02" in found.cause


def test_leaves_of_one_name_are_explained_together() -> None:
    """In a square layer fan_in is fan_out: only the other layer tells them apart."""
    modules: Modules = {"a": ("Linear", {}), "b": ("Linear", {})}
    shapes = {"a.weight": (32, 32), "b.weight": (20, 64)}
    theirs = {name: rows(uniform(shape[1] ** -0.5), shape, 1) for name, shape in shapes.items()}
    ours = {name: rows(truncated(shape[1] ** -0.5 / KEPT), shape, 2) for name, shape in shapes.items()}
    (found,) = fresh_causes(shapes, theirs, ours, modules)
    assert found.place == ("a.weight", "b.weight")
    assert found.cause.startswith("truncated normal with std 1/sqrt(fan_in) (lecun_normal, Flax's default) instead of")


def test_few_draws_do_not_tell_a_law() -> None:
    shapes = {"fc.bias": (12,), "fc.weight": FC}
    theirs = {"fc.bias": rows(uniform(48**-0.5), (12,), 1)}
    ours = {"fc.bias": rows(uniform(2.5 * 48**-0.5), (12,), 2)}
    (found,) = fresh_causes(shapes, theirs, ours, LINEAR)
    assert found.cause == "another law, of which there are too few draws to tell it, instead of " + DEFAULT


@pytest.mark.parametrize(("modules", "name", "shape"), [(TABLE, "table.weight", EM), (LINEAR, "fc.weight", FC)])
def test_rows_that_are_fixed_are_named(modules: Modules, name: str, shape: tuple[int, int]) -> None:
    drawn = [rows(normal(1.0), shape, seed).reshape(SEEDS, *shape) for seed in (1, 2)]
    drawn[0][:, 0] = 0
    both = [{name: one.reshape(SEEDS, -1)} for one in drawn]
    row = "the row of padding, 0, is" if name == "table.weight" else "row 0 is"
    assert [one.cause for one in fresh_causes({name: shape}, both[0], both[1], modules)] == [
        f"{row} drawn like the others instead of always 0"
    ]
    found = fresh_causes({name: shape}, both[1], both[0], modules)
    assert [one.cause for one in found] == [f"{row} always 0 instead of drawn like the others"]


def test_the_forget_gate_is_named() -> None:
    name, shape = "lstm.bias_ih_l0", (64,)
    theirs, ours = (rows(uniform(0.25), shape, seed) for seed in (1, 2))
    ours[:, 16:32] = 1
    causes = [one.cause for one in fresh_causes({name: shape}, {name: theirs}, {name: ours}, LSTM)]
    assert causes == ["gate f is always 1 instead of drawn like the others"]


def test_a_seed_without_effect_is_named() -> None:
    for name, shape, modules in (("fc.weight", FC, LINEAR), ("conv.weight", CV, CONV)):
        drawn = rows(normal(0.02), shape, 1)
        same = np.repeat(rows(normal(0.02), shape, 2)[:1], SEEDS, axis=0)
        found = fresh_causes({name: shape}, {name: drawn}, {name: same}, modules)
        assert [one.cause for one in found] == ["every fresh model has the same weights: the seed has no effect"]
        found = fresh_causes({name: shape}, {name: same}, {name: drawn}, modules)
        assert [one.cause for one in found] == ["drawn at random instead of being the same table in every model"]


def test_copied_layers_and_shared_keys_are_named() -> None:
    modules: Modules = {f"layers.{i}": ("Linear", {}) for i in range(3)}
    shapes = {
        f"layers.{i}.{name}": (16, 16) if name == "weight" else (16,) for i in range(3) for name in ("weight", "bias")
    }
    apart = {name: rows(uniform(0.25), shape, seed) for seed, (name, shape) in enumerate(shapes.items())}
    copies = {name: apart[f"layers.0.{name.rpartition('.')[2]}"] for name in shapes}
    (found,) = fresh_causes(shapes, copies, apart, modules)
    assert (
        found.cause == "the layers layers.0, layers.1 and layers.2 are drawn one by one instead of being copies of one"
    )
    assert found.known == "pytorch 72253"
    (found,) = fresh_causes(shapes, apart, copies, modules)
    assert found.cause == "layers.0, layers.1 and layers.2 are drawn with one key, or copied, instead of one by one"
    shared = apart | {"layers.1.weight": apart["layers.0.weight"]}
    (found,) = fresh_causes(shapes, apart, shared, modules)
    assert found.cause == "layers.0.weight and layers.1.weight are drawn with one key, or copied, instead of one by one"


def test_a_key_used_twice_for_two_laws_is_named() -> None:
    modules: Modules = {"a": ("Linear", {}), "b": ("Linear", {})}
    shapes = {"a.weight": FC, "b.weight": FC}
    theirs = {
        name: rows(law, FC, seed)
        for seed, (name, law) in enumerate(zip(shapes, (normal(0.02), uniform(0.1)), strict=True))
    }
    bits = np.random.default_rng(7).random((SEEDS, 1344))
    ours = {"a.weight": (0.02 * stats.norm.ppf(bits)), "b.weight": 0.2 * bits - 0.1}
    found = fresh_causes(shapes, theirs, ours, modules)
    assert [one.cause for one in found] == [
        "a.weight and b.weight are drawn from the same random numbers instead of independently"
    ]
    mixed = {"a.weight": ours["a.weight"], "b.weight": 0.5 * ours["b.weight"] + 0.5 * theirs["b.weight"]}
    assert not any("same random numbers" in one.cause for one in fresh_causes(shapes, theirs, mixed, modules))


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (Law("uniform", 0.3), stats.uniform(-0.3, 0.6)),
        (Law("normal", 0.3, 1.0), stats.norm(1.0, 0.3)),
        (Law("truncated", 0.3), stats.truncnorm(-2, 2, scale=0.3 / KEPT)),
        (Law("one-sided", 0.3), stats.uniform(0, 0.3)),
    ],
)
def test_laws_are_those_of_scipy(law: Law, expected: Any) -> None:
    x = np.linspace(-1, 2, 301)
    np.testing.assert_allclose(law.cdf(x), expected.cdf(x), atol=1e-12)
    assert law.std == pytest.approx(expected.std(), abs=1e-12)
    assert law.centre == pytest.approx(expected.mean(), abs=1e-12)
    np.testing.assert_allclose(law.support, expected.support(), atol=1e-12)


@pytest.mark.parametrize("size", [64, 1000])
@pytest.mark.parametrize("law", [Law("uniform", 1.0), Law("normal", 1.0), Law("truncated", 1.0)])
def test_a_true_law_survives_and_another_does_not(law: Law, size: int) -> None:
    random = np.random.default_rng(6)
    draws = {"uniform": uniform(1.0), "normal": normal(1.0), "truncated": truncated(1 / KEPT)}[law.kind]
    p_values = [Sample(draws(random, (size,))).p_value(law) for _ in range(200)]
    assert min(p_values) > SURVIVES
    assert np.median(p_values) > 0.3
    wrong = Law(law.kind, 2.0)
    assert max(Sample(draws(random, (size,))).p_value(wrong) for _ in range(20)) < SURVIVES


def test_strange_samples_do_not_raise() -> None:
    for array in (
        np.zeros((8, 0)),
        np.full((8, 3), np.nan),
        np.full((8, 3), np.inf),
        np.ones((1, 4)),
        np.arange(8.0)[:, None],
    ):
        for other in (np.ones((8, 3)), rows(normal(1), (3,), 1)):
            fresh_causes({"fc.weight": (1, 3)}, {"fc.weight": other}, {"fc.weight": array}, LINEAR)
            fresh_causes({"fc.weight": (1, 3)}, {"fc.weight": array}, {"fc.weight": other}, LINEAR)
