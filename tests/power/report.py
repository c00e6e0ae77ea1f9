"""The results of `make power` as a page, as Markdown and as JSON."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scipy.stats import binomtest

from jax_impl.figures.numbers import short
from jax_impl.figures.pages import other_reports, templates
from jax_impl.storage import files
from tests.power.chance import Chance
from tests.power.sizes import Sized
from tests.power.trials import Outcome

INTRODUCTION = """\
`make power` plants each mistake of the catalogue into a correct port of somebody else's model, proves the port, and
writes down what the ladder says: the first rung that fails, by what margin, and the confirmed causes. Each harmless
change must pass, and no cause may be named. The cheats are ports that compute nothing. "Seen in" is the public thread
where somebody made the mistake. Intervals are Wilson's, of 95 %."""
SEEN, NAMED, EXPLAINED = 0.95, 0.90, 0.90  # targets: shares of mistakes


@dataclass(frozen=True)
class Share:
    """A count of a whole, with the 95 % interval of Wilson."""

    count: int
    whole: int

    @property
    def value(self) -> float:
        """The share; 1 of nothing."""
        return self.count / self.whole if self.whole else 1.0

    def __str__(self) -> str:
        if not self.whole:
            return "none tried"
        low, high = binomtest(self.count, self.whole).proportion_ci(method="wilson")
        return f"{self.count} of {self.whole} ({self.value:.1%}, 95 % interval {low:.1%} to {high:.1%})"


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that was tried."""

    mistakes: Sequence[Outcome] = ()
    changes: Sequence[Outcome] = ()
    cheats: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[Sized, float | None] = field(default_factory=dict)
    chances: Sequence[Chance] = ()
    machine: str = ""
    minutes: float = 0.0

    @property
    def seen(self) -> Share:
        """Mistakes that the ladder sees."""
        return Share(sum(one.rung is not None for one in self.mistakes), len(self.mistakes))

    @property
    def named(self) -> Share:
        """Mistakes of which the first line names the right module."""
        return Share(sum(one.named for one in self.mistakes), len(self.mistakes))

    @property
    def explained(self) -> Share:
        """Recall: mistakes whose cause is in the list, and is confirmed."""
        listed = [one for one in self.mistakes if one.right is not None]
        return Share(sum(bool(one.right) for one in listed), len(listed))

    @property
    def precise(self) -> Share:
        """Precision: mistakes with a confirmed cause, none of which is wrong."""
        told = [one for one in self.mistakes if one.right is not None and one.causes]
        return Share(sum(not one.wrong for one in told), len(told))

    @property
    def quiet(self) -> Share:
        """Harmless changes that pass without any cause."""
        return Share(
            sum(one.rung is None and not one.causes and not one.error for one in self.changes), len(self.changes)
        )

    @property
    def caught(self) -> Share:
        """Cheats that fail."""
        return Share(sum(not line.startswith("PASS") for line in self.cheats.values()), len(self.cheats))

    @property
    def slowest(self) -> float:
        """The longest diagnosis, in seconds of processor time."""
        return max((one.seconds for one in self.mistakes), default=0.0)

    @property
    def targets(self) -> dict[str, tuple[Share, float]]:
        """What was to be reached: the share, and the least."""
        return {
            "planted mistakes that the ladder sees": (self.seen, SEEN),
            "of them, the right module is named": (self.named, NAMED),
            "recall: the right cause is confirmed, of those in the list": (self.explained, EXPLAINED),
            "precision: no confirmed cause is wrong": (self.precise, 1.0),
            "harmless changes that pass without any cause": (self.quiet, 1.0),
            "cheats that are caught": (self.caught, 1.0),
        }

    @property
    def good(self) -> bool:
        """Whether all targets are reached."""
        return all(share.value >= least for share, least in self.targets.values())


def write(results: Results, folder: Path) -> None:
    """Write index.html, power.md and power.json."""
    files.write(folder / "power.json", json.dumps(plain(results), ensure_ascii=False, indent=1).encode())
    files.write(folder / "power.md", text(results).encode())
    files.write(folder / "index.html", page(results, other_reports(folder, "power")).encode())


def plain(results: Results) -> dict[str, object]:
    """Return the results as plain values."""
    return {
        "targets": {name: str(share) for name, (share, _) in results.targets.items()},
        "mistakes": [asdict(one) for one in results.mistakes],
        "changes": [asdict(one) for one in results.changes],
        "cheats": dict(results.cheats),
        "sizes": {f"{one.name} ({one.model})": size for one, size in results.sizes.items()},
        "chances": [asdict(one) for one in results.chances],
        "machine": results.machine,
        "minutes": results.minutes,
    }


def text(results: Results) -> str:
    """Return the results as Markdown."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield from ("# The power of the ladder", "", INTRODUCTION, "")
    yield from (f"{results.machine}, {results.minutes:.1f} minutes.", "")
    yield from ("| target | measured | at least | reached |", "|---|---|---|---|")
    for name, (share, least) in results.targets.items():
        yield f"| {name} | {share} | {least:.0%} | {'yes' if share.value >= least else 'NO'} |"
    yield from ("", "| first rung that sees it | mistakes |", "|---|---|")
    for rung, count in sorted(Counter(one.rung for one in results.mistakes if one.rung).items()):
        yield f"| {rung} | {count} |"
    if results.sizes:
        yield from ("", "| mistake | model | smallest that is seen |", "|---|---|---|")
        for sized, size in results.sizes.items():
            yield f"| {sized.name} | {sized.model} | {'none' if size is None else f'{short(size)} {sized.unit}'} |"
    if results.chances:
        yield from (
            "",
            "| initial weights too widely spread by | seen | Fisher's exact test against 0 |",
            "|---|---|---|",
        )
        for one in results.chances:
            yield f"| {one.size:.0%} | {one.seen} of {one.seeds} draws | p = {one.p:.2g} |"
    yield from ("", "| cheat | verdict |", "|---|---|")
    yield from (f"| {name} | {_cell(line)} |" for name, line in results.cheats.items())
    yield from ("", f"{quiet_of(results)} The longest diagnosis took {results.slowest:.1f} s of processor time.")
    yield from (
        "",
        "| model | mistake | seen in | rung | margin | first divergence | cause |",
        "|---|---|---|---|---|---|---|",
    )
    for one in results.mistakes:
        rung = one.rung or "NOT SEEN"
        yield (
            f"| {one.model} | {one.name} | {one.seen_in} | {rung} | {margin_of(one)} | {_cell(one.line)} | "
            f"{_cell(cause_of(one))} |"
        )


def quiet_of(results: Results) -> str:
    """Return what became of the harmless changes."""
    loud = [one for one in results.changes if one.rung is not None or one.causes or one.error]
    if not loud:
        return f"All {len(results.changes)} harmless changes pass, and no cause is named."
    told = "; ".join(f"{one.model}, {one.name}: {one.error or one.line}" for one in loud)
    return f"Of {len(results.changes)} harmless changes, {len(loud)} are false alarms: {_cell(told)}."


def margin_of(outcome: Outcome) -> str:
    """Return how many times as large as allowed the first difference is."""
    return "" if outcome.margin is None or not math.isfinite(outcome.margin) else f"{short(outcome.margin, 2)}×"


def cause_of(outcome: Outcome) -> str:
    """Return what is said of the cause."""
    if outcome.error:
        return outcome.error
    told = "; ".join(outcome.causes) or "not explained"
    return told if not outcome.wrong else f"{told} (WRONG: {len(outcome.wrong)})"


def _cell(value: str) -> str:
    return " ".join(value.split()).replace("|", "\\|")


def page(results: Results, links: Mapping[str, str]) -> str:
    """Return the HTML page, which needs no other file; `links` are the names of other reports by their addresses."""
    return (
        templates(Path(__file__).parent)
        .get_template("report.html.j2")
        .render(
            results=results,
            cause_of=cause_of,
            margin_of=margin_of,
            quiet=quiet_of(results),
            sizes=list(_sizes(results.sizes)),
            chances=list(_chances(results.chances)),
            links=links,
        )
    )


Bar = tuple[str, float, str]  # its name, its length in percent, and its number


def _sizes(sizes: Mapping[Sized, float | None]) -> Iterator[Bar]:
    """Yield a bar for each smallest size, logarithmic from 1e-14 to 1."""
    for sized, size in sizes.items():
        share = 100.0 if size is None else 100 * (math.log10(max(size, 1e-14)) + 14) / 14
        yield sized.name, max(share, 1.0), "none" if size is None else f"{short(size)} {sized.unit}"


def _chances(chances: Iterable[Chance]) -> Iterator[Bar]:
    for one in chances:
        seen = f"{one.seen} of {one.seeds} draws, p = {one.p:.2g}"
        yield f"{100 * one.size:.0f} % too wide", 100 * one.seen / one.seeds, seen
