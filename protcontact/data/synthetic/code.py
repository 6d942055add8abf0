"""How does a sequence carry the contacts of its fold?

Every sheet has a ladder of letters. Its strands run past a lattice of places; the first strand
draws one letter per place at random, and each next strand has, at the same place, the successor of
its neighbour's letter in a cycle of eight. So

    residues i and j of neighbouring strands stand side by side
        =>  letter(j) = successor(letter(i))  or  letter(i) = successor(letter(j)),

for all places that the two strands share, read forwards (parallel) or backwards (antiparallel).
Nothing else ties the sequence to the fold: which strands are neighbours is random, and the ladder
of each sheet is drawn anew, so a pair is found only by comparing what stands at i with what stands
at j, at whatever separation. Strands two apart differ by two steps of the cycle and do not match;
eight apart they would, so a sheet has at most seven.

Two cycles keep the patterns of proteins: side chains that point to another layer are hydrophobic,
those that point to the solvent polar, and they alternate along a strand at the surface. One place
in five is an exception: if the pattern were perfect, and loops were of glycine and asparagine
alone, sequence search would take all chains for one family, and no honest split would be left.
"""

import numpy as np

from protcontact.data.synthetic.fold import Fold
from protcontact.data.synthetic.geometry import CA, CB, C, N, dihedral
from protcontact.data.synthetic.rods import Element

HYDROPHOBIC = "AVFLYIMW"
POLAR = "KTESRNQD"
CYCLE = len(HYDROPHOBIC)
EXTENSION = 2
LATTICE = 16  # places to either side of the middle of a sheet; strands are shorter than that

HELIX_INSIDE, HELIX_OUTSIDE = "LLAAMIVF", "EEKKRQAD"
LOOP = "GGSNDPTKEQARHLVIFYC"
POSITIVE_PHI = "GGGNDKSRHEQ"  # left-handed residues: glycine, else what is not branched at CB
EXCEPTIONS = 0.2  # share of places of a sheet with the cycle of the other side


def successor(letter: str) -> str:
    """The letter that stands beside `letter` in the next strand of a sheet.

    Raises:
        ValueError: If the letter is in neither cycle.
    """
    for cycle in (HYDROPHOBIC, POLAR):
        if letter in cycle:
            return cycle[(cycle.index(letter) + 1) % CYCLE]
    raise ValueError(f"{letter!r} is in neither of the cycles {HYDROPHOBIC} and {POLAR}")


def _inside(element: Element, elements: list[Element]) -> tuple[bool, bool]:
    """Is there another layer above (+y) and below (-y) an element? A single layer has one face."""
    above = any(other.y > element.y + 1 for other in elements)
    below = any(other.y < element.y - 1 for other in elements)
    return (True, False) if not (above or below) else (above, below)


def coded(fold: Fold, strand: Element) -> tuple[np.ndarray, np.ndarray]:
    """Which residues carry the code of a strand: its own and up to two on either side.

    Where a strand goes over into its loops it still runs beside its neighbours.

    Args:
        fold: The fold.
        strand: One of its strands.

    Returns:
        ``(n,)`` indices of residues, rising, and ``(n,)`` their places on the lattice of the sheet.
    """
    number = next(k for k, e in enumerate(fold.elements) if e is strand)
    before = strand.start - (fold.elements[number - 1].stop if number > 0 else 0)
    is_last = number + 1 == len(fold.elements)
    behind = (len(fold) if is_last else fold.elements[number + 1].start) - strand.stop
    # a loop that ends in another strand is shared with it
    first = strand.start - min(EXTENSION, before // 2)
    stop = strand.stop + min(EXTENSION, behind // 2)
    residues = np.arange(first, stop)
    places = strand.lattice()
    return residues, places[0] + (residues - strand.start) * (places[1] - places[0])


def _write_sheet(rng: np.random.Generator, letters: np.ndarray, fold: Fold, sheet: int) -> None:
    """Write the letters of one sheet into ``(L,)``, in place."""
    strands = [e for e in fold.elements if e.sheet == sheet]
    above, below = _inside(strands[0], fold.elements)
    ladder = rng.integers(CYCLE, size=2 * LATTICE)
    exception = rng.random(2 * LATTICE) < EXCEPTIONS
    descending = bool(rng.random() < 0.5)
    for strand in strands:
        step = -strand.rank if descending else strand.rank
        residues, places = coded(fold, strand)
        for residue, place in zip(residues, places, strict=True):
            inward = above if place % 2 == 0 else below
            cycle = HYDROPHOBIC if inward != exception[place + LATTICE] else POLAR
            letters[residue] = cycle[(ladder[place + LATTICE] + step) % CYCLE]


def _write_helix(
    rng: np.random.Generator, letters: np.ndarray, fold: Fold, element: Element
) -> None:
    """Write an amphipathic helix, in place: hydrophobic where it faces another layer."""
    above, below = _inside(element, fold.elements)
    rows = slice(element.start, element.stop)
    facing = (fold.atoms[rows, CB] - fold.atoms[rows, CA])[:, 1]  # y, 1.53 at most
    inward = (above & (facing > 0.4)) | (below & (facing < -0.4))
    inside = rng.choice(list(HELIX_INSIDE), size=element.length)
    outside = rng.choice(list(HELIX_OUTSIDE), size=element.length)
    letters[rows] = np.where(inward, inside, outside)


def draw_sequence(rng: np.random.Generator, fold: Fold) -> str:
    """Draw a sequence that carries the contacts of a fold.

    Args:
        rng: Source of randomness.
        fold: The fold, L residues.

    Returns:
        L letters of the 20 amino acids.
    """
    L = len(fold)
    letters = rng.choice(list(LOOP), size=L)
    atoms = fold.atoms
    phi = dihedral(atoms[:-1, C], atoms[1:, N], atoms[1:, CA], atoms[1:, C])
    positive = 1 + np.flatnonzero(phi > 0)
    letters[positive] = rng.choice(list(POSITIVE_PHI), size=len(positive))
    for element in fold.elements:
        if element.kind == "H":
            _write_helix(rng, letters, fold, element)
    for sheet in sorted({e.sheet for e in fold.elements if e.kind == "E"}):
        _write_sheet(rng, letters, fold, sheet)
    return "".join(letters)
