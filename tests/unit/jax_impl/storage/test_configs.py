"""The config.json of a run: what is read from it, and how two of them differ."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from jax_impl import recipes
from jax_impl.errors import UserError
from jax_impl.storage import configs

RECIPE = recipes.named("mnist_nn_deep").with_changes(activation="tanh", learning_rate=1.0)


def test_the_recipe_of_a_run_comes_back(tmp_path: Path) -> None:
    assert configs.read(tmp_path, "…") is None
    settings = asdict(RECIPE) | {"learning_rate": 1}  # an integer in JSON is a number, too
    (tmp_path / "config.json").write_text(json.dumps({"package": "torch_ref", "recipe": settings}), encoding="utf-8")
    config = configs.read(tmp_path, "…")
    assert config
    assert (configs.command(config), configs.recipe(config)) == ("train", RECIPE)


@pytest.mark.parametrize(
    ("config", "command"),
    [
        ({"package": "jax_impl", "hidden": [500]}, "rbm or dbn"),
        ({"package": "jax_impl"}, None),
        ({"package": "transformers", "recipe": {}}, None),
        ({"package": ["jax_impl"], "recipe": {}}, None),
        ({}, None),
    ],
)
def test_the_command_that_wrote_it_is_known(config: dict[str, object], command: str | None) -> None:
    assert configs.command(config) == command
    assert configs.recipe(config) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_another_file_is_refused_with_the_remedy(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json is .*; do this instead$") as error:
        configs.read(tmp_path, "do this instead")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(tmp_path)) + 400
