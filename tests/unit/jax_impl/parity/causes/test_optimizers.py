"""The rules against torch's optimizers, and each cause where it is planted, with Optax as the port's side."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from jax_impl.parity.causes.compute.optimizers import updates
from jax_impl.parity.causes.compute.rules import Clip, Given, Rule
from jax_impl.parity.rungs.optimizer import optimizer as rung
from tests.unit.jax_impl.parity.causes.in_memory import causes, optimizers

T = torch.optim
BETAS: dict[str, Any] = {"momentum": 0.8, "smoothing": 0.97, "epsilon": 1e-3}
ADAM: dict[str, Any] = {"betas": (0.8, 0.97), "eps": 1e-3}


def of(make: Any, **settings: Any) -> Any:
    return lambda parameters: make(parameters, **settings)


def groups(make: Any, **settings: Any) -> Any:
    """Matrices decay by 0.1, vectors do not."""
    return lambda parameters: make(
        [
            {"params": [one for one in parameters if one.ndim >= 2], "weight_decay": 0.1},
            {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},
        ],
        **settings,
    )


def matrices(params: Any) -> Any:
    return jax.tree.map(lambda one: one.ndim >= 2, params)


def clip(limit: float) -> optax.GradientTransformation:
    """torch's clipping by norm."""

    def update(grads: Any, state: Any, params: Any = None) -> Any:
        del params
        factor = jnp.minimum(1, limit / (optax.tree.norm(grads) + 1e-6))
        return jax.tree.map(lambda grad: grad * factor, grads), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (of(T.SGD), Rule(kind="sgd")),
        (of(T.SGD, momentum=0.9, dampening=0.3, weight_decay=0.1),
         Rule(kind="sgd", momentum=0.9, dampening=0.3, decay=0.1)),
        (of(T.SGD, momentum=0.9, nesterov=True, maximize=True, weight_decay=0.1),
         Rule(kind="sgd", momentum=0.9, nesterov=True, sign=1.0, decay=0.1)),
        (of(T.Adam, **ADAM, weight_decay=0.1), Rule(kind="adam", decay=0.1, **BETAS)),
        (of(T.Adam, **ADAM, amsgrad=True), Rule(kind="adam", maximum="torch", **BETAS)),
        (of(T.AdamW, **ADAM, weight_decay=0.1), Rule(kind="adam", decay=0.1, decay_place="decoupled", **BETAS)),
        (of(T.Adamax, **ADAM), Rule(kind="adamax", **BETAS)),
        (of(T.RMSprop, alpha=0.9, eps=1e-3, momentum=0.8, centered=True),
         Rule(kind="rmsprop", smoothing=0.9, epsilon=1e-3, momentum=0.8, centred=True)),
        (of(T.Adagrad, eps=1e-3, lr_decay=0.2, initial_accumulator_value=0.5),
         Rule(kind="adagrad", epsilon=1e-3, rate_decay=0.2, initial=0.5)),
    ],
)  # fmt: skip
def test_rules_are_torchs(make: Any, rule: Rule) -> None:
    random = np.random.RandomState(0)
    gradients, weights = random.randn(4, 7), random.randn(7)
    parameter = torch.nn.Parameter(torch.tensor(weights))
    optimizer = make([parameter])
    optimizer.param_groups[0]["lr"] = 0.1
    expected = []
    for gradient in gradients:
        before = parameter.detach().clone()
        parameter.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_([parameter], 2.0)
        torch.nn.utils.clip_grad_value_([parameter], 1.0)
        optimizer.step()
        expected.append((parameter.detach() - before).numpy())
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    given = Given(gradients=gradients, weights=weights, rates=np.full((4, 7), 0.1), norms=norms,
                  leaf_norms=np.broadcast_to(norms, (4, 7)))  # fmt: skip
    found = updates(Rule(**vars(rule) | {"clip": Clip(norm=2.0, value=1.0)}), given)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


FALLING = {"schedule": partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5)}
CLIPPED, CUT = {"clip": 1.0}, {"clip": ("value", 0.5)}
GLOBAL, CUT_ALIKE = optax.clip_by_global_norm(1.0), optax.clip(0.5)
ADAM1, ADAM_L2 = of(T.Adam, lr=1e-3), of(T.Adam, lr=1e-3, weight_decay=0.01)
SGD, ADAMW, OTHER_EPS = of(T.SGD, lr=0.1, momentum=0.9), of(T.AdamW, lr=1e-3), of(T.AdamW, lr=1e-3, eps=1e-6)
RMS, RMS4 = of(T.RMSprop, lr=0.01), of(T.RMSprop, lr=0.01, alpha=0.9, eps=1e-4)
FAITHFUL = optax.sgd(0.1, momentum=0.9)


def adamw(rate: Any = 1e-3, **settings: Any) -> Any:
    return optax.adamw(rate, **{"weight_decay": 0.01} | settings)


def uncorrected(count: Any) -> Any:
    return 1e-3 * (1 - 0.9 ** (count + 1.0)) / (1 - 0.999 ** (count + 1.0)) ** 0.5


def vectors(params: Any) -> Any:
    return jax.tree.map(lambda one: one.ndim < 2, params)


def falling(count: Any) -> Any:
    return 0.5 ** (count // 2)


PLANTED = [
    ("beta1 0.9 instead of 0.5", of(T.Adam, lr=2e-4, betas=(0.5, 0.999)), optax.adam(2e-4), {}),
    ("beta2 0.985 instead of 0.999", ADAM1, optax.adam(1e-3, b2=0.985), {}),
    ("beta1 0 instead of 0.9", ADAMW, adamw(b1=0.0), {}),
    ("epsilon 1e-07 instead of 1e-08", ADAM1, optax.adam(1e-3, eps=1e-7), {}),
    ("epsilon 1e-08 inside the root instead of outside", ADAM1, optax.adam(1e-3, eps=0, eps_root=1e-8), {}),
    ("epsilon 0.0001 inside the root", RMS4, optax.rmsprop(0.01, eps=1e-4), {}),
    ("weight decay 0.0001 instead of 0.01", ADAMW, optax.adamw(1e-3), {}),
    ("weight decay 0.037 instead of 0.01", ADAMW, adamw(weight_decay=0.037), {}),
    ("weight decay 0 instead of 0.01", ADAMW, optax.adam(1e-3), {}),
    ("weight decay decoupled from the gradient", ADAM_L2, adamw(), {}),
    ("weight decay added to the gradient", ADAMW, optax.chain(optax.add_decayed_weights(0.01), optax.adam(1e-3)), {}),
    ("weight decay 0.1 instead of 0, for vectors", groups(T.AdamW, lr=1e-3), adamw(weight_decay=0.1), {}),
    ("weight decay 0 instead of 0.01, for vectors", ADAMW, adamw(mask=matrices), {}),
    ("momentum 0 instead of 0.9", SGD, optax.sgd(0.1), {}),
    ("Nesterov's momentum instead", SGD, optax.sgd(0.1, momentum=0.9, nesterov=True), {}),
    ("dampening: the gradient enters", SGD, optax.chain(optax.ema(0.9, debias=False), optax.scale(-0.1)), {}),
    ("the momentum adds up steps", SGD,
     optax.chain(optax.scale_by_schedule(lambda count: -0.1 * falling(count)), optax.trace(0.9)), FALLING),
    ("RMSprop with Optax's defaults: decay", RMS, optax.rmsprop(0.01), {}),
    ("initial accumulator 1", RMS, optax.rmsprop(0.01, 0.99, eps_in_sqrt=False, initial_scale=1.0), {}),
    ("the bias of the moments is not corrected", ADAM1,
     optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(uncorrected)), {}),
    ("AMSGrad by second moments after", of(T.Adam, lr=1e-3, amsgrad=True), optax.amsgrad(1e-3), {}),
    ("no clipping before the optimizer", SGD, FAITHFUL, CLIPPED),
    ("clipping to norm 3.3 instead of norm 1", SGD, optax.chain(clip(3.3), FAITHFUL), CLIPPED),
    ("clipping to value 1 instead of norm 1", ADAMW, optax.chain(optax.clip(1.0), adamw()), CLIPPED),
    ("clipping to norm 3.3 instead of norm 1", SGD, optax.chain(optax.clip_by_global_norm(3.3), FAITHFUL), CLIPPED),
    ("clipping to value 0.7 instead of value 0.5", ADAM1, optax.chain(optax.clip(0.7), optax.adam(1e-3)), CUT),
    ("no clipping before the optimizer", SGD, FAITHFUL, CUT),
    ("beta1 0.87 instead of 0.9", ADAM1, optax.chain(CUT_ALIKE, optax.adam(1e-3, b1=0.87)), CUT),
    ("beta2 0.99 instead of 0.999", ADAMW, optax.chain(GLOBAL, adamw(b2=0.99)), CLIPPED),
    ("learning rate 0.003 instead of 0.001", ADAMW, optax.chain(GLOBAL, adamw(3e-3)), CLIPPED),
    ("weight decay 0 instead of 0.01, for vectors", ADAMW, optax.chain(GLOBAL, adamw(mask=matrices)), CLIPPED),
    ("the step is clipped to norm 1 behind", SGD, optax.chain(FAITHFUL, clip(1.0)), CLIPPED),
    ("learning rate 0.0003 instead of 0.001", ADAM1, optax.adam(3e-4), {}),
    ("the learning rate stays at 0.1", SGD, FAITHFUL, FALLING),
    ("the learning rate is one step early", SGD,
     optax.sgd(lambda count: 0.1 * falling(count + 1), momentum=0.9), FALLING),
    ("the learning rate is one step late", ADAMW,
     adamw(lambda count: 1e-3 * falling(jnp.maximum(count - 1, 0))), FALLING),
    ("not updated by the optimizer: vectors", ADAMW,
     optax.chain(adamw(), optax.masked(optax.set_to_zero(), vectors)), {}),
    ("gradients are saved up: one step with their mean every 2", SGD, optax.MultiSteps(FAITHFUL, 2), {}),
    ("epsilon 1e-08 instead of 1e-06, and weight decay 0.0001 instead", OTHER_EPS, optax.adamw(1e-3), {}),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "theirs", "ours", "options"), PLANTED, ids=[one[0] for one in PLANTED])
def test_a_planted_cause_is_the_only_one_confirmed(cause: str, theirs: Any, ours: Any, options: Any) -> None:
    found = causes(optimizers(theirs, ours, **options), "optimizer", 10, rung)
    assert [one.cause[: len(cause)] for one in found] == [cause]


DECAYED = optax.chain(optax.add_decayed_weights(0.1), clip(1.0), optax.sgd(0.1))


@pytest.mark.parametrize(
    ("theirs", "ours", "options"),
    [
        (ADAM1, optax.lamb(1e-3), {}),  # no rule that is known
        (of(T.SGD, lr=0.1), optax.chain(optax.adaptive_grad_clip(0.1), optax.sgd(0.1)), CLIPPED),
        (of(T.SGD, lr=0.1, weight_decay=0.1), DECAYED, CLIPPED),  # its norm needs what was not stored
    ],
)
def test_an_unknown_cause_gets_no_name(theirs: Any, ours: Any, options: Any) -> None:
    assert causes(optimizers(theirs, ours, **options), "optimizer", 10, rung) == []


def test_a_rule_that_does_not_give_the_references_steps_is_not_changed() -> None:
    class Adam(T.Adam):  # an optimizer of one's own under a known name
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            with torch.no_grad():
                self.param_groups[0]["params"][0].mul_(0.9)

    assert causes(optimizers(of(Adam, lr=1e-3), optax.adam(3e-4)), "optimizer", 10, rung) == []


@pytest.mark.parametrize(
    ("theirs", "ours", "options"),
    [
        (ADAMW, adamw(), {}),
        (SGD, optax.chain(clip(1.0), FAITHFUL), CLIPPED),
        (ADAMW, optax.chain(GLOBAL, adamw()), CLIPPED),
        (ADAM1, optax.chain(CUT_ALIKE, optax.adam(1e-3)), CUT),
        (of(T.RMSprop, lr=0.01, momentum=0.9), optax.rmsprop(0.01, 0.99, eps_in_sqrt=False, momentum=0.9), {}),
    ],
)
def test_a_faithful_optimizer_has_no_cause(theirs: Any, ours: Any, options: Any) -> None:
    assert not rung(optimizers(theirs, ours, **options)).failures
