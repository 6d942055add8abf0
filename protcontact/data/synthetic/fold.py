"""How is one chain folded?

Elements are drawn and threaded (`topology`), as many as fit (`spans`), placed (`rods`) and joined
(`loops`). What has no room, no pair of strands or a flaw that no loop can cure is drawn again: of
folds of 100 residues nine of ten are kept, of 1,000 one of three to five.
"""

from dataclasses import dataclass

import numpy as np

from protcontact.data.synthetic.loops import Joiner
from protcontact.data.synthetic.rods import Element, settled, strand_pairs
from protcontact.data.synthetic.spans import fitted
from protcontact.data.synthetic.topology import draw_elements
from protcontact.errors import InputError

LENGTH_MIN = 40
SEPARATION_MIN, SEPARATION_MAX = 6, 1000
SEPARATION_ROOM = 40  # residues that a chain must have beyond the separation of its pairs
ATTEMPTS = 300


@dataclass
class Fold:
    """A chain of L residues without a sequence.

    Attributes:
        atoms: ``(L, 5, 3)`` Angstrom: N, CA, C, O, CB of each residue.
        elements: Helices and strands in the order of the chain.
        pairs: Indices into `elements` of strands that lie side by side, the earlier one first.
    """

    atoms: np.ndarray
    elements: list[Element]
    pairs: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.atoms)


def pair_separation(elements: list[Element], pair: tuple[int, int]) -> int:
    """Smallest separation of two residues, one of each strand of a pair."""
    first, second = elements[pair[0]], elements[pair[1]]
    return second.start - (first.stop - 1)


def _keeps(elements: list[Element], pairs: list[tuple[int, int]], separation: int) -> bool:
    """Are there pairs planted for a separation, and do all of them keep it?"""
    planted = [pair for pair in pairs if {elements[k].group for k in pair} == {1, 2}]
    return bool(planted) and all(pair_separation(elements, p) >= separation for p in planted)


def attempt(rng: np.random.Generator, length: int, separation: int | None) -> Fold | list[str]:
    """Draw one fold.

    Args:
        rng: Source of randomness.
        length: Number of residues.
        separation: If given, smallest separation of the planted pairs.

    Returns:
        The fold, or what was wrong with it.
    """
    drawn = draw_elements(rng, length, separation)
    fit = fitted(rng, length, drawn, keep_ends=separation is not None)
    if fit is None:
        return ["no room"]
    elements, spans = fit
    pairs = strand_pairs(elements)
    if not pairs:
        return ["no pair of strands"]
    if separation is not None and not _keeps(elements, pairs, separation):
        return ["pairs too near"]
    if not settled(rng, elements):
        return ["elements clash"]
    atoms = Joiner(rng, elements, spans).run()
    if isinstance(atoms, list):
        return atoms
    if separation is not None and not _keeps(elements, pairs, separation):
        return ["pairs too near"]  # loops may have exchanged residues
    return Fold(atoms, elements, pairs)


def draw_fold(rng: np.random.Generator, length: int, separation: int | None = None) -> Fold:
    """Draw folds until one is good.

    Args:
        rng: Source of randomness.
        length: Number of residues, at least `LENGTH_MIN`.
        separation: If given, the strands of some sheets alternate between the beginning and the
            end of the chain, and are all at least so many residues from their neighbours;
            `SEPARATION_MIN` to `SEPARATION_MAX`, and `SEPARATION_ROOM` less than `length`.

    Returns:
        A fold of exactly `length` residues.

    Raises:
        InputError: If none of many tries was good.
    """
    assert length >= LENGTH_MIN and (separation or 0) + SEPARATION_ROOM <= length
    faults: list[str] = []
    for _ in range(ATTEMPTS):
        outcome = attempt(rng, length, separation)
        if isinstance(outcome, Fold):
            return outcome
        faults = outcome
    raise InputError(
        f"{ATTEMPTS} folds of {length} residues had flaws, the last one: {', '.join(faults)}; "
        "choose another --length, --separation or --seed"
    )
