"""`docs/troubleshooting.md` lists every message of both packages, and no other."""

import ast
import re
from pathlib import Path

from tests.messages import HOLE, PACKAGES, SPEAKERS, TELLERS, collected, templates

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "troubleshooting.md"
ROW = re.compile(r"^\| (`+) ?(?P<message>.+?) ?\1 \| (?P<remedy>.+) \|$", re.MULTILINE)


def listed(text: str) -> dict[str, str]:
    """The messages in the document's tables, each with its remedy."""
    return {row["message"].replace("\\|", "|"): row["remedy"] for row in ROW.finditer(text)}


def test_every_message_is_listed_with_a_remedy_and_no_other() -> None:
    there, code = listed(DOCUMENT.read_text(encoding="utf-8")), collected(ROOT)
    missing = {message: places for message, places in code.items() if message not in there}
    assert missing == {}, "docs/troubleshooting.md lacks these rows"
    assert [message for message in there if message not in code] == [], "docs/troubleshooting.md has rows of no message"
    assert all(len(remedy.split()) > 3 for remedy in there.values())


def test_the_rows_are_all_read() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(listed(text)) > 100


def test_the_functions_that_show_messages_exist() -> None:
    """A function that was renamed would leave its messages out of both the code's list and the document's."""
    defined = {"log"}  # an argument of many functions
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        defined |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert {*SPEAKERS, *TELLERS} - defined == set()


def test_a_new_message_is_found_wherever_it_is_shown() -> None:
    source = '''
class OddError(UserError): ...

def f(x):
    """A docstring."""
    log(f"skipped {x}")
    complain(f"passed {x} over" " at last")
    kept = f"{x} is kept here"
    raise with_note(error, f"{x} holds all") from OddError("no more of " + x)

def reason():
    """Another docstring."""
    return f"{x} seconds are over", 3, {"a": "b c d", "one": x == "two words"}

def main():
    complain(f"error: {error}")
    kept = "parameters"
    print("not a message")
'''
    found = [text for _, text in templates(ast.parse(source), {"OddError"})]
    assert sorted(found) == sorted(
        [
            f"skipped {HOLE}",
            f"passed {HOLE} over at last",
            f"{HOLE} is kept here",
            f"{HOLE} holds all",
            f"no more of {HOLE}",
            f"{HOLE} seconds are over",
            "b c d",
        ]
    )
