"""`protcontact.structure.formats`: content decides."""

import bz2
import gzip
import lzma

import pytest

from protcontact.structure.formats import Format, decompress, detect
from tests.structure.builders import peptide, to_bcif, to_mmcif, to_pdb


def test_formats_are_told_by_content():
    atoms = peptide("ACD")
    assert detect(to_pdb(atoms)) is Format.PDB
    assert detect(to_mmcif(atoms)) is Format.MMCIF
    assert detect(to_bcif(to_mmcif(atoms))) is Format.BINARY_CIF


@pytest.mark.parametrize(
    "prefix", [b"\xef\xbb\xbf", b"# made by a program\n#\n", b"\n  \n", b"#\r\n"]
)
def test_mmcif_may_begin_with_comments(prefix):
    assert detect(prefix + b"data_X\n_a.b c\n") is Format.MMCIF
    assert detect(prefix + b"DATA_X\n_a.b c\n") is Format.MMCIF


@pytest.mark.parametrize("content", [b"", b" \n\t\n", b"\r\n"])
def test_empty_content_is_refused(content):
    with pytest.raises(ValueError, match="empty"):
        detect(content)


@pytest.mark.parametrize(
    "content", [b"<html>", b"hello world\n", b"\x00\x01\x02", b"ATOMS of mine"]
)
def test_other_content_is_refused(content):
    with pytest.raises(ValueError, match="neither PDB nor mmCIF nor BinaryCIF"):
        detect(content)


def test_gzip_is_undone_and_plain_content_left_alone():
    assert decompress(gzip.compress(b"abc")) == b"abc"
    assert decompress(gzip.compress(b"abc") + gzip.compress(b"def")) == b"abcdef"
    assert decompress(b"abc") == b"abc"


@pytest.mark.parametrize("cut", [3, 10, 15, -4, -1])
def test_gzip_cut_short_is_refused(cut):
    with pytest.raises(ValueError, match="damaged or cut short"):
        decompress(gzip.compress(b"ATOM" * 1000)[:cut])


def test_gzip_with_a_wrong_checksum_is_refused():
    content = bytearray(gzip.compress(b"ATOM" * 1000))
    content[-6] ^= 1
    with pytest.raises(ValueError, match="damaged or cut short"):
        decompress(bytes(content))


@pytest.mark.parametrize(
    ("content", "kind"),
    [(bz2.compress(b"x"), "bzip2"), (lzma.compress(b"x"), "xz"), (b"PK\x03\x04", "zip")],
)
def test_other_compression_is_named(content, kind):
    with pytest.raises(ValueError, match=kind):
        decompress(content)
