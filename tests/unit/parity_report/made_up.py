"""Made-up results of the ladder, and the page that is written of them."""

import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.parity import report


def comparison(**changes: Any) -> dict[str, Any]:
    plain = {"name": "gradient", "measured": 1e-7, "tolerance": 1e-5, "passed": True}
    return plain | {"where": "linear1.weight[3, 4]", "detail": "actual 1, expected 1"} | changes


def rung(number: int, *comparisons: dict[str, Any], **changes: Any) -> dict[str, Any]:
    found = list(comparisons) or [comparison()]
    plain = {"number": number, "title": f"title {number}", "question": f"Does {number} hold?", "seconds": 1.0}
    return plain | {"passed": all(c["passed"] for c in found), "comparisons": found} | changes


def without_data() -> dict[str, Any]:
    machine = {"processor": "made-up", "cores": 2, "python": "3.11.7", "versions": {"jax": "0.10.2", "torch": "2.14.1"}}
    faults = [{"name": "kernel transposed", "source": "seen in a port", "expected": 5, "first": 5, "caught_by": [5, 8]}]
    return {
        "made": "2026-11-23T21:00:00Z",
        "size": "quick",
        "seconds": 1234.5,
        "machine": machine,
        "rungs": [rung(number) for number in range(1, 16)],
        "faults": faults,
    }


def with_data() -> dict[str, Any]:
    """The same, with data for every figure."""
    result = without_data()
    runs = {"cost": [[0.2, 0.1], [0.3, 0.1]], "accuracy": [[0.97, 0.98], [0.96, 0.97]]}
    data = {
        7: {"histograms": [{"init": "zeros_", "edges": [-1, 0, 1], "torch": [0.5, 0.5], "jax": [0.4, 0.6]}]},
        12: {
            "float32": [0.0, 1e-6, 1e-3],
            "float64": [0.0, 0.0, 1e-16],
            "tolerances": [{"dtype": "float64", "from": 0, "to": 3, "tolerance": 1e-12}],
        },
        13: {"recipe": "mnist_nn_xavier", "jax": runs, "torch": runs, "notebook": [[1, 0.24]], "last_epochs": 5}
        | {"margin": 0.01, "interval": [-0.002, 0.003], "difference": 0.001},
        15: {"seconds": {"JAX": [1.0, 1.1], "PyTorch": [2.0, 2.5]}},
    }
    for number, values in data.items():
        result["rungs"][number - 1]["data"] = values
    return result


def fail(result: dict[str, Any], number: int, **changes: Any) -> None:
    bad = comparison(
        passed=False, measured=3e-4, name="bad gradient", where="linear2.bias[7]", detail="nine", **changes
    )
    worse = comparison(passed=False, measured=math.inf, name="worse gradient")
    result["rungs"][number - 1] = rung(number, comparison(), bad, worse)


class Text(HTMLParser):
    """The page as a reader sees it, and every element with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(page[page.index("</style>") :])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def __str__(self) -> str:
        return " ".join(" ".join(self.words).split())


def written(result: dict[str, Any], folder: Path) -> tuple[str, Text, str]:
    report.write(result, folder)
    html = (folder / "index.html").read_text(encoding="utf-8")
    return html, Text(html), (folder / "parity.md").read_text(encoding="utf-8")
