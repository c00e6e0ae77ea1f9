"""The title of a figure, which may be long: it names every setting of a run that is not the default."""

import textwrap

PER_INCH = 12  # characters of Matplotlib's default font


def wrapped(title: str, inches: float) -> str:
    """Return a title in lines that fit into a figure of this width."""
    return "\n".join(textwrap.wrap(title, round(inches * PER_INCH)))
