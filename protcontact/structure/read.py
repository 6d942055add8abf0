"""Structure files to labelled chains: PDB, mmCIF and BinaryCIF, each also gzipped.

The policies, each where it is carried out:

* formats by content: `formats`; mmCIF and BinaryCIF: `mmcif`; PDB: `pdb`
* copies of a chain under one id: `pdb`, `copies`
* which residues are a protein chain, hetero residues, free amino acids: `polymer`
* alternate locations, microheterogeneity: `alternatives`
* modified and unknown residues: `components`
* unresolved residues, SEQRES, gaps: `layout`, `placement`, `gaps`
* CB of glycine, missing CB, CA-only chains, zero occupancy: `assemble`, `geometry`

A chain's id is ``<entry>_<author chain id>``. A blank author chain id becomes the first letter of
A ... Z, a ... z that no other chain of the file has; a second chain of the same author id gets
``-2`` behind it, a third ``-3``, and so on past names that other chains have.
"""

from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path

from protcontact.errors import InputError
from protcontact.structure import mmcif, pdb
from protcontact.structure.assemble import Source, assemble
from protcontact.structure.chain import Chain
from protcontact.structure.cif_binary import open_binary
from protcontact.structure.cif_text import open_text
from protcontact.structure.formats import Format, decompress, detect
from protcontact.structure.observed import Observed, RejectedChain

_SUFFIXES = (".bcif", ".cif", ".mmcif", ".pdb", ".ent")


@dataclass(frozen=True)
class StructureRecord:
    """All polymers of one file: protein chains that can be used, and the others with reasons."""

    chains: tuple[Chain, ...]
    rejected: tuple[RejectedChain, ...]


def read_structure(
    source: str | Path | bytes, *, name: str = "", entry: str = "", allow_ca_only: bool = False
) -> StructureRecord:
    """Read every protein chain of a structure file.

    Args:
        source: Path of the file, or its content as bytes (a member of a tar archive).
        name: File name for messages and `Chain.source`; that of `source` if it is a path.
        entry: First part of the chain ids; the file name without its extensions if empty.
        allow_ca_only: Label chains that have only CA atoms by CA instead of refusing them.

    A file that cannot be read, is damaged or no structure is an `InputError` that names it.
    """
    if isinstance(source, bytes):
        content, name = source, name or "<bytes>"
    else:
        content, name = _load(Path(source)), name or str(source)
    observed = _parse(content, name)
    origin = Source(
        entry=entry or entry_name(name),
        name=Path(name).name,
        header=observed.header,
        models=observed.models,
        skipped=observed.skipped,
    )
    chains: list[Chain] = []
    rejected = list(observed.rejected)
    for found in observed.chains:
        made = assemble(found, origin, allow_ca_only=allow_ca_only)
        if isinstance(made, Chain):
            chains.append(made)
        else:
            rejected.append(made)
    return StructureRecord(tuple(chains), tuple(rejected))


def read_chains(path: str | Path, *, allow_ca_only: bool = False) -> list[Chain]:
    """Read the protein chains of a structure file; see `read_structure`.

    Raises:
        InputError: If the file has no usable protein chain, or cannot be read at all.
    """
    record = read_structure(path, allow_ca_only=allow_ca_only)
    if not record.chains:
        reasons = "; ".join(
            f"chain {bad.chain_id or '(blank)'}: {bad.reason}" for bad in record.rejected
        )
        raise InputError(f"{path}: no usable protein chain ({reasons or 'no polymer at all'})")
    return list(record.chains)


def entry_name(name: str) -> str:
    """File name without folders, ``.gz`` and the extension of a structure format."""
    stem = Path(name).name
    if stem.lower().endswith(".gz"):
        stem = stem[:-3]
    path = Path(stem)
    is_assembly = path.suffix.lower().startswith(".pdb") and path.suffix[4:].isdigit()
    return path.stem if path.suffix.lower() in _SUFFIXES or is_assembly else stem


def _load(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); give the path of a file") from error


def _parse(content: bytes, name: str) -> Observed:
    """Parse by format.

    This is the one place where what parsers raise on damaged content is translated.

    Raises:
        InputError: If the content is damaged or no structure.
    """
    label = "structure"
    try:
        content = decompress(content).removeprefix(BOM_UTF8)
        file_format = detect(content)
        label = file_format.value
        if file_format is Format.BINARY_CIF:
            return mmcif.read_blocks(open_binary(content))
        if file_format is Format.MMCIF:
            return mmcif.read_blocks(open_text(content))
        return pdb.read_pdb(content)
    except Exception as error:  # biotite, msgpack and numpy raise a dozen types on damaged input
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        remedy = "download or export the file again, or leave it out"
        raise InputError(f"{name}: not a readable {label} file: {reason}; {remedy}") from error
