"""What does a file say about one polymer chain, before anything is decided?

`ObservedChain` is what the readers of the three formats hand to `assemble`. It holds only the atoms
that decide contacts (N, CA, C, CB), in file order, sorted into residues.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from string import ascii_lowercase, ascii_uppercase

import numpy as np

ATOM_NAMES = ("N", "CA", "C", "CB")
N, CA, C, CB = range(4)

# No structure is so large; such a coordinate is damage. From 9998 on (9999.000 of CNS) it is a
# placeholder, see `alternatives`.
_LARGEST_COORDINATE = 99_999.0


@dataclass(frozen=True, eq=False)
class Atoms:
    """The A backbone and CB atoms of a chain's R observed residues, in file order.

    Attributes:
        residue: ``(A,)`` int, index of the residue in ``[0, R)``, in file order of first mention.
        name: ``(A,)`` int, index into `ATOM_NAMES`.
        alternative: ``(A,)`` int, alternate location: 0 for none, else any number per location.
        component: ``(A,)`` int, index into `components`.
        components: Names of chemical components.
        occupancy: ``(A,)`` float32; 1 where the file does not tell.
        xyz: ``(A, 3)`` float32, Angstrom, finite; placeholders as the file has them.
    """

    residue: np.ndarray
    name: np.ndarray
    alternative: np.ndarray
    component: np.ndarray
    components: tuple[str, ...]
    occupancy: np.ndarray
    xyz: np.ndarray

    def select(self, rows: np.ndarray | slice, residue: np.ndarray) -> "Atoms":
        """Some of the atoms, sorted into residues anew."""
        return Atoms(
            residue=residue,
            name=self.name[rows],
            alternative=self.alternative[rows],
            component=self.component[rows],
            components=self.components,
            occupancy=self.occupancy[rows],
            xyz=self.xyz[rows],
        )


@dataclass(frozen=True)
class Monomer:
    """One place of a full sequence: its components (several if heterogeneous) and its number."""

    components: tuple[str, ...]
    number: str = ""


@dataclass(frozen=True, eq=False)
class ObservedChain:
    """One polymer chain as the file has it: R observed residues, full sequence of length L.

    Attributes:
        atoms: Atoms that decide contacts.
        numbers: R author numbers with insertion code.
        positions: ``(R,)`` int, place of each residue on `sequence`; None if the file does not say.
        sequence: L monomers (SEQRES, entity_poly_seq); None if the file has none.
        missing: Monomers that REMARK 465 lists as not observed, in its order.
        chain_id: Author chain id, ``""`` if blank.
        name: What stands for the chain in `Chain.id`, unique within the file.
        label_chain_id: ``label_asym_id``.
        entity_id: ``label_entity_id``.
        skipped: What the reader left out, one sentence each.
        notes: Other decisions of the reader, one sentence each.
    """

    atoms: Atoms
    numbers: tuple[str, ...]
    positions: np.ndarray | None = None
    sequence: tuple[Monomer, ...] | None = None
    missing: tuple[Monomer, ...] = ()
    chain_id: str = ""
    name: str = ""
    label_chain_id: str = ""
    entity_id: str = ""
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RejectedChain:
    """A polymer chain that gave no `Chain`, and why.

    Attributes:
        chain_id: Author chain id, ``""`` if blank.
        reason: Why.
        is_protein: False for nucleic acids and other polymers that are not polypeptide(L).
    """

    chain_id: str
    reason: str
    is_protein: bool = True


@dataclass(frozen=True)
class Header:
    """What a file says about the experiment; see `Chain` for the units."""

    method: str = ""
    resolution: float = float("nan")
    release_date: str = ""


@dataclass(frozen=True)
class Observed:
    """All that a reader found in one file.

    Attributes:
        chains: Protein chains.
        rejected: Other polymers.
        header: The experiment.
        models: Number of models; the first is what was read.
        skipped: What else of the file was left out, one sentence each.
    """

    chains: tuple[ObservedChain, ...]
    rejected: tuple[RejectedChain, ...]
    header: Header
    models: int = 1
    skipped: tuple[str, ...] = ()


def is_position(xyz: np.ndarray) -> np.ndarray:
    """``(A, 3) -> (A,)`` bool: the three numbers can be an atom's coordinates."""
    return (np.abs(xyz) < _LARGEST_COORDINATE).all(axis=1)


def unreadable(count: int) -> tuple[str, ...]:
    """The sentence about atoms whose coordinates are no numbers; none if there are none."""
    return (f"{count} atom lines unreadable: no three coordinates",) if count else ()


def name_chains(chains: Iterable[ObservedChain]) -> tuple[ObservedChain, ...]:
    """Give each chain its part of the id: see `read` for blank and repeated chain ids."""
    chains = list(chains)
    used = {chain.chain_id for chain in chains}
    free = (letter for letter in ascii_uppercase + ascii_lowercase if letter not in used)
    repeats: Counter[str] = Counter()
    named = []
    for index, chain in enumerate(chains):
        name = first = chain.chain_id or next(free, f"chain{index + 1}")
        repeats[first] += 1
        while repeats[first] > 1 and name in used:
            name = f"{first}-{repeats[first]}"
            repeats[first] += name in used
        used.add(name)
        named.append(replace(chain, name=name))
    return tuple(named)
