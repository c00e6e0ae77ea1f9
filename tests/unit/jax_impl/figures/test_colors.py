"""Each initialiser has one look in all reports, and all looks can be told apart, in light and in dark."""

import base64
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import jax_impl
from jax_impl.figures import colors
from jax_impl.figures.colors import DARK, INITIALISERS, WHITE
from jax_impl.recipes import NAMES
from jax_impl.study.grid import AXES
from jax_impl.study.presets import PRESETS
from jax_impl.study.presets.drawing import draw_preset
from tests.unit.jax_impl.study.presets.made_up import made_up_data

HEX = re.compile(r"#[0-9a-fA-F]{6}\b")
# Machado, Oliveira & Fernandes 2009: what red-blind and green-blind eyes see, on linear RGB.
SEEN = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
# Ottosson 2020: linear RGB to OKLab, in which 0.02 is about the smallest difference that an eye sees.
LMS = np.array(
    [[0.4122215, 0.5363325, 0.0514460], [0.2119035, 0.6806995, 0.1073970], [0.0883025, 0.2817188, 0.6299787]]
)
LAB = np.array(
    [[0.2104543, 0.7936178, -0.0040720], [1.9779985, -2.4285922, 0.4505937], [0.0259040, 0.7827718, -0.8086758]]
)


def linear(color: str) -> np.ndarray:
    parts = np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """The contrast of WCAG 2."""
    dark, light = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (first, second))
    return (light + 0.05) / (dark + 0.05)


def decoded(svg: str) -> str:
    return base64.b64decode(svg).decode()


def test_every_initialiser_has_a_look_of_its_own() -> None:
    assert set(INITIALISERS) == set(NAMES["init"])
    assert len(set(INITIALISERS.values())) == len(INITIALISERS)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("eyes", SEEN)
def test_the_default_grid_s_colours_can_be_told_apart(mode: str, eyes: str) -> None:
    shown = [INITIALISERS[init].color for init in AXES["inits"]]
    assert len(set(shown)) == len(shown)
    shown = [DARK[color] for color in shown] if mode == "dark" else shown
    seen = [LAB @ np.cbrt(LMS @ np.clip(SEEN[eyes] @ linear(color), 0, 1)) for color in shown]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 0.08


@pytest.mark.parametrize("init", INITIALISERS)
def test_a_colour_stands_out_from_the_page(init: str) -> None:
    color = INITIALISERS[init].color
    assert contrast(color, WHITE) >= 3
    assert contrast(DARK[color], DARK[WHITE]) >= 3


def test_names_of_one_initialiser_share_its_colour_and_differ_otherwise() -> None:
    names = {f"recipe{number}, he_normal": "he_normal" for number in range(12)}
    looks = colors.looks_of(names | {"zeros": "zeros"})
    assert looks["zeros"] == INITIALISERS["zeros"]
    assert {look.color for name, look in looks.items() if name in names} == {INITIALISERS["he_normal"].color}
    assert len(set(looks.values())) == 13


def test_no_figure_has_a_colour_of_its_own() -> None:
    package = Path(jax_impl.__file__).parent
    sources = {path.name: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert HEX.search(sources.pop("colors.py"))
    assert {
        name: found for name, text in sources.items() if (found := re.findall(r'["\']#[0-9a-fA-F]{6}["\']', text))
    } == {}


@pytest.mark.parametrize("name", PRESETS)
def test_every_colour_of_a_preset_s_figure_follows_dark_mode(name: str) -> None:
    for svg in map(decoded, draw_preset(PRESETS[name], made_up_data(PRESETS[name])).shown()[:2]):
        style, rest = re.findall(r"<style>svg\{.*?</style>", svg), re.sub(r"<style>.*?</style>", "", svg)
        assert len(style) == 1
        assert "@media (prefers-color-scheme: dark)" in style[0]
        used = set(re.findall(r"var\((--c\w+)\)", rest))
        assert used
        assert all(f"{variable}:" in style[0] for variable in used)
        assert HEX.findall(rest) == []


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_draws_its_initialisers_in_their_colours(name: str) -> None:
    preset = PRESETS[name]
    svg = decoded(draw_preset(preset, made_up_data(preset)).shown().wide)
    rest = re.sub(r"<style>.*?</style>", "", svg)
    for init in {part.recipe.init for part in preset.parts.values()}:
        assert f"var(--c{INITIALISERS[init].color[1:]})" in rest
    others = {look.color for look in INITIALISERS.values()} - {
        INITIALISERS[part.recipe.init].color for part in preset.parts.values()
    }
    assert [color for color in others if f"var(--c{color[1:]})" in rest] == []
