"""Tables of the benchmark: the same rows on a terminal and in Markdown."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable


class Table(NamedTuple):
    """One table with its title, a sentence before it and one after it. All columns but the first hold numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    before: str = ""
    after: str = ""

    def markdown(self) -> str:
        """Return the table as a section of a page."""
        parts = (f"## {self.title}", self.before, markdown(self.headings, self.rows), self.after)
        return "\n\n".join(part for part in parts if part)

    def show(self) -> None:
        """Print the table and its sentences."""
        console = Console(width=120)
        if self.before:
            console.print(self.before, markup=False)
        table = RichTable(title=self.title, box=box.ROUNDED)
        for number, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*map(escape, row))
        console.print(table)
        if self.after:
            console.print(self.after, markup=False)


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table. All columns but the first hold numbers."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rule, *rows))


def with_range(values: Iterable[float]) -> str:
    """Return a median, a least and a largest value as one cell."""
    median, least, largest = values
    return f"{median:.2f} ({least:.2f} to {largest:.2f})"
