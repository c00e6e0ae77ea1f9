"""What a blind spot is."""

from dataclasses import dataclass

SHOWN = 3  # places


@dataclass(frozen=True, kw_only=True)
class BlindSpot:
    """A kind of mistake that the records could not have shown.

    Attributes:
        place: The modules, leaves or arrays that it concerns, in the reference's names; empty for the whole program.
        hidden: What would have passed, and why.
        remedy: What to record so that it is seen.
    """

    place: tuple[str, ...] = ()
    hidden: str
    remedy: str

    def __str__(self) -> str:
        more = len(self.place) - SHOWN
        where = ", ".join(self.place[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")
        return f"{where}: {self.hidden}; {self.remedy}" if where else f"{self.hidden}; {self.remedy}"
