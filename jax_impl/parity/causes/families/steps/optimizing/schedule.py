"""Learning rates that explain the port's steps, and what they say about its schedule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jax_impl.parity.causes.compute.rules import Floats

CLOSE = 1e-6  # relative: Optax's schedules compute in float32
SHOWN = 6  # learning rates in a message
Told = tuple[str, str]  # a cause and a fix


@dataclass(frozen=True)
class Rates:
    """The learning rates of one parameter group, step by step.

    Attributes:
        theirs: The reference's, (steps,).
        ours: Those of the port, (steps,).
        schedule: The reference's `schedule` in record.json.
        initial: The reference's rate before any schedule.
    """

    theirs: Floats
    ours: Floats
    schedule: dict[str, Any]
    initial: float | None = None

    def told(self, *, plainly: bool = False) -> list[Told]:
        """Return what the port's learning rates are in place of the reference's; several if all are equally true.

        `plainly` leaves out rates that no rule relates to the reference's.
        """
        if self.theirs.shape != self.ours.shape or close(self.theirs, self.ours):
            return []
        found = [one for explain in (self._constant, self._factor, self._moved, self._by_epochs) for one in explain()]
        found = found or [*self._by_settings()] or [*self._warmup(), *self._depth()]
        return found if found or plainly else [self._listed()]

    def _constant(self) -> Iterator[Told]:
        a, b = self.theirs, self.ours
        if close(b, np.full_like(b, b[0])) and not close(a, np.full_like(a, a[0])):
            known = [a[0], *([] if self.initial is None else [self.initial])]
            which = "no schedule, or one by epochs" if any(close(b[0], one) for one in known) else "no schedule"
            yield (
                f"the learning rate stays at {b[0]:.6g}: {which}, instead of {listed(a)}",
                "pass the schedule, by steps",
            )

    def _factor(self) -> Iterator[Told]:
        a, b = self.theirs, self.ours
        if not a.any() or not b.any():
            return
        factor = float(a @ b) / float(a @ a)
        if close(b, factor * a):
            constant = close(a, np.full_like(a, a[0]))
            text = f"learning rate {b[0]:.6g} instead of {a[0]:.6g}" if constant else ""
            yield (
                text or f"the learning rate is {factor:.6g} × the reference's",
                f"a learning rate {1 / factor:.6g} × as large",
            )

    def _moved(self) -> Iterator[Told]:
        a, b = self.theirs, self.ours
        for count in range(1, min(4, len(a) - 1)):
            steps = "one step" if count == 1 else f"{count} steps"
            early, late = a[count:], a[: len(a) - count]
            if not (np.ptp(early) and np.ptp(late)):
                return  # constant rates are shifted by any number of steps
            if close(b[: len(early)], early) and not close(early, a[: len(early)]):
                yield f"the learning rate is {steps} early", f"schedule(count - {count})"
                return
            begun = close(b[:count], np.full(count, a[0])) or (self.initial is not None and close(b[0], self.initial))
            if close(b[count:], late) and begun and not close(late, a[count:]):
                yield f"the learning rate is {steps} late", f"schedule(count + {count})"
                return

    def _by_epochs(self) -> Iterator[Told]:
        size = self.schedule.get("steps_per_epoch")
        a, b = self.theirs, self.ours
        if not isinstance(size, int) or size < 1 or size >= len(a):
            return
        steps = np.arange(len(a))
        if self.schedule.get("every") == "step" and close(b, a[steps // size]):
            yield "the learning rate moves by epochs instead of by steps", "schedule(count)"
        known = a[::size]
        if self.schedule.get("every") == "epoch" and len(known) > 1 and close(b[: len(known)], known):
            yield "the learning rate moves by steps instead of by epochs", f"schedule(count // {size})"

    def _by_settings(self) -> Iterator[Told]:
        """Explain another step size or factor of StepLR, ExponentialLR and MultiStepLR."""
        a, b, settings = self.theirs, self.ours, self.schedule.get("settings") or {}
        gamma = settings.get("gamma")
        if (
            not isinstance(gamma, float)
            or not (a > 0).all()
            or not (b > 0).all()
            or self.schedule.get("every") != "step"
        ):
            return
        ratios, own = a[1:] / a[:-1], b[1:] / b[:-1]
        falls, own_falls = ~np.isclose(ratios, 1, rtol=CLOSE), ~np.isclose(own, 1, rtol=CLOSE)
        if close(a[0], b[0]) and own_falls.any() and close(own[own_falls], np.full(own_falls.sum(), own[own_falls][0])):
            other = float(own[own_falls][0])
            if np.array_equal(falls, own_falls):
                yield (
                    f"the learning rate falls by the factor {other:.6g} instead of {gamma:g}",
                    f"a factor of {gamma:g}",
                )
            elif close(other, gamma):
                yield (f"the learning rate falls after step {after(own_falls)} instead of {after(falls)}",
                       f"let it fall after step {after(falls)}")  # fmt: skip

    def _warmup(self) -> Iterator[Told]:
        slope, own = rising(self.theirs), rising(self.ours)
        largest = float(self.theirs.max())
        if slope is not None and own is not None and not close(slope, own):
            yield (f"warmup: the learning rate rises by {own:.6g} a step instead of {slope:.6g} "
                   f"({largest / own:.4g} steps up to {largest:.6g} instead of {largest / slope:.4g})",
                   f"a warmup over {largest / slope:.4g} steps")  # fmt: skip
        elif slope is not None and close(self.ours[0], largest):
            yield f"no warmup: it begins with {self.ours[0]:.6g} instead of {self.theirs[0]:.6g}", "add the warmup"

    def _depth(self) -> Iterator[Told]:
        """Explain a schedule that falls from the same height to another end."""
        a, b = self.theirs, self.ours
        top = int(np.argmax(a))
        height = float(a[top])
        down, own = height - a[top:], height - b[top:]
        if not down.any() or not close(a[: top + 1], b[: top + 1]):
            return
        factor = float(down @ own) / float(down @ down)
        if close(b[top:], height - factor * down) and factor > 0 and (down > CLOSE * height).sum() > 1:
            ends = len(a) > 1 and close(a[-1], a[-2])
            text = f"the learning rate falls to {b[-1]:.6g} instead of {a[-1]:.6g}"
            more = "" if ends else f" by step {len(a)}, {factor:.6g} × as far below {height:.6g} in every step"
            yield f"{text}{more}", "the end value of the reference's schedule"

    def _listed(self) -> Told:
        text = f"learning rates {listed(self.ours)} instead of {listed(self.theirs)}"
        return f"{text}{self._in_part()}", "the reference's schedule"

    def _in_part(self) -> str:
        """Return from which step on the learning rates are those of the step before or behind."""
        a, b = self.theirs, self.ours
        for shift, word in ((1, "late"), (-1, "early")):
            moved = np.roll(a, shift)
            for start in range(1, len(a) - 3):
                part = slice(start, len(a) + min(shift, 0))
                if close(b[part], moved[part]) and (~np.isclose(b[part], a[part], rtol=CLOSE)).sum() >= 3:
                    return f" (one step {word} from step {start + 1} on)"
        return ""


def close(one: Any, other: Any) -> bool:
    """Return whether learning rates are the same."""
    return bool(np.allclose(one, other, rtol=CLOSE, atol=1e-12 * float(np.max(np.abs(other), initial=0.0))))


def listed(rates: Floats) -> str:
    """Return learning rates as text, or the first of them."""
    texts = [f"{rate:.6g}" for rate in rates]
    if len(set(texts)) == 1:
        return texts[0]
    return ", ".join(texts[:SHOWN]) + (", …" if len(texts) > SHOWN else "")


def rising(rates: Floats) -> float | None:
    """Return by how much learning rates rise in a step at the beginning; None unless that is along a line."""
    top = int(np.argmax(rates))
    differences = np.diff(rates[: top + 1])
    if top < 1 or not (differences > 0).all() or not close(differences, np.full_like(differences, differences[0])):
        return None
    return float(differences[0])


def after(falls: Any) -> str:
    """Return the steps after which the learning rate falls, as text."""
    return ", ".join(str(number + 1) for number in np.flatnonzero(falls)) or "none"


def merged(told: Sequence[list[Told]]) -> list[Told]:
    """Return the description of several groups: once if all have the same."""
    if all(one == told[0] for one in told):
        return told[0]
    return [(f"{cause} (parameter group {number + 1})", fix) for number, one in enumerate(told) for cause, fix in one]
