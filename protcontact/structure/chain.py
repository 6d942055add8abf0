"""What is known about one protein chain?

`Chain` is the record that everything after the parser works on: the full sequence with the
coordinates of the atoms that decide contacts, aligned residue by residue.
"""

from dataclasses import dataclass, field

import numpy as np

from protcontact.structure.alphabet import encode


@dataclass(frozen=True)
class ChainReport:
    """What reading a chain had to decide. Residue indices count from 0 on the full sequence.

    Attributes:
        imputed_cb: Residues whose CB was built from N, CA and C.
        unresolved: Residues without the coordinates that a contact needs.
        modified: ``(index, component, parent letter)`` of each modified residue.
        unknown: Residues read as X.
        altlocs: Residues of which one alternate location was chosen.
        microheterogeneous: Residues with several residue types at one position; one was chosen.
        skipped: What of the chain was left out, one sentence each.
        notes: Other decisions, one sentence each.
    """

    imputed_cb: tuple[int, ...] = ()
    unresolved: tuple[int, ...] = ()
    modified: tuple[tuple[int, str, str], ...] = ()
    unknown: tuple[int, ...] = ()
    altlocs: tuple[int, ...] = ()
    microheterogeneous: tuple[int, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Chain:
    """One protein chain on its full sequence of length L.

    Attributes:
        id: ``<entry>_<author chain>``, unique within a data set.
        sequence: Full sequence (SEQRES / entity_poly_seq), letters of the alphabet, length L.
        coordinates: ``(L, 3)`` float32, Angstrom: CB, or CA for glycine; NaN where unresolved.
        ca: ``(L, 3)`` float32, Angstrom: CA; NaN where unresolved.
        numbering: Author residue number with insertion code (``"12"``, ``"-3"``, ``"52A"``) of
            each residue; ``""`` where the file does not tell.
        chain_id: Author chain id (``auth_asym_id``), what viewers show.
        label_chain_id: ``label_asym_id`` of mmCIF; equal to `chain_id` for PDB files.
        entity_id: ``label_entity_id`` of mmCIF; ``""`` for PDB files.
        source: Name of the file.
        method: Experimental method in upper case (``"X-RAY DIFFRACTION"``); ``""`` if not told.
        resolution: Angstrom; NaN if not told or not applicable.
        release_date: ``YYYY-MM-DD``; ``""`` if not told.
        ca_only: True if `coordinates` are CA for all residues: a different label.
        report: What reading had to decide.

    Raises:
        ValueError: If the parts disagree in length or the sequence has an illegal letter.
    """

    id: str
    sequence: str
    coordinates: np.ndarray
    ca: np.ndarray
    numbering: tuple[str, ...]
    chain_id: str = ""
    label_chain_id: str = ""
    entity_id: str = ""
    source: str = ""
    method: str = ""
    resolution: float = float("nan")
    release_date: str = ""
    ca_only: bool = False
    report: ChainReport = field(default_factory=ChainReport)

    def __post_init__(self) -> None:
        length = len(self.sequence)
        if length == 0:
            raise ValueError(f"chain {self.id!r} has a sequence of length 0")
        for name in ("coordinates", "ca"):
            array = getattr(self, name)
            if array.shape != (length, 3) or array.dtype != np.float32:
                raise ValueError(
                    f"{name} of chain {self.id!r} must be float32 of shape ({length}, 3), "
                    f"not {array.dtype} of shape {array.shape}"
                )
        if len(self.numbering) != length:
            raise ValueError(
                f"numbering of chain {self.id!r} has {len(self.numbering)} entries "
                f"for {length} residues"
            )
        encode(self.sequence)

    def __len__(self) -> int:
        return len(self.sequence)

    @property
    def resolved(self) -> np.ndarray:
        """``(L,)`` bool: residues whose `coordinates` are known."""
        return np.isfinite(self.coordinates).all(axis=1)
