"""The catalogue of planted faults: mistakes that ports make, and the rung that must catch each of them first."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from functools import partial
from itertools import islice, repeat

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_impl import draws, model, train
from jax_impl.commands import evaluate
from jax_impl.commands import train as command
from jax_impl.replay import generator, init, notebook
from jax_impl.starts import replayed
from jax_impl.trainer import epochs, one_run
from tests.parity import jax_side, records
from tests.parity.ladder import RUNGS, TINY, Size, number, rung
from tests.parity.mistakes import Plant, commands, loop, replace, wrapped
from tests.parity.mistakes import draws as drawn
from tests.parity.mistakes import network as net
from tests.parity.mistakes.network import adam_with, changed_gradients, cross_entropy, loss_of, miscounted


@dataclasses.dataclass(frozen=True)
class Fault:
    """A mistake, and the rung that must see it first."""

    name: str
    expected: int  # the first rung that catches it
    plant: Plant
    compiles: bool = True  # whether it changes compiled programs, so that those of other code must be dropped


Uncompiled = partial(Fault, compiles=False)
LONG = 12  # the first of the rungs that take long


@contextlib.contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Run the block with the fault in the code."""
    if fault.compiles:
        forget()
    try:
        with pytest.MonkeyPatch.context() as patch:
            fault.plant(patch)
            yield
    finally:  # the code is as before: what a fault replaced can be forgotten, too
        if fault.compiles:
            forget()


def forget() -> None:
    """Drop what was compiled and loaded: it reflects the code as it was then."""
    jax_side.forget()
    records.forget()
    train.compiled_epoch.cache_clear()
    epochs._compiled.cache_clear()
    model._graph.cache_clear()
    for jitted in (model.count_correct, epochs.count_correct, draws.shuffled, train._initial_moments):
        jitted.clear_cache()


def caught_by(fault: Fault, *, first_only: bool, size: Size = TINY) -> list[int]:
    """Climb with the fault planted and return the rungs that catch it.

    Rungs 12 to 14 take most of a climb. They are climbed if no rung before has caught the fault. Rung 15
    reports and judges nothing.
    """
    with planted(fault), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a rung must measure the fault, whether or not a framework warns of it
        caught: list[int] = []
        for stem in RUNGS[:-1]:
            if caught and (first_only or number(stem) >= LONG):
                break
            if catches(stem, size):
                caught.append(number(stem))
        return caught


def catches(stem: str, size: Size) -> bool:
    """Return whether the rung does not pass. A fault that breaks it with an error is caught, too."""
    try:
        return not rung(stem).measure(size).passed
    except Exception:
        return True


FACTS = (  # where ports go wrong, as seen before this ladder was built
    Fault("float64 silently float32", 1, replace(jax, "enable_x64", net.no_float64)),
    Fault("TF32 products", 1, net.lossy(10)),
    Fault("bfloat16 products", 1, net.lossy(7)),
    Fault("inputs left in 0 … 255", 2, net.scaled_by(lambda _: 1)),
    Fault("another shuffle", 3, replace(notebook, "permutation", drawn.numpy_shuffle)),
    Fault("the shuffle of older torch", 3, replace(notebook, "permutation", drawn.global_shuffle)),
    Fault("the same order every epoch", 3, replace(replayed, "orders", drawn.same_order)),
    Fault("last batch kept", 3, replace(replayed, "full_batches", drawn.keep_last_batch)),
    Fault("square kernel not transposed", 5, drawn.untransposed_square_kernel),
    Fault("uniform draws rounded twice", 6, replace(generator, "multiply_add", drawn.two_roundings)),
    Fault("torch's gain taken for variance", 6, replace(init, "kaiming_std", drawn.gain_as_variance)),
    Fault("Flax's default kernels", 7, drawn.kernel_init("linear_default", jax.nn.initializers.lecun_normal)),
    Fault("Flax's default biases", 7, drawn.zero_biases),
    Fault("truncated he_normal", 7, drawn.kernel_init("kaiming_normal", jax.nn.initializers.he_normal)),
    Fault("loss summed, not averaged", 9, loss_of(lambda z, y: cross_entropy(z, y).sum())),
    Fault("NaN in the gradients alone", 10, net.relu_as(net.nan_gradient)),
    Fault("Adam's epsilon inside the root", 11, adam_with(eps=0.0, eps_root=1e-8)),
    Fault("Adam without bias correction", 11, miscounted(lambda count: count + 1_000_000)),
    Fault("inputs left in 0 … 255 in testing alone", 12, replace(model, "count_correct", net.count_unscaled)),
    Uncompiled("accuracy averaged over unequal batches", 12, replace(train, "accuracy", net.mean_of_batches)),
    Uncompiled("16 test images dropped", 12, replace(train, "accuracy", net.first_images(-16))),
)
OF_PARTS = (
    Fault("labels shifted by one image", 2, drawn.shift_labels),
    Fault("images transposed", 2, drawn.transpose_images),
    Fault("inputs times 1/255 in place of divided", 2, net.scaled_by(lambda dtype: np.asarray(1 / 255, dtype))),
    Uncompiled(
        "JAX's own order the same every epoch",
        3,
        wrapped(draws, "shuffled", lambda right: lambda key, _, *sizes: right(key, 0, *sizes)),
    ),
    Uncompiled("JAX's own batches drawn with replacement", 3, replace(draws, "shuffled", drawn.with_replacement)),
    Uncompiled(
        "trained on a tenth of the images",
        3,
        wrapped(draws, "native", lambda right: lambda recipe, n: right(recipe, n // 10)),
    ),
    Uncompiled(
        "JAX's own draws ignore the seed",
        3,
        wrapped(draws, "native", lambda right: lambda recipe, n: right(recipe.with_changes(seed=777), n)),
    ),
    Fault("a parameter too many", 4, drawn.extra_layer),
    Uncompiled("learning rate 3e-4 by default", 4, drawn.recipe_with(learning_rate=3e-4)),
    Uncompiled("ten epochs by default", 4, drawn.recipe_with(epochs=10)),
    Fault("two equal layers swapped", 5, drawn.swapped_layers),
    Fault("weights stored in float16", 5, drawn.float16_file),
    Uncompiled("torch's draws ignore the seed", 6, drawn.one_seed),
    Uncompiled(
        "init cell run only once",
        6,
        wrapped(
            notebook, "initial_tensors", lambda right: lambda *draw, **how: right(*draw, **(how | {"init_passes": 1}))
        ),
    ),
    Fault("fan_out for fan_in", 7, drawn.kernel_init("kaiming_uniform", drawn.fan_out)),
    Uncompiled("one key for all layers of a shape", 7, wrapped(draws, "init_params", drawn.equal_layers)),
    Fault("one bias missing", 8, net.network(net.without_bias_2)),
    Fault("float16 in one layer", 8, net.network(net.in_float16)),
    Fault("another activation (GELU)", 8, net.relu_as(jax.nn.gelu)),
    Fault("leaky ReLU in place of ReLU", 8, net.relu_as(jax.nn.leaky_relu)),
    Fault("softmax taken twice", 9, loss_of(lambda z, y: cross_entropy(jax.nn.softmax(z), y).mean())),
    Fault("labels smoothed by 0.01", 9, loss_of(net.smoothed)),
    Fault("loss in bits", 9, loss_of(lambda z, y: cross_entropy(z, y).mean() / jnp.log(2.0).astype(z.dtype))),
    Fault("a layer's kernel frozen", 10, net.frozen("kernel")),
    Fault("a layer's bias frozen", 10, net.frozen("bias")),
    Fault("gradients twice as large", 10, loss_of(net.gradient_doubled)),
    Fault("Adam's step count off by one", 11, miscounted(lambda count: count + 1)),
    Fault("Adam's beta2 0.99", 11, adam_with(b2=0.99)),
    Fault("Adam's moments in float32", 11, adam_with(mu_dtype=jnp.float32)),
    Fault("SGD in place of Adam", 11, replace(optax, "adam", optax.sgd)),
    Fault("updates ten times as large", 11, adam_with(scale=10.0)),
    Fault("no update of biases", 11, changed_gradients(lambda gradient, p: gradient * (p.ndim > 1))),
    Fault("weight decay of 1e-4", 11, changed_gradients(lambda gradient, p: gradient + 1e-4 * p)),
    Fault("gradients clipped at 0.5", 11, changed_gradients(lambda gradient, _: jnp.clip(gradient, -0.5, 0.5))),
)
OF_THE_LOOP = (
    Uncompiled("batches in reverse", 12, loop.each_order(lambda order: order[::-1])),
    Uncompiled("every epoch trained on the first order", 12, loop.orders(lambda given: repeat(next(given)))),
    Uncompiled("orders begin with the second epoch's", 12, loop.orders(lambda given: islice(given, 1, None))),
    Uncompiled("last batch of every epoch skipped", 12, loop.each_order(lambda order: order[: max(1, len(order) - 1)])),
    Uncompiled("first batch trained twice", 12, loop.each_order(lambda order: np.concatenate([order[:1], order[:-1]]))),
    Uncompiled("one image of every batch left out", 12, loop.each_order(lambda order: order[:, 1:])),
    Uncompiled("one epoch too few", 12, loop.settings(epochs=lambda n: max(1, n - 1))),
    Uncompiled("one epoch too many", 12, loop.settings(epochs=lambda n: n + 1)),
    Uncompiled("learning rate ten times as large", 12, loop.settings(learning_rate=lambda rate: 10 * rate)),
    Uncompiled("learning rate halved after every epoch", 12, loop.between_epochs(loop.halved_rate)),
    Uncompiled("Adam's state reset at each epoch", 12, loop.between_epochs(loop.of_adam(loop.reset))),
    Uncompiled("Adam's step count reset at each epoch", 12, loop.between_epochs(loop.of_adam(loop.recounted))),
    Uncompiled("Adam's moments in float32 between epochs", 12, loop.between_epochs(loop.of_adam(loop.rounded_moments))),
    Uncompiled("parameters in float16 between epochs", 12, loop.between_epochs(loop.rounded_params)),
    Fault("float64 training in float32", 12, loop.fit_with(loop.float32_always)),
    Uncompiled("a layer frozen after the first epoch", 12, loop.epochs(loop.frozen_later)),
    Uncompiled("every epoch starts from the initial weights", 12, loop.begin_again()),
    Uncompiled("trained on the test images", 12, loop.images(loop.test_for_training)),
    Fault("labels in the file's order", 12, wrapped(train, "run_epoch", loop.labels_in_file_order)),
    Fault("gradients added up, without zero_grad", 12, loop.step_by(loop.accumulated_gradients)),
    Fault("loss taken after the update", 12, loop.step_by(loop.loss_after_update)),
    Uncompiled("cost of the last batch", 12, loop.losses(lambda losses: losses[-1:])),
    Uncompiled("cost as a running mean", 12, loop.losses(loop.running_mean)),
    Uncompiled("cost in float16", 12, loop.losses(lambda losses: losses.astype(np.float16))),
    Uncompiled("cost divided by a batch too many", 12, loop.losses(lambda losses: np.append(losses, 0))),
    Uncompiled("cost in float32", 12, loop.records(cost=lambda cost: float(np.float32(cost)))),
    Uncompiled("epochs counted from 0", 12, loop.records(epoch=lambda epoch: epoch - 1)),
    Uncompiled("accuracy in two digits", 12, loop.records(test_accuracy=lambda share: round(share, 2))),
    Uncompiled("accuracy taken before the epoch", 12, loop.yields(loop.previous_accuracy)),
    Uncompiled("accuracy on the training images", 12, loop.images(loop.training_for_test)),
    Uncompiled("accuracy on 1,000 test images", 12, replace(train, "accuracy", net.first_images(1000))),
    Uncompiled("yields the previous epoch's parameters", 12, loop.yields(loop.previous_params)),
    Uncompiled("yields arrays that later epochs overwrite", 12, loop.yields(loop.one_state_for_all)),
    Uncompiled("yields the mean of all epochs' parameters", 12, loop.yields(loop.averaged_params)),
    Uncompiled("learning rate 0 after 30 steps", 13, loop.between_epochs(loop.no_rate_after(30))),
    Uncompiled("training stops after 40 steps", 13, loop.yields(loop.stops_after(40))),
)
OF_COMMANDS = (
    Uncompiled("fit ignores the optimizer", 14, loop.settings(optimizer=lambda _: "adam")),
    Uncompiled("fit ignores the activation", 14, loop.settings(activation=lambda _: "relu")),
    *(
        Uncompiled(f"train ignores --{option.replace('_', '-')}", 14, commands.ignored(option))
        for option in ("seed", "init", "init_passes", "activation", "optimizer", "learning_rate", "batch_size", "dtype")
    ),
    Uncompiled("train --stream jax draws torch's numbers", 14, replace(command, "native", replayed.replayed)),
    Uncompiled("train draws JAX's numbers", 14, replace(command, "replayed", draws.native)),
    Uncompiled(
        "printed cost 5 % off", 14, commands.printed(lambda one: dataclasses.replace(one, cost=1.05 * one.cost))
    ),
    Uncompiled("printed cost of the epoch before", 14, commands.printed_late("cost")),
    Uncompiled("printed accuracy of the epoch before", 14, commands.printed_late("test_accuracy")),
    Uncompiled("metrics.jsonl with rounded costs", 14, commands.each_record(cost=lambda cost: round(cost, 9))),
    Uncompiled("metrics.jsonl with accuracies in percent", 14, commands.each_record(test_accuracy=lambda a: 100 * a)),
    Uncompiled("metrics.jsonl without the first epoch", 14, commands.recorded(lambda records: records[1:])),
    Uncompiled("config.json with the defaults", 14, wrapped(command.RunFolder, "begin", commands.default_config)),
    Uncompiled("the initial parameters saved", 14, commands.other_state(lambda reached: reached[0])),
    Uncompiled("the parameters of the epoch before saved", 14, commands.other_state(lambda reached: reached[-2])),
    Uncompiled("the parameters of the best epoch saved", 14, commands.other_state(commands.best)),
    Uncompiled("parameters saved in float16", 14, commands.other_params(commands.in_float16)),
    Uncompiled("parameters saved in float32", 14, commands.other_params(lambda leaf: leaf.astype(np.float32))),
    Uncompiled("square kernel saved without transpose", 14, commands.other_params(commands.square_transposed)),
    Uncompiled("resumed with a new Adam", 14, commands.resumed(commands.forgotten_moments)),
    Uncompiled("resumed with parameters in float16", 14, commands.resumed(loop.rounded_params)),
    Uncompiled("resumed with the first epoch's order", 14, wrapped(one_run, "advance", commands.first_orders_again)),
    Uncompiled("evaluate ignores --activation", 14, wrapped(evaluate, "accuracy", commands.relu_always)),
    Uncompiled("evaluate drops the last 200 images", 14, replace(evaluate, "accuracy", net.first_images(-200))),
    Uncompiled("evaluate averages unequal batches", 14, replace(evaluate, "accuracy", net.mean_of_batches)),
    Uncompiled("evaluate leaves inputs in 0 … 255", 14, replace(evaluate, "accuracy", net.unscaled)),
    Uncompiled("evaluate uses the training images", 14, wrapped(evaluate, "load", commands.training_set)),
    Uncompiled("evaluate computes in float32", 14, wrapped(evaluate, "accuracy", commands.float32_params)),
    Uncompiled("evaluate forgets the last bias", 14, wrapped(evaluate, "accuracy", commands.without_last_bias)),
)
OURS = OF_PARTS + OF_THE_LOOP + OF_COMMANDS
FAULTS = tuple(sorted(FACTS + OURS, key=lambda fault: fault.expected))
FAST = (  # one of each kind, for the fast tier: data, weights, gradient, optimizer
    "labels shifted by one image",
    "square kernel not transposed",
    "a layer's bias frozen",
    "SGD in place of Adam",
)
