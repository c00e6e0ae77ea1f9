"""docs/by-hand.md: its example runs, its numbers are the library's, and every planted fault is caught."""

import contextlib
import doctest
import io
import re
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from jax.experimental.compilation_cache import compilation_cache

from jax_impl import compare

GUIDE = Path(__file__).parents[2] / "docs" / "by-hand.md"
LINE = re.compile(r"^PASS (?P<name>[^:]+): .*: measured (?P<measured>\S+), tolerance (?P<tolerance>\S+) \(.*\)$")


def blocks(language: str) -> list[str]:
    """The guide's fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


PROGRAMS, LADDER = blocks("python")


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cache compiled programs on disk: a fault changes one line of the example, and few of its programs."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}

    def use(values: dict) -> None:
        for name, value in values.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # it reads its settings only once

    use(settings)
    yield
    use(before)


@pytest.fixture(autouse=True)
def torch_left_alone() -> Iterator[None]:
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


def climb(programs: str, ladder: str) -> tuple[list[str], dict]:
    """Run both blocks in one namespace; return the lines that they printed, and the namespace."""
    namespace, printed = {"__name__": "guide"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in (programs, ladder):
            exec(compile(block, GUIDE.name, "exec"), namespace)
    return printed.getvalue().splitlines(), namespace


@pytest.mark.slow
def test_the_example_passes_every_rung_and_prints_what_the_guide_shows():
    printed, namespace = climb(PROGRAMS, LADDER)
    (shown,) = blocks("text")
    found, expected = ([LINE.match(line) for line in lines] for lines in (printed, shown.splitlines()))
    assert [(line["name"], line["tolerance"]) for line in found] == [
        (line["name"], line["tolerance"]) for line in expected
    ]
    assert all(float(line["measured"]) <= float(line["tolerance"]) for line in (*found, *expected))
    assert {int(line["name"].split()[0]) for line in found} == set(range(3, 14))
    # The guide gives 1.1 percentage points; a standard deviation estimated from 30 runs is off by 13 %.
    spread = 100 * np.sqrt(np.mean([np.var(runs, ddof=1) for runs in namespace["accuracies"]]))
    assert spread == pytest.approx(1.1, abs=0.3)


def test_the_counted_block_has_fewer_than_60_lines():
    count = sum(bool(line.strip()) for line in LADDER.splitlines())
    assert count < 60
    assert f"The ladder is {count} lines, blank ones not counted" in GUIDE.read_text(encoding="utf-8")


def test_the_numbers_of_the_guide_are_the_librarys():
    (block,) = blocks("pycon")
    examples = doctest.DocTestParser().get_examples(block)
    assert len(examples) > 3
    for example in examples:
        assert repr(eval(example.source, {"compare": compare})) == example.want.strip(), example.source


def test_every_comparison_that_the_guide_names_exists():
    names = set(re.findall(r"`(?:compare\.)?([a-z_0-9]+)`", GUIDE.read_text(encoding="utf-8"))) & set(compare.__all__)
    assert names >= {"exact", "max_abs", "max_relative", "allclose", "relative_l2", "not_worse_than", "trajectory"}
    assert names >= {"moments", "ks_two_sample", "holm", "tost"}


# Mistakes of ports: the right line, the faulty line, and the message of the first rung that fails.
FAULTS = {
    "today's torch draws from a second generator, older ones did not": (
        "notebook.permutation(stream, 1000)",
        "stream.randperm(1000)",
        r"^FAIL 3 batch order: array\[",
    ),
    "a bias missing": (
        "nn.Dense(3, ",
        "nn.Dense(3, use_bias=False, ",
        r"^FAIL 4 structure: outer\.bias\[0\]: measured inf, .*missing from actual",
    ),
    "kernels reshaped, not transposed": (
        "{path: np.asarray(theirs[name]).T for",
        "{path: np.asarray(theirs[name]).reshape(theirs[name].shape[::-1]) for",
        r"^FAIL 5 there and back: (inner|outer)\.weight\[",
    ),
    "fans swapped": (
        '["linear_default"](stream, (fan_out, fan_in))',
        '["linear_default"](stream, (fan_in, fan_out)).T',
        r"^FAIL 6 seeded weights: (inner|outer)\.weight\[",
    ),
    "Flax's own initial weights and biases": (
        "kernel_init=uniform, bias_init=uniform, ",
        "",
        r"^FAIL 7 distributions: \w+\.(weight|bias): ",
    ),
    "the square kernel transposed both ways": (
        ".T for name, path in PATHS.items()}",
        ".T.swapaxes(-1, -2 if name == 'inner.weight' else -1) for name, path in PATHS.items()}",
        r"^FAIL 8 layers, float32: .*3 of 3 leaves fail, first inner\[",
    ),
    "LayerNorm with Flax's epsilon": (
        "nn.LayerNorm(epsilon=1e-5, ",
        "nn.LayerNorm(",
        r"^FAIL 8 layers, float32: norm\[",
    ),
    "bfloat16 products": (
        "nn.Dense(32, ",
        "nn.Dense(32, dtype=jnp.bfloat16, ",
        r"^FAIL 8 layers, float32: .*dtype differs",
    ),
    "summed loss": ("(logits, y).mean()", "(logits, y).sum()", r"^FAIL 9 loss: array: "),
    "no gradient through LayerNorm's input": (
        'name="norm")(x)',
        'name="norm")(jax.lax.stop_gradient(x))',
        r"^FAIL 10 gradients: inner\.\w+\[",
    ),
    "Adam's epsilon inside the root": (
        "optax.adam(1e-3)",
        "optax.adam(1e-3, eps=0, eps_root=1e-8)",
        r"^FAIL 11 optimizer: params\[",
    ),
    "no bias correction": (
        "updates, state = flax_adam.update(grads, state)\n        ours",
        "updates, state = flax_adam.update(grads, (state[0]._replace(count=10**6), *state[1:]))\n        ours",
        r"^FAIL 11 optimizer: params\[",
    ),
    "Adam's state lost at every step": (
        "(optax.apply_updates(params, updates), state), loss",
        "(optax.apply_updates(params, updates), flax_adam.init(params)), loss",
        r"^FAIL 12 trajectory: step \d+: .*tolerance first exceeded at step [12]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("line", "fault", "message"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_fails_the_rung_that_must_catch_it(line: str, fault: str, message: str):
    assert line in PROGRAMS + LADDER
    with pytest.raises(AssertionError, match=message):
        climb(PROGRAMS.replace(line, fault), LADDER.replace(line, fault))


@pytest.mark.slow
def test_training_cut_short_fails_the_accuracy_although_every_step_is_right():
    line = "flax_fit(flax_start(init), x, y, order)"
    assert line in PROGRAMS
    last = "from jax_impl import compare\n" + LADDER[LADDER.index("accuracies = ") :]  # the rungs before it pass
    with pytest.raises(AssertionError, match=r"^FAIL 13 accuracy: difference of means: "):
        climb(PROGRAMS.replace(line, line.replace("order", "order[:20]")), last)
