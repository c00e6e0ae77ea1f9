"""The ladder's result as JSON, Markdown and one HTML page. Nothing is measured here."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jax_impl.figures.canvas import date, duration, short, templates
from jax_impl.figures.pages import other_reports
from jax_impl.storage import files
from tests.parity.figures import pictures

RUNGS = 15  # the report says which of them did not run
SHOWN = 200  # comparisons listed per rung; all are in parity.json


def write(result: dict[str, Any], folder: Path) -> None:
    """Write `parity.json`, `parity.md` and `index.html` into the folder. Each appears complete or not at all.

    Numbers may be NaN or infinite, or the strings for them in `parity.json`: a result read from there gives the same
    files.

    Raises:
        UserError: The folder cannot be written.
    """
    result = strict(result)
    measured = json.dumps(result, allow_nan=False, ensure_ascii=False, indent=1)
    files.write(folder / "parity.json", measured.encode() + b"\n")  # first: an error in the drawing loses no number
    shown = view(result)
    files.write(folder / "parity.md", markdown(shown).encode())
    files.write(folder / "index.html", page(shown, result, other_reports(folder, "parity")).encode())


def strict(value: Any) -> Any:
    """Return the value with NaN and infinities as "nan", "inf" and "-inf", NumPy numbers and arrays as plain ones."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): strict(child) for key, child in value.items()}
    return [strict(child) for child in value] if isinstance(value, list | tuple) else value


def page(shown: dict[str, Any], result: dict[str, Any], links: dict[str, str]) -> str:
    """Return the HTML page, which needs no other file; `links` are the names of other reports by their addresses."""
    jinja = templates(Path(__file__).parent)  # they escape every name: names come from the code under test
    return jinja.get_template("report.html.j2").render(shown, pictures=pictures(result["rungs"]), links=links)


def view(result: dict[str, Any]) -> dict[str, Any]:
    """Return what the page and the Markdown show, with numbers as text."""
    rungs = [_rung(rung) for rung in sorted(result["rungs"], key=lambda rung: rung["number"])]
    machine = result.get("machine") or {}
    total = max([RUNGS, *(rung["number"] for rung in rungs)])
    there = {rung["number"]: rung for rung in rungs}
    faults = [_fault(fault) for fault in result.get("faults") or []]
    return {
        "rungs": rungs,
        "total": total,
        "count": sum(rung["passed"] for rung in rungs),
        "failed": [rung for rung in rungs if not rung["passed"]],
        "absent": [number for number in range(1, total + 1) if number not in there],
        "steps": [_step(number, there.get(number)) for number in range(1, total + 1)],
        "comparisons": sum(rung["count"] for rung in rungs),
        "faults": faults,
        "missed": [fault for fault in faults if fault["first"] is None or fault["first"] != fault["expected"]],
        "size": result["size"],
        "made": date(result["made"]),
        "seconds": duration(result["seconds"]),
        "processor": machine.get("processor") or "unknown processor",
        "cores": machine.get("cores"),
        "versions": {"Python": machine.get("python", "unknown"), **(machine.get("versions") or {})},
    }


def markdown(shown: dict[str, Any]) -> str:
    """Return the page's tables for a terminal or a pull request."""
    versions = ", ".join(f"{name} {version}" for name, version in shown["versions"].items())
    cores = f", {shown['cores']} cores" if shown["cores"] else ""
    lines = [
        "# Parity ladder: PyTorch to JAX",
        "",
        f"**{shown['count']} of {shown['total']} rungs pass.** {shown['comparisons']:,} comparisons, {shown['size']} "
        f"size, {shown['made']}, {shown['seconds']} of work. {_cell(shown['processor'])}{cores}; {_cell(versions)}.",
        "",
    ]
    lines += [
        f"- **FAILED, rung {rung['number']}, {_cell(rung['title'])}**: {_first(rung)}" for rung in shown["failed"]
    ]
    lines += [f"- **NOT RUN, rung {number}**" for number in shown["absent"]]
    lines += [""] if shown["failed"] or shown["absent"] else []
    head = ("#", "rung", "verdict", "headroom", "measured", "tolerance", "tightest comparison", "comparisons", "time")
    rows = []
    for rung in shown["rungs"]:
        worst = rung["worst"] or dict.fromkeys(("headroom", "measured", "tolerance", "name", "where"), "")
        verdict = "pass" if rung["passed"] else "**FAIL**"
        numbers = (
            worst["headroom"],
            worst["measured"],
            worst["tolerance"],
            ": ".join(filter(None, (worst["name"], worst["where"]))),
        )
        rows.append((rung["number"], rung["title"], verdict, *numbers, f"{rung['count']:,}", rung["seconds"]))
    lines += _table(head, rows)
    lines += ["", "Headroom is tolerance ÷ measured: at 1 a comparison only just passes.", ""]
    if shown["faults"]:
        lines += ["## Planted faults", ""]
        caught = [
            (fault["name"], fault["source"], fault["expected"], fault["first"] or "**none**", fault["others"] or "–")
            for fault in shown["faults"]
        ]
        lines += [*_table(("fault", "source", "expected at rung", "first caught at", "also at"), caught), ""]
        lines += ["Rungs 12 to 14 were climbed only where no rung before had caught the fault.", ""]
    return "\n".join(lines)


def number(value: float, digits: int = 2) -> str:
    """Return a measured number in two digits; NaN and infinity in words."""
    value = float(value)
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite"
    return f"{value:,.{max(0, digits - 2)}f}" if 100 <= abs(value) < 1e6 else short(value, digits)


def headroom(measured: float, tolerance: float) -> str:
    """Return tolerance / measured: how many times closer than allowed."""
    if measured == 0:
        return "exact" if tolerance == 0 else "∞"
    ratio = tolerance / measured
    if not ratio > 0:
        return "none"
    step = 1.0 if ratio >= 10 else 0.1 if ratio >= 1 else 0.01  # cut, not rounded: 0.996 fails and is not 1
    return f"{number(math.floor(ratio / step) * step if 0.01 <= ratio < 1e6 else ratio)}×"


def _step(number: int, rung: dict[str, Any] | None) -> dict[str, Any]:
    if rung is None:
        return {"number": number, "title": "not run", "state": "missing", "anchor": "absent"}
    state = "pass" if rung["passed"] else "fail"
    return {"number": number, "title": rung["title"], "state": state, "anchor": f"rung-{number}"}


def _rung(rung: dict[str, Any]) -> dict[str, Any]:
    comparisons = [_comparison(comparison) for comparison in rung["comparisons"]]
    failures = [comparison for comparison in comparisons if not comparison["passed"]]
    return {
        "number": int(rung["number"]),
        "title": rung["title"],
        "question": rung.get("question") or "",
        "note": rung.get("note") or "",
        "seconds": duration(rung["seconds"]),
        # A verdict that contradicts its comparisons is not shown as a pass, nor is a rung that compared nothing.
        "passed": bool(rung["passed"] and comparisons and not failures),
        "count": len(comparisons),
        "failures": failures,
        "worst": min(comparisons, key=lambda comparison: comparison["rank"], default=None),
        "shown": (failures + [comparison for comparison in comparisons if comparison["passed"]])[:SHOWN],
        "hidden": max(0, len(comparisons) - SHOWN),
    }


def _comparison(comparison: dict[str, Any]) -> dict[str, Any]:
    measured, tolerance = float(comparison["measured"]), float(comparison["tolerance"])
    ratio = math.inf if measured == 0 else tolerance / measured
    ratio = 0.0 if math.isnan(ratio) else ratio
    digits = 2
    while measured != tolerance and digits < 17 and number(measured, digits) == number(tolerance, digits):
        digits += 1  # so that a narrow failure does not read "measured 2, tolerance 2"
    texts = {"measured": number(measured, digits), "tolerance": number(tolerance, digits)}
    if comparison.get("p_value") is not None:  # measured and tolerance are then -log10 of p and alpha
        texts = {"measured": f"p = {number(comparison['p_value'])}", "tolerance": f"p > {number(10**-tolerance)}"}
    return {
        **texts,
        "name": comparison["name"],
        "where": comparison.get("where") or "",
        "detail": comparison.get("detail") or "",
        "passed": bool(comparison["passed"]),
        "headroom": headroom(measured, tolerance),
        "rank": (bool(comparison["passed"]), ratio),
        # Of a logarithmic bar: empty at 1, full at a million
        "bar": round(100 * min(1.0, max(0.0, math.log10(max(ratio, 1.0)) / 6)), 1) if ratio < math.inf else 100,
    }


def _fault(fault: dict[str, Any]) -> dict[str, Any]:
    caught = sorted(fault.get("caught_by") or [])
    first = fault.get("first") if caught else None
    others = ", ".join(str(number) for number in caught if number != first)
    return {**fault, "source": fault.get("source") or "", "caught_by": caught, "first": first, "others": others}


def _first(rung: dict[str, Any]) -> str:
    if not rung["failures"]:
        why = "no comparison failed, but the rung did not pass" if rung["count"] else "nothing was compared"
        return _cell(f"{why}. {rung['note']}".removesuffix(". "))
    first = rung["failures"][0]
    place = ": ".join(filter(None, (first["name"], first["where"])))
    words = f"{place}: measured {first['measured']}, tolerance {first['tolerance']}"
    return _cell(f"{words} ({first['detail']})" if first["detail"] else words)


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    lines = [[_cell(cell) for cell in row] for row in (head, *rows)]
    return [f"| {' | '.join(line)} |" for line in (lines[0], ["---"] * len(lines[0]), *lines[1:])]


def _cell(text: object) -> str:
    """Return text without characters that a table or a renderer interprets."""
    return " ".join(str(text).replace("<", "&lt;").replace("|", "\\|").split())
