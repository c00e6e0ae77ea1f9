"""Count the models in which each cause is confirmed during a run of pytest: `pytest -p tests.ports.planted`.

A cause is a place in the code that makes a `Hypothesis`. A model is what its record holds: the types of its modules,
and the shapes of its leaves and of its first batch. A run that confirms a cause in fewer than two models fails and
names the place. `make ports` is such a run, over the catalogue and the tests of causes.
"""

import ast
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CAUSES = ROOT / "jax_impl/parity/causes"
ENOUGH = 2  # models
Planted = dict[str, set[str]]  # the models in which a place's cause was confirmed


def places(folder: Path = CAUSES) -> list[str]:
    """Return where hypotheses are made, as "families/norms.py:53".

    One without a fix is no cause: it stands for a family of which none is confirmed.
    """
    found: list[tuple[str, int]] = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Hypothesis":
                fix = next((one.value for one in node.keywords if one.arg == "fix"), None)
                if isinstance(fix, ast.Constant) and not fix.value:
                    continue
                found.append((path.relative_to(folder).as_posix(), node.lineno))
    return [f"{path}:{line}" for path, line in sorted(found)]


def missing(planted: Planted, expected: list[str]) -> Iterator[str]:
    """Yield the places that were confirmed in fewer than two models, and those that nobody expected."""
    for place in expected:
        if len(planted.get(place, ())) < ENOUGH:
            yield f"{place}: planted in {len(planted.get(place, ()))} models instead of {ENOUGH}"
    for place in sorted(planted.keys() - set(expected)):
        yield f"{place}: makes a hypothesis, but is not found in the code"


class Watch:
    """Notes the place of each hypothesis and the models in which one is confirmed."""

    def __init__(self) -> None:
        self.planted: defaultdict[str, set[str]] = defaultdict(set)

    def start(self) -> None:
        """Watch from now on. The modules are imported here: jaxtyping's hook must have been installed before."""
        from jax_impl.parity.causes import diagnosing
        from jax_impl.parity.causes.hypotheses import Hypothesis

        make, confirm = Hypothesis.__init__, diagnosing.confirmed

        def made(self: Hypothesis, *arguments: Any, **named: Any) -> None:
            make(self, *arguments, **named)
            object.__setattr__(self, "place", _caller())

        def confirmed(case: Any, hypothesis: Any, measured: Any) -> Any:
            self.planted[hypothesis.place].add(_model(case.pair))
            return confirm(case, hypothesis, measured)

        Hypothesis.__init__ = made  # type: ignore[method-assign]
        diagnosing.confirmed = confirmed


def _caller() -> str:
    """Return the place in the code of the causes that is being executed."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(CAUSES):
            return f"{path.relative_to(CAUSES).as_posix()}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


def _model(pair: Any) -> str:
    from jax_impl.parity.records.content import arrays_of

    content = pair.theirs.content
    kinds = [module.type for module in content.modules]
    leaves = [leaf.shape for leaf in content.leaves]
    batch = (
        [getattr(array, "shape", []) for array in dict(arrays_of(content.batches[0])).values()]
        if content.batches
        else []
    )
    return json.dumps([kinds, leaves, batch])


_watch = Watch()


def pytest_collection_finish() -> None:
    """Start to watch in each process that runs tests."""
    _watch.start()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Send what this process saw to the first one, or fail there if a cause is not planted often enough."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["planted"] = {place: sorted(models) for place, models in _watch.planted.items()}
    elif exitstatus == pytest.ExitCode.OK and list(missing(_watch.planted, places())):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what another process saw."""
    for place, models in getattr(node, "workeroutput", {}).get("planted", {}).items():
        _watch.planted[place].update(models)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in how many models the causes were planted."""
    expected = places()
    terminalreporter.section("causes planted")
    twice = sum(len(_watch.planted.get(place, ())) >= ENOUGH for place in expected)
    terminalreporter.line(f"{twice} of {len(expected)} causes were confirmed in {ENOUGH} models or more")
    for line in missing(_watch.planted, expected):
        terminalreporter.line(line)
