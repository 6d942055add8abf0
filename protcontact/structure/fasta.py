"""Sequences from a FASTA file.

A record is ``>id description`` and lines of letters, upper or lower case; the id is the first word.
A ``*`` at the end (a stop codon) is dropped, blanks within lines are ignored. Gzip is recognised by
content. What cannot be a protein sequence is refused with the record and the place.
"""

from pathlib import Path

from protcontact.errors import InputError
from protcontact.structure.alphabet import AMBIGUOUS, LETTERS
from protcontact.structure.formats import decompress

_LEGAL = frozenset(LETTERS + AMBIGUOUS)


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
    parts: dict[str, list[str]] = {}
    record = ""
    for number, line in enumerate(_read_text(Path(path)).splitlines(), 1):
        if line.startswith(">"):
            words = line[1:].split()
            if not words:
                raise InputError(f"{path}: line {number} has '>' without an id; name the record")
            record = words[0]
            if record in parts:
                raise InputError(
                    f"{path}: line {number} repeats the id {record!r}; ids must differ"
                )
            parts[record] = []
        elif line.strip():
            if not record:
                raise InputError(
                    f"{path}: line {number} comes before any '>' line; is this a FASTA file?"
                )
            parts[record] += line.upper().split()
    if not parts:
        raise InputError(f"{path}: has no FASTA record; it needs lines '>id' and sequences")
    return {record: _check(path, record, "".join(lines)) for record, lines in parts.items()}


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
