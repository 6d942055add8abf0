"""What do the title records of a PDB file say: full sequences, missing residues, experiment?

The release date is that of the initial release (REVDAT with modification type 0); HEADER has the
date of deposition, which is another thing.
"""

import math
import re
from collections import defaultdict
from dataclasses import dataclass

from protcontact.structure.observed import Header, Monomer

_ATOM_LINE = re.compile(rb"^(?:ATOM  |HETATM)", re.MULTILINE)
_MISSING = re.compile(
    r"REMARK 465.{5}(?P<name>[ \w]{3}) (?P<chain>.) *(?P<number>-?[0-9]+)(?P<code>[A-Za-z]?)\s*"
)
_DATE = re.compile(r"(?P<day>\d\d)-(?P<month>[A-Z]{3})-(?P<year>\d\d)")
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_RESOLUTION = re.compile(r"REMARK   2 RESOLUTION\.\s+(\d+(?:\.\d+)?)\s+ANGSTROM")


@dataclass(frozen=True)
class PdbHeader:
    """Title records.

    Attributes:
        sequences: SEQRES by chain id (``""`` for blank).
        missing: Residues of REMARK 465 by chain id, of the first model.
        header: The experiment.
    """

    sequences: dict[str, tuple[Monomer, ...]]
    missing: dict[str, tuple[Monomer, ...]]
    header: Header


def read_pdb_header(content: bytes) -> PdbHeader:
    """Read the records in front of the first atom."""
    atom = _ATOM_LINE.search(content)
    text = content[: atom.start()] if atom else content
    lines = text.decode("latin-1").splitlines()
    header = Header(_method(lines), _resolution(lines), _release_date(lines))
    return PdbHeader(_sequences(lines), _missing(lines), header)


def _sequences(lines: list[str]) -> dict[str, tuple[Monomer, ...]]:
    sequences: dict[str, list[Monomer]] = defaultdict(list)
    for line in lines:
        if line.startswith("SEQRES"):
            chain = line[10:12].strip()
            sequences[chain] += [Monomer((name,)) for name in line[19:70].upper().split()]
    return {chain: tuple(monomers) for chain, monomers in sequences.items()}


def _missing(lines: list[str]) -> dict[str, tuple[Monomer, ...]]:
    missing: dict[str, dict[Monomer, None]] = defaultdict(dict)
    for line in lines:
        match = _MISSING.fullmatch(line)
        if match:
            number = f"{int(match['number'])}{match['code']}"
            monomer = Monomer((match["name"].strip().upper(),), number)
            missing[match["chain"].strip()][monomer] = None
    return {chain: tuple(monomers) for chain, monomers in missing.items()}


def _method(lines: list[str]) -> str:
    text = " ".join(line[10:79].strip() for line in lines if line.startswith("EXPDTA"))
    return "; ".join(part.strip().upper() for part in text.split(";") if part.strip())


def _resolution(lines: list[str]) -> float:
    matches = filter(None, map(_RESOLUTION.match, lines))
    return next((float(match[1]) for match in matches), math.nan)


def _release_date(lines: list[str]) -> str:
    for line in lines:
        if line.startswith("REVDAT") and line[31:32] == "0":
            return _iso_date(line[13:22])
    return ""


def _iso_date(text: str) -> str:
    """``15-APR-98`` -> ``1998-04-15``; ``""`` if it is no date. The archive began in 1971."""
    match = _DATE.fullmatch(text.strip())
    if match is None or match["month"] not in _MONTHS:
        return ""
    year = int(match["year"])
    century = 1900 if year >= 71 else 2000
    return f"{century + year}-{_MONTHS.index(match['month']) + 1:02d}-{match['day']}"
