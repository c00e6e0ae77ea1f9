"""What was tried to make a step faster, side by side: `python -m tests.bench.trials`.

Each trial is the epoch as it is kept (`jax`) with one thing changed, in a process of its own. docs/performance.md tells
what was expected of them and what came out.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any
from unittest import mock

import jax
import jax.numpy as jnp
import tyro

from jax_impl import data, model, recipes, train
from tests.bench import floor, one_pass, rewritten, turns, with_jax

FAST_MATH = {"xla_cpu_enable_fast_math": True, "xla_cpu_fast_math_honor_division": False} | {
    f"xla_cpu_fast_math_honor_{what}": True for what in ("nans", "infs", "functions")
}
FUSED = "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_ELTWISE"
IN_PARALLEL = "CPU_SCHEDULER_TYPE_CONCURRENCY_OPTIMIZED"


def options(**more: Any) -> Callable[[], Any]:
    """Compile with these options beside those that are kept."""
    return lambda: mock.patch.object(train, "CPU_OPTIONS", train.CPU_OPTIONS | more)


def one_division(optimizer: str, state: train.State, gradients: Any) -> train.State:
    """Take Adam's step in the order of operations that Kingma & Ba (2015) give at the end of section 2.

    One division and one root an element, where Optax, as torch does, corrects both moments first.
    """
    assert optimizer == "adam"
    (adam, *rest), rate = state.opt_state, state.learning_rate
    count = adam.count + 1
    correction = jnp.sqrt(1 - 0.999 ** count.astype(rate.dtype))
    size = rate * correction / (1 - 0.9 ** count.astype(rate.dtype))
    mu = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, adam.mu, gradients)
    nu = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, adam.nu, gradients)
    params = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) + 1e-8 * correction), state.params, mu, nu)
    return train.State(params, (adam._replace(count=count, mu=mu, nu=nu), *rest), rate)


def optimizer(update: Callable[[str, train.State, Any], train.State]) -> Callable[[], Any]:
    """Take steps by another rule."""
    return lambda: mock.patch.object(train, "update", lambda state, gradients, name: update(name, state, gradients))


def plain_descent(_: str, state: train.State, gradients: Any) -> train.State:
    """Take a step of gradient descent and leave the moments alone."""
    params = jax.tree.map(lambda p, g: p - state.learning_rate * g, state.params, gradients)
    return state._replace(params=params)


TRIALS: dict[str, tuple[str, Callable[[], Any]]] = {
    "jax": ("as it is kept", options()),
    "copies": ("without the option against copies", lambda: mock.patch.object(train, "CPU_OPTIONS", {})),
    "wide": ("narrow products as they come", lambda: mock.patch.object(model, "NARROW", 0)),
    "wide-vectors": ("vectors of 512 bits", options(xla_cpu_prefer_vector_width=512)),
    "one-thread": ("Eigen's products by one thread each", options(xla_cpu_multi_thread_eigen=False)),
    "scheduler": ("scheduled for concurrency", options(xla_cpu_scheduler_type=IN_PARALLEL)),
    "fused": ("elementwise operations fused into the products", options(xla_cpu_experimental_ynn_fusion_type=FUSED)),
    "fast-math": ("LLVM may reassociate and multiply by reciprocals", options(**FAST_MATH)),
    "one-division": ("Adam with one division", optimizer(one_division)),
    "one-pass": ("Adam in one pass, a kernel in C++", optimizer(one_pass.update)),
    "unrolled": ("four steps in an iteration of the loop", options()),
    "transposed": ("kernels stored transposed", options()),
    "bias-row": ("the bias as a row of the kernel", options()),
    "ahead": ("the next batch gathered in the step before", options()),
    "descent": ("gradient descent in Adam's place", optimizer(plain_descent)),
    "floor": ("the matrix products alone", options()),
}


def contend(name: str, recipe_name: str) -> None:
    """Train on request with one thing changed."""
    recipe, mnist = recipes.named(recipe_name), data.load()
    with TRIALS[name][1]():
        epochs: Iterator[Any]
        if name in rewritten.FORMS:
            epochs = rewritten.epochs(name, recipe, mnist)
        else:
            epochs = (floor.epochs if name == "floor" else with_jax.scan)(recipe, mnist)
        turns.serve(epoch.seconds for epoch in epochs)


def main(
    recipe: Annotated[str, tyro.conf.arg(help="What to train.")] = recipes.DEFAULT,
    rounds: Annotated[int, tyro.conf.arg(help="Epochs of each trial that count.")] = 9,
    chosen: Annotated[tuple[str, ...], tyro.conf.arg(help="Which of them.")] = tuple(TRIALS),
    only: Annotated[str | None, tyro.conf.arg(help="Be this trial, on request by standard input.")] = None,
) -> None:
    """Time an epoch of each trial, in turns."""
    if only:
        contend(only, recipe)
        return
    names = ("jax", *(name for name in chosen if name != "jax"))
    trials = {name: turns.Contender("tests.bench.trials", "--recipe", recipe, "--only", name) for name in names}
    titles = {name: TRIALS[name][0] for name in names}
    turns.show(recipe, titles, turns.measure(trials, rounds))


if __name__ == "__main__":
    tyro.cli(main)
