"""How does a synthetic chain look as an mmCIF or a PDB file?

Coordinates are written by biotite. What it does not write is added here, because a reader needs it
to know the full sequence: SEQRES and REMARK 465 in PDB files, the entity_poly_seq and
pdbx_poly_seq_scheme categories in mmCIF. The method is THEORETICAL MODEL in both.
"""

import io
from dataclasses import dataclass

import numpy as np
from biotite.structure import AtomArray
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import CIFCategory, CIFColumn, CIFData, CIFFile, set_structure

from protcontact.data.synthetic.geometry import ATOMS
from protcontact.structure.components import STANDARD

CHAIN, ENTITY = "A", "1"
METHOD = "THEORETICAL MODEL"
TITLE = "SYNTHETIC FOLD WITH A CODED SEQUENCE; NOT A PROTEIN"
COMPONENT = {letter: component for component, letter in STANDARD.items()}
PER_SEQRES = 13


@dataclass(frozen=True, eq=False)
class SyntheticChain:
    """A chain that is ready to be written.

    Attributes:
        name: Name of the entry and of the file.
        sequence: Full sequence, length L.
        atoms: ``(L, 5, 3)`` Angstrom: N, CA, C, O, CB.
        resolved: ``(L,)`` bool: residues whose atoms are written.
    """

    name: str
    sequence: str
    atoms: np.ndarray
    resolved: np.ndarray

    def components(self) -> list[str]:
        """Three-letter codes of the full sequence."""
        return [COMPONENT[letter] for letter in self.sequence]


def atom_array(chain: SyntheticChain) -> AtomArray:
    """The resolved atoms as biotite wants them; residues are numbered from 1, glycine has no CB."""
    written = np.repeat(chain.resolved[:, None], len(ATOMS), axis=1)
    written[:, ATOMS.index("CB")] &= np.array(list(chain.sequence)) != "G"
    residue, atom = np.nonzero(written)
    array = AtomArray(len(residue))
    array.coord = np.round(chain.atoms[residue, atom], 3).astype(np.float32)
    array.chain_id[:] = CHAIN
    array.res_id[:] = residue + 1
    array.res_name[:] = np.array(chain.components())[residue]
    array.atom_name[:] = np.array(ATOMS)[atom]
    array.element[:] = np.array([name[0] for name in ATOMS])[atom]
    return array


def pdb_text(chain: SyntheticChain) -> str:
    """The chain as a PDB file."""
    file = PDBFile()
    file.set_structure(atom_array(chain))
    components = chain.components()
    lines = [
        "HEADER    DE NOVO PROTEIN",
        f"TITLE     {TITLE}",
        f"EXPDTA    {METHOD}",
    ]
    missing = np.flatnonzero(~chain.resolved)
    if len(missing):
        lines += ["REMARK 465", "REMARK 465   M RES C SSSEQI"]
        lines += [f"REMARK 465     {components[k]} {CHAIN} {k + 1:5d}" for k in missing]
    for row, begin in enumerate(range(0, len(components), PER_SEQRES), start=1):
        names = " ".join(components[begin : begin + PER_SEQRES])
        lines.append(f"SEQRES {row:3d} {CHAIN} {len(components):4d}  {names}")
    last = np.flatnonzero(chain.resolved)[-1]
    serial = len(file.lines) + 1
    end = [f"TER   {serial:5d}      {components[last]} {CHAIN}{last + 1:4d}", "END"]
    return "\n".join(f"{line:<80}" for line in [*lines, *file.lines, *end]) + "\n"


def mmcif_text(chain: SyntheticChain) -> str:
    """The chain as an mmCIF file."""
    file = CIFFile()
    set_structure(file, atom_array(chain), data_block=chain.name)
    block = file.block
    components = chain.components()
    numbers = np.arange(1, len(components) + 1)
    described = {
        "entry": {"id": chain.name},
        "struct": {"entry_id": chain.name, "title": TITLE},
        "exptl": {"entry_id": chain.name, "method": METHOD},
        "entity": {"id": ENTITY, "type": "polymer"},
        "struct_asym": {"id": CHAIN, "entity_id": ENTITY},
        "entity_poly": {
            "entity_id": ENTITY,
            "type": "polypeptide(L)",
            "pdbx_seq_one_letter_code_can": chain.sequence,
            "pdbx_strand_id": CHAIN,
        },
        "entity_poly_seq": {
            "entity_id": np.full(len(numbers), ENTITY),
            "num": numbers,
            "mon_id": components,
            "hetero": np.full(len(numbers), "n"),
        },
        "pdbx_poly_seq_scheme": _scheme(chain, components, numbers),
    }
    coordinates = block.pop("atom_site")
    for name, columns in described.items():
        block[name] = CIFCategory(columns)
    block["atom_site"] = coordinates
    text = io.StringIO()
    file.write(text)
    return text.getvalue()


def _scheme(chain: SyntheticChain, components: list[str], numbers: np.ndarray) -> dict:
    """Author numbers of all residues; those without atoms have no ``auth_seq_num``."""
    masked = np.where(chain.resolved, 0, 2)  # 2: "?"
    return {
        "asym_id": np.full(len(numbers), CHAIN),
        "entity_id": np.full(len(numbers), ENTITY),
        "seq_id": numbers,
        "mon_id": components,
        "pdb_seq_num": numbers,
        "auth_seq_num": CIFColumn(CIFData(numbers.astype(str)), CIFData(masked, np.uint8)),
        "pdb_mon_id": components,
        "auth_mon_id": CIFColumn(CIFData(np.array(components)), CIFData(masked, np.uint8)),
        "pdb_strand_id": np.full(len(numbers), CHAIN),
    }
