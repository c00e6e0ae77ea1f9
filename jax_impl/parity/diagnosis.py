"""What was found about the causes of a failure. `causes` finds it."""

from dataclasses import dataclass

from jax_impl.figures.numbers import short


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A confirmed cause: the reference, changed in this one way, gives the port's numbers.

    Attributes:
        place: The modules or leaves where it was confirmed, in the reference's names.
        cause: What the port does, in place of what the reference does.
        fix: What to write in the port, in one line.
        known: Public threads about it.
        measured: The largest difference that is left.
        allowed: The tolerance of the check that had failed.
        unit: Of the two.
    """

    place: tuple[str, ...]
    cause: str
    fix: str
    known: str = ""
    measured: float = 0.0
    allowed: float = 0.0
    unit: str = ""

    @property
    def agreement(self) -> str:
        """How it was confirmed."""
        if self.unit == "-log10 p":
            return f"the draws agree with it, p = {10.0**-self.measured:.2g}"
        if self.unit == "standard errors":
            return f"correlated by {short(self.measured)} standard errors, as independent draws are"
        if self.unit == "shape":
            return "with it, the array has the shape of the port's, which is all that the record shows of it"
        if self.unit == "leaves":
            return "the records of both sides show it"
        return f"with it, both agree to {short(self.measured)}" if self.measured else "with it, both are equal"

    @property
    def where(self) -> str:
        """The first three places, and how many more there are."""
        more = len(self.place) - 3
        return ", ".join(self.place[:3]) + (f" and {more} more" if more > 0 else "")

    def __str__(self) -> str:
        return f"{self.where}: {self.cause}; confirmed: {self.agreement}"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found about the causes of a failure.

    Attributes:
        causes: The confirmed ones. Several for one place are equally true.
        unexplained: The places for which no cause was confirmed.
        excluded: The causes that were tried there and refuted, by family.
    """

    causes: tuple[Cause, ...] = ()
    unexplained: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the causes as text, each with its fix, and what was not explained."""
        found = []
        for cause in self.causes:
            found += [
                f"cause: {cause}",
                f"fix: {cause.fix}" + (f" ({cause.known})" if cause.known else ""),
            ]
        if self.unexplained:
            more = f" and {len(self.unexplained) - 1} more places" if len(self.unexplained) > 1 else ""
            tried = f"; excluded: {', '.join(self.excluded)}" if self.excluded else ""
            found.append(f"not explained: {self.unexplained[0]}{more}{tried}")
        return found
