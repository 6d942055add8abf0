"""Which files did the user mean by folders, globs, archives and file names?

Every regular file that is not hidden (no leading dot) becomes one `Input`, in an order that depends
on file names only. Members of a plain tar archive are read in place, by offset; a compressed one
is unpacked once, to a plain tar. Files of folders and archives whose names are not those of
structure files stay in the list, with the problem stated, so that every file is accounted for.
"""

import bz2
import glob
import gzip
import lzma
import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from protcontact.errors import InputError

_STRUCTURE = re.compile(r"\.(pdb\d*|ent|cif|mmcif|pdbx|bcif)(\.gz)?$", re.IGNORECASE)
_ARCHIVE = re.compile(r"\.(tar|tar\.gz|tgz|tar\.xz|txz|tar\.bz2|tbz2?)$", re.IGNORECASE)
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_ENDINGS = ".pdb, .ent, .cif, .mmcif or .bcif (or these and .gz)"
_NOT_A_STRUCTURE = f"its name does not end in {_ENDINGS}"


@dataclass(frozen=True)
class Input:
    """One file to read chains from, on disk or inside a plain tar archive.

    Attributes:
        entry: Name of the structure, unique among the inputs; chain ids begin with it.
        name: What the user sees: path as given, or ``archive/member``.
        source: The same without the machine's folders: file name, or ``archive/member``.
        file: Absolute path of what holds the bytes.
        size: Number of bytes.
        offset: Where they begin.
        modified: When `file` was last modified (of a member: its archive), in nanoseconds.
        problem: Why it cannot be read; empty if nothing is known against it.
    """

    entry: str
    name: str
    source: str
    file: str
    size: int = 0
    offset: int = 0
    modified: int = 0
    problem: str = ""

    def read(self) -> bytes:
        """Return the content.

        Raises:
            InputError: If the file ends early.
        """
        with open(self.file, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise InputError(f"the file ends after {len(content)} of {self.size} bytes")
        return content


def find_inputs(sources: Sequence[str], spool: Path, leave_out: Path | None = None) -> list[Input]:
    """List the inputs in a deterministic order, each file once.

    Args:
        sources: Folders (searched recursively), glob patterns, tar archives, files.
        spool: Folder for unpacked archives; made when needed.
        leave_out: A folder that is not searched (the output, if it lies inside a source).

    Returns:
        Inputs sorted by file name, with unique entry names.

    Raises:
        InputError: If a source does not exist or nothing was found.
    """
    hidden = leave_out.resolve() if leave_out else None
    found: list[Input] = []
    for source in sources:
        paths = [source] if os.path.lexists(source) else sorted(glob.glob(source, recursive=True))
        if not paths:
            raise InputError(f"{source} is no file, folder or pattern that matches anything")
        for path in paths:
            found += _expand(Path(path), spool, hidden)
    if not found:
        raise InputError(
            f"no files found in {', '.join(sources)}; give structure files, which end in "
            f"{_ENDINGS}, or tar archives of them"
        )
    found.sort(key=lambda one: (_file_name(one), one.source, one.file, one.offset, one.problem))
    distinct: dict[tuple[str, int], Input] = {}
    for one in found:
        distinct.setdefault((one.file, one.offset), one)
    return _with_entries([*distinct.values()])


def entry_stem(file_name: str) -> str:
    """``1abc.cif.gz -> 1abc``: the file name without what says that it is a structure."""
    return _STRUCTURE.sub("", file_name) or file_name


def _with_entries(inputs: list[Input]) -> list[Input]:
    """Name entries: the stem; the full file name where stems collide; then ``~2``, ``~3``."""
    stems = Counter(entry_stem(_file_name(one)) for one in inputs)
    used: set[str] = set()
    named = []
    for one in inputs:
        file_name = _file_name(one)
        stem = entry_stem(file_name)
        base = entry = _printable(stem if stems[stem] == 1 else file_name)
        number = 1
        while entry in used:
            number += 1
            entry = f"{base}~{number}"
        used.add(entry)
        named.append(replace(one, entry=entry))
    return named


def _expand(path: Path, spool: Path, leave_out: Path | None) -> Iterator[Input]:
    if path.is_dir():
        yield from _walk(path, spool, leave_out)
    elif path.is_file() and _ARCHIVE.search(path.name):
        yield from _members(path, spool)
    else:
        yield _from_file(path)


def _walk(folder: Path, spool: Path, leave_out: Path | None) -> Iterator[Input]:
    unreadable: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and Path(place, name).resolve() != leave_out
        ]
        for name in names:
            path = Path(place, name)
            if name.startswith("."):
                continue
            if path.is_file() and _ARCHIVE.search(name):
                yield from _members(path, spool)
            elif _STRUCTURE.search(name):
                yield _from_file(path)
            else:
                yield replace(_from_file(path), problem=_NOT_A_STRUCTURE)
    for error in unreadable:
        path = Path(error.filename)
        yield replace(_from_file(path), problem=f"cannot be searched: {error.strerror}")


def _from_file(path: Path) -> Input:
    absolute = path.resolve()
    state = absolute.stat() if absolute.is_file() else None
    return Input(
        entry="",
        name=_printable(str(path), spaces=True),
        source=_printable(path.name, spaces=True),
        file=str(absolute),
        size=state.st_size if state else 0,
        modified=state.st_mtime_ns if state else 0,
        problem="" if state else "not a regular file, or a link that leads nowhere",
    )


def _members(path: Path, spool: Path) -> Iterator[Input]:
    """List the files of an archive.

    Yields:
        Members; of a damaged archive those before the damage, and the archive with its problem.
    """
    whole = _from_file(path)
    if whole.problem:
        yield whole
        return
    try:
        plain, damage = _unpacked(path, spool)
        with tarfile.open(plain, "r:") as archive:
            for member in archive:
                if not member.isdir() and not Path(member.name).name.startswith("."):
                    yield _from_member(whole, plain, member)
            damage = damage or _damaged_header(plain, archive.offset)
    except (tarfile.TarError, PermissionError) as error:
        damage = first_line(error)
    if damage:
        yield replace(whole, problem=f"damaged archive, what follows is lost: {damage}")


def _damaged_header(plain: Path, end: int) -> str:
    """Say what ends an archive where `tarfile` found no further member; ``""`` if that is its end.

    `tarfile` takes a header that it cannot read for the end, unless it is the first one.
    """
    with plain.open("rb") as file:
        file.seek(end)
        block = file.read(tarfile.BLOCKSIZE)
    if not any(block) and len(block) in (0, tarfile.BLOCKSIZE):
        return ""
    return f"no header of a member at byte {end:,}"


def first_line(error: BaseException) -> str:
    """First line of an exception, or its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _from_member(whole: Input, plain: Path, member: tarfile.TarInfo) -> Input:
    problem = ""
    if not member.isreg() or member.issparse():
        problem = "a link, a device or a sparse file inside an archive"
    elif not _STRUCTURE.search(member.name):
        problem = _NOT_A_STRUCTURE
    label = _printable(os.path.normpath(member.name), spaces=True)
    return Input(
        entry="",
        name=f"{whole.name}/{label}",
        source=f"{whole.source}/{label}",
        file=str(plain.resolve()),
        size=member.size if member.isreg() else 0,
        offset=member.offset_data,
        modified=whole.modified,
        problem=problem,
    )


def _unpacked(path: Path, spool: Path) -> tuple[Path, str]:
    """Return a plain tar with the same content, and what damage was met on the way."""
    with path.open("rb") as file:
        magic = file.read(6)
    opener = next((value for key, value in _OPENERS.items() if magic.startswith(key)), None)
    if opener is None:
        return path, ""
    spool.mkdir(parents=True, exist_ok=True)
    state = path.stat()
    plain = spool / f"{path.name}-{state.st_ino}-{state.st_mtime_ns}.tar"
    if plain.exists():  # of a run that was killed; a damaged one has another name
        return plain, ""
    part = plain.with_suffix(".part")
    damage = ""
    with opener(path) as packed, part.open("wb") as out:
        try:
            while piece := packed.read1(1 << 20):  # not read(): it drops what precedes damage
                out.write(piece)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            damage = first_line(error)
    return part.replace(plain.with_suffix(".damaged") if damage else plain), damage


def _file_name(one: Input) -> str:
    return one.source.rsplit("/", 1)[-1]


def _printable(text: str, spaces: bool = False) -> str:
    """Replace what would break a table or a FASTA header: controls, undecodable bytes, blanks."""
    return "".join(
        letter if letter.isprintable() and (spaces or not letter.isspace()) else "_"
        for letter in text
    )
