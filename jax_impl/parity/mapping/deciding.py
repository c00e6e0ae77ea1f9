"""Choices decided by numbers: the JAX model is run with the alternatives, and what agrees with torch is kept."""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace
from itertools import product, takewhile
from math import isfinite, prod
from typing import Any

import numpy as np

from jax_impl.parity.mapping.leaves import Choice, Pair, Proposal, Scores

AGREES = 1e-4  # relative error below which weights are surely right: wrong ones are off by 1e-2 and more
WINS = 0.1  # an alternative replaces the convention if its error is at most this part of the convention's
MOST = 64  # combinations of choices in one module that are tried
WORST = 1e9  # stands for errors that are not finite

Score = Callable[[Sequence[Pair]], Scores]
Pairs = tuple[Pair, ...]
Picks = tuple[int, ...]  # which alternative of each choice
Rank = tuple[int, float]


def decide(proposal: Proposal, score: Score) -> Pairs:
    """Return all pairs, with the alternative of each choice that brings the JAX model closest to torch.

    `score` loads the weights by some pairs, runs the model and returns its relative errors. Layouts are told by modules
    on torch's own inputs, so those of different modules are tried in the same call. Which of two equal layers comes
    first is told by the whole model only. If the convention agrees, one call is enough. If no alternative agrees
    clearly better, the convention is kept: the port is wrong, or both are right.
    """
    if not proposal.choices:
        return proposal.pairs
    convention = proposal.convention()
    first = score(convention)
    local, joint = _split(proposal.choices, first.by_module.keys())
    rest = [*proposal.pairs, *(pair for choice in joint for pair in choice.alternatives[0])]
    picked = _by_module(local, rest, score, first)
    pairs = [*proposal.pairs, *picked]
    unchanged = _loaded(picked) <= _loaded(convention)
    return (*pairs, *_by_total(joint, pairs, score, first if unchanged else None))


def _loaded(pairs: Iterable[Pair]) -> set[tuple[Any, ...]]:
    return {(pair.theirs, pair.ours, pair.layout.name) for pair in pairs}


def _split(choices: Sequence[Choice], measured: Set[str]) -> tuple[list[Choice], list[Choice]]:
    """Return the choices that modules decide, no two in the same module, and those that the whole model decides.

    Where the port has no module for one of torch, the error of the module around it counts. Choices that concern the
    same module become one choice of all combinations, unless they are too many.
    """
    joint: list[Choice] = []
    groups: list[list[Choice]] = []
    for choice in choices:
        modules = tuple(dict.fromkeys(_around(module, measured) for module in choice.modules))
        if not modules or None in modules:
            joint.append(choice)
            continue
        told = Choice(choice.alternatives, tuple(module for module in modules if module is not None))
        shared = [group for group in groups if any(set(told.modules) & set(one.modules) for one in group)]
        groups = [group for group in groups if group not in shared] + [
            [one for group in shared for one in group] + [told]
        ]
    few = [group for group in groups if prod(len(choice.alternatives) for choice in group) <= MOST]
    return [_combined(group) for group in few], joint + [
        choice for group in groups if group not in few for choice in group
    ]


def _around(module: str, measured: Set[str]) -> str | None:
    """Return the innermost module around one, or itself, whose error is known; the root only for itself."""
    if module in measured:
        return module
    parent = module.rpartition(".")[0]
    return _around(parent, measured) if parent else None


def _combined(choices: Sequence[Choice]) -> Choice:
    if len(choices) == 1:
        return choices[0]
    sets = product(*(choice.alternatives for choice in choices))
    modules = tuple(dict.fromkeys(module for choice in choices for module in choice.modules))
    return Choice(tuple(tuple(pair for part in parts for pair in part) for parts in sets), modules)


class _Trials:
    """The errors of the alternatives of one choice, as far as they were tried."""

    def __init__(self, choice: Choice, first: Scores) -> None:
        self.choice = choice
        self.errors: list[float] = []
        self.add(first)

    def add(self, scores: Scores) -> None:
        """Note the error of the next alternative."""
        self.errors.append(max(_finite(scores.by_module.get(module, WORST)) for module in self.choice.modules))

    def next(self) -> Pairs | None:
        """Return the next alternative to try, None if one agrees or all were tried."""
        tried = len(self.errors)
        return None if min(self.errors) <= AGREES or tried == len(self.choice.alternatives) else self._at(tried)

    def _at(self, place: int) -> Pairs:
        return self.choice.alternatives[place]

    def best(self) -> Pairs:
        """Return the alternative with the smallest error so far."""
        return self._at(int(np.argmin(self.errors)))

    def decided(self) -> Pairs:
        """Return the alternative that agrees clearly best, else the convention."""
        told = min(self.errors) <= max(AGREES, WINS * self.errors[0])
        return _by_numbers(self.best()) if told else self._at(0)


def _finite(error: float) -> float:
    return min(error, WORST) if isfinite(error) else WORST


def _by_numbers(pairs: Iterable[Pair]) -> Pairs:
    return tuple(replace(pair, how="numbers") for pair in pairs)


def _by_module(choices: Sequence[Choice], rest: Sequence[Pair], score: Score, first: Scores) -> list[Pair]:
    """Decide choices by the errors of their own modules, all in the same calls."""
    trials = [_Trials(choice, first) for choice in choices]
    while any(tried := [trial.next() for trial in trials]):
        loaded = [pairs or trial.best() for pairs, trial in zip(tried, trials, strict=True)]
        scores = score([*rest, *(pair for pairs in loaded for pair in pairs)])
        for trial, pairs in zip(trials, tried, strict=True):
            if pairs:
                trial.add(scores)
    return [pair for trial in trials for pair in trial.decided()]


class _Runs:
    """Runs of the whole model with different picks from some choices."""

    def __init__(self, choices: Sequence[Choice], rest: Sequence[Pair], score: Score) -> None:
        self.choices, self.rest, self.score = choices, rest, score
        self.known: dict[Picks, Scores] = {}

    def scores(self, picks: Picks) -> Scores:
        if picks not in self.known:
            self.known[picks] = self.score([*self.rest, *_picked(self.choices, picks)])
        return self.known[picks]

    def rank(self, picks: Picks) -> Rank:
        """Return how wrong a run is, the more so the larger: how many modules disagree, then the error.

        The error has two digits, so that it improves or does not.
        """
        scores = self.scores(picks)
        return len(_wrong(scores)), float(f"{_finite(scores.total):.1e}")

    def agrees(self, picks: Picks) -> bool:
        """Tell whether the model agrees with torch."""
        return self.rank(picks) <= (0, AGREES)

    def better(self, best: Picks, others: Iterable[Picks]) -> Picks:
        """Return the best of some picks, which are tried until one agrees."""
        for picks in others:
            if not self.agrees(best) and self.rank(picks) < self.rank(best):
                best = picks
        return best

    def improved(self, best: Picks, place: int) -> Picks:
        """Return the best picks that differ in one choice, or in those like it too: models repeat their layers."""
        counts = [len(choice.alternatives) for choice in self.choices]
        if not self._may_help(best, self.choices[place]):
            return best
        found = self.better(best, [(*best[:place], pick, *best[place + 1 :]) for pick in range(counts[place])])
        pairs = zip(found, counts, strict=True)
        alike = tuple(found[place] if count == counts[place] else pick for pick, count in pairs)
        return found if found == best else self.better(found, [alike])

    def _may_help(self, picks: Picks, choice: Choice) -> bool:
        """Tell whether a choice can be the reason for the first module that disagrees: it is around it or before."""
        free, wrong = list(self.scores(picks).free), _wrong(self.scores(picks))
        if not wrong:
            return True
        paths = [pair.theirs[0].rpartition(".")[0].split(".") for pair in choice.alternatives[0]]
        shared = takewhile(lambda parts: len({*parts}) == 1, zip(*(path[:-1] for path in paths), strict=False))
        around = ".".join(parts[0] for parts in shared)
        before = any(".".join(path) not in free or free.index(".".join(path)) <= free.index(wrong[0]) for path in paths)
        return before and (not around or f"{wrong[0]}.".startswith(f"{around}."))


def _wrong(scores: Scores) -> list[str]:
    return [module for module, error in scores.free.items() if not error <= AGREES]


def _by_total(choices: Sequence[Choice], rest: Sequence[Pair], score: Score, first: Scores | None) -> Pairs:
    """Decide choices by runs of the whole model, one after the other; first all alike if they concern one module.

    The more modules agree, the better: so the right alternatives are found in a wrong port, too.
    """
    if not choices:
        return ()
    runs, start = _Runs(choices, rest, score), (0,) * len(choices)
    if first is not None:
        runs.known[start] = first
    owners = {pair.theirs[0].rpartition(".")[0] for choice in choices for pair in choice.alternatives[0]}
    together = not runs.scores(start).free or len(owners) == 1  # no other module tells one choice from another
    best, before = runs.better(start, _alike(choices) if together else []), None
    while best != before and not runs.agrees(best):
        before = best
        for place in range(len(choices)):
            best = runs.improved(best, place)
    (wrong, error), (wrong_before, error_before) = runs.rank(best), runs.rank(start)
    told = runs.agrees(best) or wrong < wrong_before or error <= WINS * error_before
    return _by_numbers(_picked(choices, best)) if told else tuple(_picked(choices, start))


def _picked(choices: Sequence[Choice], picks: Picks) -> list[Pair]:
    return [pair for choice, pick in zip(choices, picks, strict=True) for pair in choice.alternatives[pick]]


def _alike(choices: Sequence[Choice]) -> list[Picks]:
    """Return the picks that take the same layout, or the alternative of the same number, wherever there is one.

    A program stores its weights alike, and repeats its layers.
    """
    named = [[{pair.layout.name for pair in pairs} for pairs in choice.alternatives] for choice in choices]
    shared = [frozenset[str]().union(*sets).intersection(*sets) for sets in named]
    telling = [[names - everywhere for names in sets] for sets, everywhere in zip(named, shared, strict=True)]
    layouts = dict.fromkeys(name for sets in telling for names in sets for name in sorted(names))
    found = [
        tuple(next((k for k, names in enumerate(sets) if name in names), 0) for sets in telling) for name in layouts
    ]
    most = max(len(choice.alternatives) for choice in choices)
    found += [tuple(pick if pick < len(choice.alternatives) else 0 for choice in choices) for pick in range(1, most)]
    return list(dict.fromkeys(found))
