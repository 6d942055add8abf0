"""Which polymers does an mmCIF file describe, apart from their atoms?"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from protcontact.structure.cif_columns import Block
from protcontact.structure.observed import Monomer


@dataclass(frozen=True)
class Entities:
    """Types, sequences and numbering of a block's polymers, each read when asked for."""

    block: Block

    @cached_property
    def types(self) -> dict[str, str]:
        """``entity_poly.type`` by entity id."""
        return {row[0]: row[1] for row in self._rows("entity_poly", "entity_id", "type")}

    @cached_property
    def of_asym(self) -> dict[str, str]:
        """Entity id by ``label_asym_id``."""
        return {row[0]: row[1] for row in self._rows("struct_asym", "id", "entity_id")}

    @cached_property
    def sequences(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """Components of each place of the full sequence by entity id.

        A place has several components where ``num`` is repeated (microheterogeneity). An entity
        whose ``num`` do not count 1, 2, ... has no usable sequence and is left out.
        """
        table = self.block.category("entity_poly_seq")
        if table is None or any(name not in table for name in ("entity_id", "num", "mon_id")):
            return {}
        entity, component = table.text("entity_id"), table.text("mon_id")
        upper = [name.upper() for name in component.values]
        number = table.integers("num")
        sequences = {}
        for code in np.unique(entity.codes).tolist():
            rows = np.flatnonzero(entity.codes == code)
            names = [upper[name] for name in component.codes[rows].tolist()]
            sequence = _in_places(number[rows], names)
            if sequence:
                sequences[entity.values[code]] = sequence
        return sequences

    @cached_property
    def _numbers(self) -> dict[str, dict[str, str]]:
        """Author number with insertion code by ``label_asym_id`` and ``seq_id``."""
        numbers: dict[str, dict[str, str]] = {}
        for asym, place, number, insertion in self._rows(
            "pdbx_poly_seq_scheme", "asym_id", "seq_id", "pdb_seq_num", "pdb_ins_code"
        ):
            numbers.setdefault(asym, {}).setdefault(place, number + insertion)
        return numbers

    def sequence(self, asym: str, entity: str) -> tuple[Monomer, ...] | None:
        """Full sequence of a chain with its author numbers; None if the file has none."""
        components = self.sequences.get(entity)
        if components is None:
            return None
        numbers = self._numbers.get(asym, {})
        return tuple(
            Monomer(names, numbers.get(str(place), "")) for place, names in enumerate(components, 1)
        )

    def _rows(self, category: str, *columns: str) -> Iterator[tuple[str, ...]]:
        """Rows of a category as strings; none if the category or one of the columns is absent."""
        table = self.block.category(category)
        if table is None or any(column not in table for column in columns):
            return iter(())
        return zip(*(table.strings(column) for column in columns), strict=True)


def _in_places(numbers: np.ndarray, names: list[str]) -> tuple[tuple[str, ...], ...]:
    """Components by place; empty unless the distinct numbers are 1, 2, ..., in any order."""
    if np.array_equal(numbers, np.arange(1, len(names) + 1)):
        return tuple((name,) for name in names)
    places: dict[int, list[str]] = {}
    for number, name in zip(numbers.tolist(), names, strict=True):
        places.setdefault(number, []).append(name)
    if places.keys() != set(range(1, len(places) + 1)):
        return ()
    return tuple(tuple(dict.fromkeys(places[place])) for place in range(1, len(places) + 1))
