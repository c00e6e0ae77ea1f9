"""The verdict as files: JSON, Markdown and one HTML page. Nothing is measured here."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jax_impl.figures.numbers import short
from jax_impl.figures.pages import templates
from jax_impl.parity import summary
from jax_impl.parity.verdict import FAIL, NOT_COMPARED, PASS, Check, Rung, Verdict, told
from jax_impl.storage import files

SHOWN = 200  # checks listed of a rung; all are in report.json
CLASSES = {PASS: "pass", FAIL: "fail", NOT_COMPARED: "missing"}
SIGNS = {PASS: "✓", FAIL: "✕", NOT_COMPARED: "–"}


def write(verdict: Verdict, folder: Path) -> None:
    """Write report.json, report.md and index.html into the folder. Each appears complete or not at all.

    Raises:
        UserError: The folder cannot be written.
    """
    files.write(folder / "report.json", as_json(verdict).encode() + b"\n")
    files.write(folder / "report.md", summary.markdown(verdict).encode())
    files.write(folder / "index.html", page(verdict).encode())


def as_json(verdict: Verdict) -> str:
    """Return all of the verdict as JSON. Numbers that are not finite are the strings "inf" and "nan"."""
    content = {
        "verdict": PASS if verdict.passed else FAIL,
        "first_line": verdict.first_line,
        "coverage": verdict.coverage,
        "theirs": asdict(verdict.theirs),
        "ours": asdict(verdict.ours),
        "diagnosis": asdict(verdict.diagnosis),
        "blind_spots": [asdict(spot) for spot in verdict.blind_spots],
        "rungs": [
            {"state": rung.state, **asdict(rung), "checks": [*map(_plain, rung.checks)]} for rung in verdict.rungs
        ],
        "modules": [asdict(node) for node in verdict.tree],
    }
    return json.dumps(_strict(content), ensure_ascii=False, allow_nan=False, indent=1)


def _plain(check: Check) -> dict[str, Any]:
    """Return a check without the places of its arrays, which only the search for causes reads."""
    return {name: value for name, value in asdict(check).items() if name != "evidence"}


def page(verdict: Verdict) -> str:
    """Return the HTML page, which refers to no other file. It escapes all names: they come from other programs."""
    rungs = [_rung(rung) for rung in verdict.rungs]
    first = verdict.first
    return (
        templates(Path(__file__).parent)
        .get_template("report.html.j2")
        .render(
            verdict=verdict,
            rungs=rungs,
            states=[rung.state for rung in verdict.rungs],
            first=None if first is None else _check(first),
            marked=None if first is None else first.module,
            failures=[_check(one) for one in verdict.failures[:SHOWN]],
            hidden=max(0, len(verdict.failures) - SHOWN),
            checks=sum(len(rung.checks) for rung in verdict.rungs),
            classes=CLASSES,
            signs=SIGNS,
            sides={"theirs": verdict.theirs, "ours": verdict.ours},
            links={},
        )
    )


def _rung(rung: Rung) -> dict[str, Any]:
    ordered = [*rung.failures, *(check for check in rung.checks if check.passed)]
    measured = [check for check in rung.checks if check.passed and check.allowed and check.measured is not None]
    tightest = max(measured, key=lambda check: (check.measured or 0.0) / (check.allowed or 1.0), default=None)
    worst = next(iter(rung.failures), tightest)
    return {
        "number": rung.number,
        "title": rung.title,
        "question": rung.question,
        "state": rung.state,
        "reason": rung.reason,
        "notes": rung.notes,
        "count": len(rung.checks),
        "failed": len(rung.failures),
        "worst": None if worst is None else _check(worst),
        "shown": [_check(check) for check in ordered[:SHOWN]],
        "hidden": max(0, len(ordered) - SHOWN),
    }


def _check(check: Check) -> dict[str, Any]:
    """Return a check with its numbers as text."""
    has_numbers = check.measured is not None and check.allowed is not None
    measured, allowed = check.measured or 0.0, check.allowed or 0.0
    ratio = math.inf if not measured else allowed / measured if math.isfinite(measured) else 0.0
    texts = told(measured, allowed) if has_numbers else ("", "")
    return {
        "state": PASS if check.passed else FAIL,
        "place": check.place,
        "stage": check.stage,
        "what": check.what,
        "finding": check.finding,
        "detail": check.detail,
        "reason": check.reason,
        "unit": check.unit,
        "measured": texts[0],
        "allowed": texts[1],
        "bar": round(100 * min(1.0, max(0.0, math.log10(max(ratio, 1.0)) / 6)), 1) if ratio < math.inf else 100,
        "headroom": _headroom(measured, allowed) if has_numbers else "",
    }


def _headroom(measured: float, allowed: float) -> str:
    """Return allowed / measured: how many times closer than allowed."""
    if not measured:
        return "∞" if allowed else "exact"
    ratio = allowed / measured
    if ratio < 1:
        return "exceeded"
    return f"{short(ratio) if not 10 <= ratio < 1e6 else f'{int(ratio):,}'}×"


def _strict(value: Any) -> Any:
    """Return plain JSON values."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _strict(child) for key, child in value.items()}
    return [_strict(child) for child in value] if isinstance(value, list | tuple) else value
