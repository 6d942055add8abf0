"""In which format is a file? Its content decides, never its name."""

import gzip
import re
import zlib
from enum import Enum


class Format(Enum):
    """What a structure file may be written in."""

    BINARY_CIF = "BinaryCIF"
    MMCIF = "mmCIF"
    PDB = "PDB"


_GZIP = b"\x1f\x8b"
_OTHER_ARCHIVES = {
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x9d": "compress (.Z)",
}
_AFTER_COMMENTS = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s+|#[^\n]*\n)*")
_PDB_RECORDS = (b"ATOM  ", b"HETATM", b"HEADER", b"SEQRES", b"REMARK", b"MODEL ", b"CRYST1")


def decompress(content: bytes) -> bytes:
    """Undo gzip if the content begins like it.

    Raises:
        ValueError: If the content is compressed in another way, damaged or cut short.
    """
    for magic, kind in _OTHER_ARCHIVES.items():
        if content.startswith(magic):
            raise ValueError(f"it is compressed with {kind}; unpack it, or compress it with gzip")
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"its gzip stream is damaged or cut short ({error})") from error


def detect(content: bytes) -> Format:
    """Tell the format of uncompressed content.

    BinaryCIF is a MessagePack map, mmCIF begins with a ``data_`` block after comments, and a PDB
    file has lines that begin with PDB record names.

    Raises:
        ValueError: If it is none of the three.
    """
    if not content.strip():
        raise ValueError("it is empty")
    if 0x80 <= content[0] <= 0x8F or content[0] in (0xDE, 0xDF):
        return Format.BINARY_CIF
    start = _AFTER_COMMENTS.match(content)
    if start is not None and content[start.end() : start.end() + 5].lower() == b"data_":
        return Format.MMCIF
    if any(content.startswith(name) or b"\n" + name in content for name in _PDB_RECORDS):
        return Format.PDB
    raise ValueError("it is neither PDB nor mmCIF nor BinaryCIF")
