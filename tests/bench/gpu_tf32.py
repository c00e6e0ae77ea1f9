"""What TF32 and bfloat16 cost and bring: logits, gradients and seconds with other precisions than "highest".

`model.PRECISION` is read when a network is first made, so every precision is a process of its own that sets it before
anything is traced.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np

from jax_impl import compare
from tests.bench.gpu_setup import ENDLESS, RECIPE, Row, Settings, in_turns, mnist_part

# The first is what the others are held against. The last multiplies numbers rounded to bfloat16 and adds in float32.
PRECISIONS = ("highest", "default", "tensorfloat32", "BF16_BF16_F32")
IMAGES = 1_000  # in one pass
NO_TF32 = "this device has no TF32: its float32 products are float32 products"


def values(precision: str, images: int) -> dict[str, Any]:
    """Return logits, loss gradients, and which precision the products of the traced program ask for."""
    import jax
    import jax.numpy as jnp

    from jax_impl import draws, model, recipes, train

    model.PRECISION = precision
    recipe, mnist = recipes.named(RECIPE), mnist_part(min(images, IMAGES))
    params = draws.native(recipe, len(mnist.train_images)).params
    inputs, labels = model.scale(jnp.asarray(mnist.train_images), recipe.dtype), jnp.asarray(mnist.train_labels)
    gradients = jax.jit(jax.grad(train.mean_loss))
    return {
        "products": products(jax.make_jaxpr(jax.grad(train.mean_loss))(params, inputs, labels)),
        "logits": np.asarray(jax.jit(model.apply)(params, inputs)),
        "gradients": jax.tree.map(np.asarray, gradients(params, inputs, labels)),
    }


def products(program: Any) -> str:
    """Return the precision of every product in a traced program; several are separated by commas."""
    import jax
    from jax.extend.core import jaxprs_in_params

    found = set()

    def walk(jaxpr: Any) -> None:
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                precision = equation.params["precision"] or jax.lax.Precision.DEFAULT
                both = precision if isinstance(precision, tuple) else (precision,)  # of each factor, or an algorithm
                found.add("/".join(sorted({one.name for one in both})))
            for inner in jaxprs_in_params(equation.params):
                walk(inner)

    walk(program.jaxpr)
    return ", ".join(sorted(found))


def epochs(settings: Settings, precision: str) -> Iterator[float]:
    """Train for ever in this precision, one run and many in turns; yield the seconds of each epoch."""
    from jax_impl import model, recipes
    from jax_impl.starts.from_images import draw_seeds
    from jax_impl.trainer import engine

    model.PRECISION = precision
    recipe, mnist = recipes.named(RECIPE).with_changes(epochs=ENDLESS), mnist_part(settings.images)
    trainings = [engine.fit_many(recipe, draw_seeds(recipe, range(runs), mnist), mnist) for runs in (1, settings.many)]
    while True:
        for training in trainings:
            epoch, _ = next(training)
            yield epoch.seconds


CHILDREN: dict[str, Callable[[Settings], Iterator[float]]] = {
    f"tf32-{precision}": lambda settings, precision=precision: epochs(settings, precision) for precision in PRECISIONS
}


def measure(settings: Settings, *, has_tf32: bool) -> Iterator[Row]:
    """Compare the values of the precisions."""
    with ProcessPoolExecutor(len(PRECISIONS), mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        images = [settings.images] * len(PRECISIONS)
        found = dict(zip(PRECISIONS, processes.map(values, PRECISIONS, images), strict=True))
    exact = found[PRECISIONS[0]]
    for precision in PRECISIONS:
        apart = {part: largest(found[precision][part], exact[part]) for part in ("logits", "gradients")}
        yield {"precision": precision, "products": found[precision]["products"]} | apart
    if not has_tf32:
        yield {"note": NO_TF32}


def measure_speed(settings: Settings) -> Iterator[Row]:
    """Let the precisions train in turns: one run, and many together."""
    # A child's first two turns, which are not counted, are one run's first epoch and the first of many.
    seconds, dead = in_turns(replace(settings, rounds=2 * settings.rounds), CHILDREN)
    for precision in PRECISIONS:
        both = seconds.get(f"tf32-{precision}")
        if both:
            yield {"precision": precision, "one": both[::2], "many": both[1::2], "runs": settings.many}
    for name in dead:
        yield {"failed": f"{name} died at its start"}


def largest(found: Any, exact: Any) -> float:
    """Return the largest |difference|, relative to the largest magnitude of its tensor."""
    return compare.max_relative(found, exact, tolerance=1.0).measured
