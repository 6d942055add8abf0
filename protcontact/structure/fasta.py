"""Sequences from a FASTA file.

A record is ``>id description`` and lines of letters, upper or lower case; the id is the first word.
A ``*`` at the end (a stop codon) is dropped, blanks within lines are ignored. Gzip is recognised by
content. What cannot be a protein sequence is refused with the record and the place.
"""

from dataclasses import dataclass
from pathlib import Path

from protcontact.errors import InputError
from protcontact.structure.alphabet import AMBIGUOUS, LETTERS
from protcontact.structure.formats import decompress

_LEGAL = frozenset(LETTERS + AMBIGUOUS)


@dataclass(frozen=True)
class FastaRecord:
    """One record, usable or not.

    Attributes:
        id: First word; ``line N`` where there is none.
        chains: Upper-case sequences; empty if the record is unusable.
        problem: Why it is; empty otherwise.
    """

    id: str
    chains: tuple[str, ...]
    problem: str = ""


def read_fasta(path: str | Path) -> dict[str, str]:
    """Read a FASTA file.

    Args:
        path: The file, plain or gzipped.

    Returns:
        Upper-case sequence by id, in file order.

    Raises:
        InputError: If the file cannot be read or has no record, or a record has no id, the id of
            another record, no residues or an illegal letter.
    """
    found: dict[str, str] = {}
    for number, record, sequence in _parse(path):
        if not record:
            raise InputError(f"{path}: line {number} has '>' without an id; name the record")
        if record in found:
            raise InputError(f"{path}: line {number} repeats the id {record!r}; ids must differ")
        found[record] = sequence
    return {record: _check(path, record, sequence) for record, sequence in found.items()}


def read_records(path: str | Path, separator: str) -> list[FastaRecord]:
    """Read a FASTA file whose unusable records shall not hide the others.

    Args:
        path: The file, plain or gzipped.
        separator: What stands between the chains of one record.

    Returns:
        Every record in file order, also those that repeat an id. A file that cannot be read or has
        no record is an `InputError`.
    """
    records = []
    for number, name, sequence in _parse(path):
        if not name:
            problem = f"{path}: line {number} has '>' without an id; name the record"
            records.append(FastaRecord(f"line {number}", (), problem))
            continue
        try:
            chains = tuple(_check(path, name, part) for part in sequence.split(separator))
        except InputError as error:
            records.append(FastaRecord(name, (), str(error)))
        else:
            records.append(FastaRecord(name, chains))
    return records


def _parse(path: str | Path) -> list[tuple[int, str, str]]:
    """Line, id (maybe empty) and unchecked upper-case text of each record.

    Raises:
        InputError: If the file cannot be read, has no record, or begins with something else.
    """
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(_read_text(Path(path)).splitlines(), 1):
        if line.startswith(">"):
            words = line[1:].split()
            found.append((number, words[0] if words else "", []))
        elif line.strip():
            if not found:
                raise InputError(
                    f"{path}: line {number} comes before any '>' line; is this a FASTA file?"
                )
            found[-1][2].extend(line.upper().split())
    if not found:
        raise InputError(f"{path}: has no FASTA record; it needs lines '>id' and sequences")
    return [(number, record, "".join(parts)) for number, record, parts in found]


def _read_text(path: Path) -> str:
    try:
        return decompress(path.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{path}: cannot be read ({reason}); give the path of a FASTA file"
        ) from error
    except ValueError as error:  # UnicodeDecodeError is one
        raise InputError(f"{path}: is no text ({error}); give a FASTA file") from error


def _check(path: str | Path, record: str, sequence: str) -> str:
    sequence = sequence.removesuffix("*")
    if not sequence:
        raise InputError(f"{path}: record {record!r} has no residues; remove it or fill it in")
    for position, letter in enumerate(sequence, 1):
        if letter not in _LEGAL:
            raise InputError(
                f"{path}: record {record!r} has illegal letter {letter!r} at position {position}; "
                f"allowed are {LETTERS} and {AMBIGUOUS} (read as X)"
            )
    return sequence
