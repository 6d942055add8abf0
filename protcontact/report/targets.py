"""What is to be predicted: sequences from FASTA files and chains from structure files.

A file is taken for FASTA if its first character is ``>``; whatever else is left to the readers of
structures. Inputs that cannot be read become `Unreadable`, so that a report can name them. DNA and
other polymers beside a protein are no inputs that failed, and are left out.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protcontact.atomic import file_name
from protcontact.data.inputs import find_inputs
from protcontact.data.shards import read_record
from protcontact.errors import InputError
from protcontact.structure.chain import Chain
from protcontact.structure.fasta import read_fasta


@dataclass(frozen=True)
class Target:
    """One sequence to predict.

    Attributes:
        name: Unique; also the stem of the files that are written.
        chain: Sequence, and the truth where the input was a structure (else all NaN).
        source: Where it came from, as the user knows it.
    """

    name: str
    chain: Chain
    source: str

    @property
    def has_truth(self) -> bool:
        """Whether any residue has coordinates."""
        return bool(self.chain.resolved.any())


@dataclass(frozen=True)
class Unreadable:
    """An input without a usable sequence, and why."""

    name: str
    source: str
    reason: str


def read_targets(
    sources: Sequence[str], spool: Path, allow_ca_only: bool = False
) -> tuple[list[Target], list[Unreadable]]:
    """Read everything that the user named.

    Args:
        sources: FASTA files, structure files, folders, globs, tar archives.
        spool: Folder in which compressed archives may be unpacked.
        allow_ca_only: Score chains that have only CA atoms by CA distances.

    Returns:
        Targets with unique names, and the inputs that gave none.

    An unusable FASTA file, or a source that does not exist, is an `InputError`.
    """
    targets: list[Target] = []
    failed: list[Unreadable] = []
    structures = [source for source in sources if not _is_fasta(Path(source))]
    for source in sources:
        if source in structures:
            continue
        targets += _sequences(source)
    for found in find_inputs(structures, spool) if structures else []:
        try:
            record = read_record(found, allow_ca_only)
        except InputError as error:
            failed.append(Unreadable(found.entry, found.source, str(error)))
            continue
        targets += [Target(chain.id, chain, found.source) for chain in record.chains]
        failed += [
            Unreadable(f"{found.entry}_{bad.chain_id}", found.source, bad.reason)
            for bad in record.rejected
            if bad.is_protein or not record.chains
        ]
        if not record.chains and not record.rejected:
            failed.append(Unreadable(found.entry, found.source, "no polymer chain in the file"))
    return _unique(targets), failed


def _is_fasta(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(4096)
        if start.startswith(b"\x1f\x8b"):
            start = zlib.decompressobj(wbits=31).decompress(start, 256)
    except (OSError, zlib.error):  # reading it as a structure will tell what is wrong
        return False
    return start.lstrip().startswith((b">", b";"))


def _sequences(source: str) -> list[Target]:
    targets = []
    for name, sequence in read_fasta(source).items():
        nowhere = np.full((len(sequence), 3), np.nan, dtype=np.float32)
        numbering = tuple(str(place + 1) for place in range(len(sequence)))
        chain = Chain(name, sequence, nowhere, nowhere, numbering, chain_id="A", source=source)
        targets.append(Target(name, chain, source))
    return targets


def _unique(targets: list[Target]) -> list[Target]:
    """Give each target a name that can be a file name and that no other has."""
    taken: set[str] = set()
    named = []
    for target in targets:
        safe = file_name(target.name)
        name, number = safe, 2
        while name.lower() in taken:  # some file systems do not tell upper from lower case
            name, number = f"{safe}-{number}", number + 1
        taken.add(name.lower())
        named.append(Target(name, target.chain, target.source))
    return named
