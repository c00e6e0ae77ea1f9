"""Leaves grouped into units that find their partners together: a layer, a recurrent cell, layers for q, k and v."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from jax_impl.parity.mapping import names, rules
from jax_impl.parity.mapping.leaves import Leaf

# Buffers that a layer computes itself. The other program need not hold them.
CONSTANTS = {
    "num_batches_tracked", "position_ids", "token_type_ids", "inv_freq", "mask", "causal_mask", "attn_mask", "tril",
    "masked_bias", "ema_first_time_index", "batch_counter",
}  # fmt: skip
CELL_LEAF = re.compile(r"^(?:(.*)\.)?([wWb]|weight|bias)_(ih|hh)(_l\d+)?(_reverse)?$")
GATES = ("ifgo", "rzn")  # of LSTM and GRU, in torch's order, by the letters that Flax gives them
SIDES = {"dense_i": "ih", "dense_h": "hh", "i": "ih", "h": "hh", "x": "ih", "n": "n"}
TRIPLE = ("query", "key", "value")
Components = tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Unit:
    """Leaves of one side by their roles: weight, bias, mean, var; w_ih, b_hh, …; query.weight, …"""  # noqa: D415

    path: str
    leaves: Mapping[str, Leaf]
    form: str = "layer"  # or "cell", "triple", "unnamed triple"

    @cached_property
    def name(self) -> names.Name:
        """Return the path, taken apart."""
        return names.parse(self.path)

    @property
    def main(self) -> Leaf:
        """Return the leaf that tells what the unit is."""
        return self.leaves.get("weight") or next(iter(self.leaves.values()))

    @property
    def kind(self) -> str:
        """Return what the layer computes, if it is known."""
        return rules.kind(self.main)

    @cached_property
    def is_backward(self) -> bool | None:
        """Tell whether the unit reads the sequence from its end; None if the name does not say."""
        words = self.name.words()
        return True if "backward" in words else False if "forward" in words else None

    @cached_property
    def is_packed(self) -> bool:
        """Tell whether the layer computes query, key and value at once, by its name."""
        last = names.meanings(self.name.components[-1][0]) if self.name.components else []
        return self.form == "layer" and len(self.main.shape) > 1 and last == ["packed"]

    def modules(self) -> tuple[str, ...]:
        """Return the modules that own the leaves."""
        return tuple(dict.fromkeys(leaf.module for leaf in self.leaves.values()))


def is_constant(leaf: Leaf) -> bool:
    """Tell whether a buffer is a constant or a counter that the other program need not hold."""
    last = names.cleaned(leaf).rpartition(".")[2]
    return leaf.kind == "buffer" and (last in CONSTANTS or (last == "bias" and len(leaf.shape) > 2))


def units_of(leaves: Sequence[Leaf]) -> list[Unit]:
    """Return the units of one side, in its order. Constants are in none."""
    groups: dict[str, dict[str, Leaf]] = {}
    unnamed: list[tuple[str, Leaf]] = []
    for leaf in leaves:
        path, role = _place(leaf)
        if is_constant(leaf):
            continue
        if not role:
            groups.setdefault(path, {})
            unnamed.append((path, leaf))
        elif role in groups.setdefault(path, {}):
            groups[leaf.name] = {role: leaf}
        else:
            groups[path][role] = leaf
    for path, leaf in unnamed:
        _give_role(groups, path, leaf)
    units = [Unit(path, roles, "cell" if "w_hh" in roles else "layer") for path, roles in groups.items() if roles]
    return _ordered(_with_cells(units))


def _place(leaf: Leaf) -> tuple[str, str]:
    """Return the path of the unit to which a leaf belongs, and its role there, "" if the name does not tell."""
    path = names.cleaned(leaf)
    cell = CELL_LEAF.match(path)
    if cell:
        place = ".".join(part.strip("_") for part in (cell[1], cell[4], cell[5]) if part)
        return place, f"{cell[2][0].casefold()}_{cell[3]}"
    owner, _, last = path.rpartition(".")
    role, rest = names.role(last)
    if role:
        return ".".join(part for part in (owner, rest) if part), role
    return (owner if last.isdigit() else path), ""


def _give_role(groups: dict[str, dict[str, Leaf]], path: str, leaf: Leaf) -> None:
    """Take a first array without a telling name as the weight, a second as the bias; buffers as mean and variance."""
    free = ("mean", "var") if leaf.kind == "buffer" else ("weight", "bias")
    role = next((role for role in free if role not in groups[path]), "")
    if role and not (role == "bias" and len(leaf.shape) > 1):
        groups[path][role] = leaf
    else:
        groups[leaf.name] = {"weight": leaf}


def _with_cells(units: Sequence[Unit]) -> list[Unit]:
    """Put the layers of each recurrent cell together."""
    own = {unit.path: unit for unit in units}
    members: dict[str, list[Unit]] = {}
    for unit in units:
        if unit.form == "cell" or _cell_part(unit):
            parent = unit.path if unit.form == "cell" else unit.path.rpartition(".")[0]
            members.setdefault(parent, [own[parent]] if parent in own else [])
            members[parent] += [unit] if unit.path != parent else []
    cell_of: dict[int, Unit] = {}
    for parent, parts in members.items():
        cell = _cell(parent, parts)
        if cell:
            cell_of |= {id(part): cell for part in parts}
    found = [cell_of.get(id(unit), unit) for unit in units]
    return list({id(unit): unit for unit in found}.values())


def _cell_part(unit: Unit) -> str:
    """Return which part of a cell a layer is by its name: ii, hf, …, ih or hh for all gates at once, "" if none."""
    last = unit.path.rpartition(".")[2].rstrip("_")
    if unit.form != "layer" or not set(unit.leaves) <= {"weight", "bias"}:
        return ""
    return last if re.fullmatch(r"[ih][ifgorzn]", last) else SIDES.get(last, "")


def _cell(parent: str, members: Sequence[Unit]) -> Unit | None:
    """Return the cell that layers form, if any.

    Its roles are w_ih, w_hh, b_ih, b_hh, or b for a single bias; with an array for each gate ii.weight, hf.bias, …
    """
    roles: dict[str, Leaf] = {}
    for member in members:
        part = _cell_part(member)
        for role, leaf in member.leaves.items():
            if member.path == parent:
                roles[{"bias": "b"}.get(role, role)] = leaf
            else:
                roles[f"{role[0]}_{part}" if part in SIDES.values() else f"{part}.{role}"] = leaf
    separate = any({f"{side}{gate}.weight" for side in "ih" for gate in gates} <= set(roles) for gates in GATES)
    return Unit(parent, roles, "cell") if separate or {"w_ih", "w_hh"} <= set(roles) else None


def triples(units: Sequence[Unit]) -> list[Unit]:
    """Return a unit for each three layers of one parent that are called query, key and value."""
    found: dict[str, dict[str, Unit]] = {}
    for unit in units:
        said = [word for word in unit.name.last_words() if word in TRIPLE]
        if len(said) == 1 and unit.form == "layer":
            found.setdefault(unit.path.rpartition(".")[0], {}).setdefault(said[0], unit)
    full = {parent: parts for parent, parts in found.items() if set(parts) == {*TRIPLE}}
    return [_triple(parent, [parts[part] for part in TRIPLE]) for parent, parts in full.items()]


def unnamed_triples(units: Sequence[Unit]) -> list[Unit]:
    """Return a unit for each parent of just three layers of one shape, which may be q, k and v in any order."""
    found: dict[str, list[Unit]] = {}
    for unit in units:
        if unit.form == "layer" and "weight" in unit.leaves:
            found.setdefault(unit.path.rpartition(".")[0], []).append(unit)
    alike = {parent: parts for parent, parts in found.items() if len({one.main.shape for one in parts}) == 1}
    three = {parent: parts for parent, parts in alike.items() if len(parts) == len(TRIPLE)}
    return [replace(_triple(parent, parts), form="unnamed triple") for parent, parts in three.items()]


def _triple(parent: str, parts: Sequence[Unit]) -> Unit:
    named = zip(TRIPLE, parts, strict=True)
    leaves = {f"{part}.{role}": leaf for part, unit in named for role, leaf in unit.leaves.items()}
    return Unit(parent, leaves, "triple")


def _ordered(units: Sequence[Unit]) -> list[Unit]:
    """Sort as listed, but siblings that are listed out of count, by their numbers: layers_2 comes before layers_10."""
    children: dict[Components, dict[tuple[str, int], None]] = {}
    for unit in units:
        components = unit.name.components
        for place, component in enumerate(components):
            children.setdefault(components[:place], {})[component] = None
    ranks = {prefix: _ranks(list(siblings)) for prefix, siblings in children.items()}
    orders = {
        id(unit): tuple(ranks[unit.name.components[:place]][one] for place, one in enumerate(unit.name.components))
        for unit in units
    }
    return sorted(units, key=lambda unit: orders[id(unit)])


def _ranks(siblings: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return the places of siblings: as they are listed, unless those of one name are listed out of count."""
    names = list(dict.fromkeys(text for text, _ in siblings))
    numbers = [[number for text, number in siblings if text == name] for name in names]
    sort = any(_is_out_of_count(one) for one in numbers)
    in_order = sorted(siblings, key=lambda one: (names.index(one[0]), one[1])) if sort else siblings
    return {one: place for place, one in enumerate(in_order)}


def _is_out_of_count(numbers: Sequence[int]) -> bool:
    """Tell whether numbers that count are not in order. Those of branch1, branch5, branch3 do not count."""
    if list(numbers) == sorted(numbers):
        return False
    as_text = [str(number) for number in numbers]
    return as_text == sorted(as_text) or len(numbers) == max(numbers) - min(numbers) + 1
