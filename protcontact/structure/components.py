"""Which residue does a chemical component stand for?

The 20 standard amino acids are written out; everything else is looked up in the Chemical Component
Dictionary (CCD) that biotite carries, which takes a part of a second once per process. A modified
amino acid has the letter of its parent (MSE -> M, SEP -> S, D-alanine -> A). ``X`` stands for UNK,
for components that the CCD does not know, for those without one parent (the chromophore CRO is made
of three residues), for the ambiguous ones (ASX, GLX), and for selenocysteine and pyrrolysine, which
are amino acids of their own.

Reference: Westbrook et al. 2015, Bioinformatics 31, 1274 (CCD).
"""

import functools
from collections import Counter
from collections.abc import Collection
from enum import Enum

from biotite.structure import info

from protcontact.structure.alphabet import LETTERS

UNKNOWN_LETTER = "X"

STANDARD = {
    "ALA": "A", "CYS": "C", "ASP": "D", "GLU": "E", "PHE": "F", "GLY": "G", "HIS": "H",
    "ILE": "I", "LYS": "K", "LEU": "L", "MET": "M", "ASN": "N", "PRO": "P", "GLN": "Q",
    "ARG": "R", "SER": "S", "THR": "T", "VAL": "V", "TRP": "W", "TYR": "Y",
}  # fmt: skip

# Protonation states as AMBER, CHARMM and GROMACS name them: in the CCD these names are absent or
# belong to ligands, and GLH to a cyclohexyl urea adduct of glutamine that no one meets. AMBER puts
# N or C before the names of terminal residues.
FORCE_FIELD = {
    "HID": "H", "HIE": "H", "HSD": "H", "HSP": "H", "CYX": "C", "ASH": "D", "GLH": "E",
    "HSE": UNKNOWN_LETTER,  # histidine to CHARMM, homoserine to the PDB: not decidable by name
    "HISA": "H", "HISB": "H", "HISD": "H", "HISE": "H", "HISH": "H", "HISP": "H", "HIS1": "H",
    "HIS2": "H", "LYSH": "K", "ARGN": "R", "ASPH": "D", "ASPP": "D", "GLUH": "E", "GLUP": "E",
    "CYSH": "C", "CYS2": "C",
}  # fmt: skip
FORCE_FIELD |= {
    end + name: code
    for end in "NC"
    for name, code in (*STANDARD.items(), *FORCE_FIELD.items())
    if len(name) == 3
}


class Kind(Enum):
    """What a component is, as far as a protein chain cares."""

    L_PEPTIDE = "L-peptide"
    D_PEPTIDE = "D-peptide"
    NUCLEOTIDE = "nucleotide"
    OTHER = "other"
    UNKNOWN = "unknown"


@functools.cache
def kind(component: str) -> Kind:
    """Return what a component is; `Kind.UNKNOWN` where neither we nor the CCD have its name."""
    if component in STANDARD or component in FORCE_FIELD:
        return Kind.L_PEPTIDE
    link = info.link_type(component)
    if link is None:
        return Kind.UNKNOWN
    link = link.lower()
    if "d-peptide" in link or "d-beta-peptide" in link or "d-gamma-peptide" in link:
        return Kind.D_PEPTIDE
    if "peptide linking" in link or link == "peptide-like" or "-peptide" in link:
        return Kind.L_PEPTIDE
    if "dna" in link or "rna" in link:
        return Kind.NUCLEOTIDE
    return Kind.OTHER


@functools.cache
def letter(component: str) -> str:
    """Return the letter of a component's parent amino acid, ``X`` where there is none."""
    if component in STANDARD:
        return STANDARD[component]
    if component in FORCE_FIELD:
        return FORCE_FIELD[component]
    if kind(component) not in (Kind.L_PEPTIDE, Kind.D_PEPTIDE):
        return UNKNOWN_LETTER
    code = info.one_letter_code(component)
    return code if code is not None and len(code) == 1 and code in LETTERS else UNKNOWN_LETTER


def is_amino_acid(component: str) -> bool:
    """Tell whether a component can be a residue of a protein."""
    return kind(component) in (Kind.L_PEPTIDE, Kind.D_PEPTIDE)


def is_modified(component: str) -> bool:
    """Tell whether a component has a parent letter without being that standard residue."""
    return component not in STANDARD and letter(component) != UNKNOWN_LETTER


def refusal(components: Collection[str]) -> str:
    """Say why a chain of these components is no protein chain; ``""`` if it is one.

    A protein chain has amino acids, at least as many as nucleotides, and not D-amino acids alone
    (glycine, which has no hand, does not count): the rule behind ``polypeptide(L)`` of the PDB.
    """
    counts = Counter(kind(component) for component in components if component != "GLY")
    glycines = any(component == "GLY" for component in components)
    if counts[Kind.NUCLEOTIDE] > counts[Kind.L_PEPTIDE] + counts[Kind.D_PEPTIDE]:
        return "nucleic acid"
    if counts[Kind.D_PEPTIDE] and not counts[Kind.L_PEPTIDE]:
        return "polymer of D-amino acids, not polypeptide(L)"
    if not counts[Kind.L_PEPTIDE] and not glycines:
        return "no amino-acid residue"
    return ""
