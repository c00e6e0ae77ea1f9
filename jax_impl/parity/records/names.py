"""Names within a record: each module and leaf has one of its own, and what refers to them names one that exists."""

from collections.abc import Iterable, Iterator

from jax_impl.parity.records.content import Content
from jax_impl.parity.records.decoding import MalformedError


def check_names(content: Content) -> None:
    """Check the names of modules and leaves, and those by which the rest of the record refers to them.

    A port's leaf may belong to a plain container, which is no module. The calls of a port have the reference's names:
    `check_mapping` looks at them.

    Raises:
        MalformedError: A name is there twice, or nothing has it. The message starts with the place.
    """
    paths = _unique("modules", "path", (module.path for module in content.modules))
    names = _unique("leaves", "name", (leaf.name for leaf in content.leaves))
    for number, leaf in enumerate(content.leaves):
        if leaf.tied is not None:
            _require_known(f"leaves[{number}].tied", leaf.tied, names)
    if content.start_of is None:
        held = [(f"leaves[{number}].module", leaf.module) for number, leaf in enumerate(content.leaves)]
        for place, path in (*held, *_called(content)):
            _require_known(place, path, paths)


def check_mapping(theirs: Content, ours: Content) -> None:
    """Check that a port's calls and mapping name modules that the two records have.

    Raises:
        MalformedError: One does not. The message starts with the place.
    """
    reference, port = ({module.path for module in content.modules} for content in (theirs, ours))
    for place, path in _called(ours):
        _require_known(place, path, reference)
    for number, pair in enumerate(ours.mapping.modules if ours.mapping else ()):
        _require_known(f"mapping.modules[{number}].theirs", pair.theirs, reference)
        _require_known(f"mapping.modules[{number}].ours", pair.ours, port)


def _called(content: Content) -> Iterator[tuple[str, str]]:
    """Yield the place of each call in the record, and the path of its module."""
    for mode in ("train", "eval"):
        recorded = getattr(content.forward, mode)
        for kind in ("free", "forced") if recorded else ():
            for number, call in enumerate(getattr(recorded, kind)):
                yield f"forward.{mode}.{kind}[{number}].module", call.module


def _unique(part: str, key: str, names: Iterable[str]) -> set[str]:
    """Return the names, none of which may be there twice."""
    found: set[str] = set()
    for number, name in enumerate(names):
        if name in found:
            raise MalformedError(f"{part}[{number}].{key} {name[:60]!r} is there twice")
        found.add(name)
    return found


def _require_known(place: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise MalformedError(f"{place} names {name[:60]!r}, which does not exist")
