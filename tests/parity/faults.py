"""The catalogue of planted faults: mistakes that ports are known to have, and the rung that must catch each first."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import model, train
from jax_impl.replay import generator, notebook
from tests.parity import mistakes
from tests.parity.ladder import RUNGS, TINY, Size, number, rung
from tests.parity.mistakes import (
    Patch,
    adam_with,
    changed_gradients,
    cross_entropy,
    kernel_init,
    loss_of,
    lossy,
    miscounted,
    network,
    replace,
    scaled_by,
)


@dataclass(frozen=True)
class Fault:
    """A mistake and where it must be seen first."""

    name: str
    expected: int  # the first rung that catches it
    plant: Callable[[Patch], None]


@contextlib.contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Run the block with the fault in the code."""
    with pytest.MonkeyPatch.context() as patch:
        forget()
        fault.plant(patch)
        yield
    forget()


def forget() -> None:
    """Drop the programs that the port keeps, which are what the code was when they were traced."""
    train.compiled_epoch.cache_clear()
    model._graph.cache_clear()
    train.count_correct.clear_cache()


def caught_by(fault: Fault, *, first_only: bool, size: Size = TINY) -> list[int]:
    """Climb with the fault planted and return the rungs that catch it; rung 15 reports and judges nothing."""
    with planted(fault), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a rung must measure the fault, whatever a framework says of it
        caught = (number(stem) for stem in RUNGS[:-1] if catches(stem, size))
        return list(islice(caught, 1 if first_only else None))


def catches(stem: str, size: Size) -> bool:
    """Whether the rung does not pass; a fault that breaks it with an error is caught, too."""
    try:
        return not rung(stem).measure(size).passed
    except Exception:
        return True


FACTS = (  # where ports go wrong, as measured before this ladder was built
    Fault("float64 silently float32", 1, replace(jax, "enable_x64", mistakes.no_float64)),
    Fault("TF32 products", 1, lossy(10)),
    Fault("bfloat16 products", 1, lossy(7)),
    Fault("inputs left in 0 … 255", 2, scaled_by(lambda _: 1)),
    Fault("another shuffle", 3, replace(notebook, "permutation", mistakes.numpy_shuffle)),
    Fault("the shuffle of older torch", 3, replace(notebook, "permutation", mistakes.global_shuffle)),
    Fault("the same order every epoch", 3, replace(notebook, "Loader", mistakes.same_order)),
    Fault("last batch kept", 3, replace(notebook, "batches", mistakes.keep_last_batch)),
    Fault("square kernel not transposed", 5, mistakes.untransposed_square_kernel),
    Fault("uniform draws rounded twice", 6, replace(generator, "_multiply_add", mistakes.two_roundings)),
    Fault("torch's gain taken for variance", 6, replace(notebook, "kaiming_std", mistakes.gain_as_variance)),
    Fault("Flax's default kernels", 7, kernel_init("linear_default", jax.nn.initializers.lecun_normal)),
    Fault("Flax's default biases", 7, mistakes.zero_biases),
    Fault("truncated he_normal", 7, kernel_init("kaiming_normal", jax.nn.initializers.he_normal)),
    Fault("loss summed, not averaged", 9, loss_of(lambda z, y: cross_entropy(z, y).sum())),
    Fault("NaN in the gradients alone", 10, mistakes.relu_as(mistakes.nan_gradient)),
    Fault("Adam's epsilon inside the root", 11, adam_with(eps=0.0, eps_root=1e-8)),
    Fault("Adam without bias correction", 11, miscounted(lambda count: count + 1_000_000)),
    Fault("inputs left in 0 … 255 in testing alone", 14, mistakes.unscaled_test),
    Fault("accuracy averaged over unequal batches", 14, replace(train, "accuracy", mistakes.mean_of_batches)),
    Fault("16 test images dropped", 14, replace(train, "accuracy", mistakes.drop_16_images)),
)
OURS = (
    Fault("labels shifted by one image", 2, mistakes.shift_labels),
    Fault("images transposed", 2, mistakes.transpose_images),
    Fault("inputs times 1/255 in place of divided", 2, scaled_by(lambda dtype: np.asarray(1 / 255, dtype))),
    Fault("a parameter too many", 4, mistakes.extra_layer),
    Fault("two equal layers swapped", 5, mistakes.swapped_layers),
    Fault("weights stored in float16", 5, mistakes.float16_file),
    Fault("fan_out for fan_in", 7, kernel_init("kaiming_uniform", mistakes.fan_out)),
    Fault("one bias missing", 8, network(mistakes.without_bias_2)),
    Fault("float16 in one layer", 8, network(mistakes.in_float16)),
    Fault("another activation (GELU)", 8, mistakes.relu_as(jax.nn.gelu)),
    Fault("softmax taken twice", 9, loss_of(lambda z, y: cross_entropy(jax.nn.softmax(z), y).mean())),
    Fault("labels smoothed by 0.01", 9, loss_of(mistakes.smoothed)),
    Fault("Adam's step count off by one", 11, miscounted(lambda count: count + 1)),
    Fault("Adam's beta2 0.99", 11, adam_with(b2=0.99)),
    Fault("weight decay of 1e-4", 11, changed_gradients(lambda gradient, p: gradient + 1e-4 * p)),
    Fault("gradients clipped at 0.5", 11, changed_gradients(lambda gradient, _: jnp.clip(gradient, -0.5, 0.5))),
    Fault("batches in reverse", 12, mistakes.reversed_batches),
    Fault("trained on a tenth of the images", 13, mistakes.first_tenth_only),
)
FAULTS = tuple(sorted(FACTS + OURS, key=lambda fault: fault.expected))
