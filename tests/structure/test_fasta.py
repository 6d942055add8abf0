"""`protcontact.structure.fasta`."""

import pytest

from protcontact.errors import InputError
from protcontact.structure.fasta import read_fasta
from tests.structure.builders import gzipped


def write(tmp_path, text):
    path = tmp_path / "x.fasta"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_records_in_order_with_the_first_word_as_id(tmp_path):
    path = write(tmp_path, ">b second first\nACD\nEF\n\n>a\nGG\n")
    assert list(read_fasta(path).items()) == [("b", "ACDEF"), ("a", "GG")]


def test_lower_case_stop_codon_blanks_and_line_endings(tmp_path):
    assert read_fasta(write(tmp_path, ">a\r\nac d\r\nefX*\r\n")) == {"a": "ACDEFX"}


def test_gzip_and_byte_order_mark(tmp_path):
    assert read_fasta(write(tmp_path, gzipped(b"\xef\xbb\xbf>a\nACD\n"))) == {"a": "ACD"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no FASTA record"),
        ("\n\n", "no FASTA record"),
        ("ACD\n", "line 1 comes before any '>'"),
        (">a\n", "record 'a' has no residues"),
        (">a\n*\n", "record 'a' has no residues"),
        (">a\n>b\nACD\n", "record 'a' has no residues"),
        (">\nACD\n", "line 1 has '>' without an id"),
        (">a\nACD\n>a x\nAC\n", "line 3 repeats the id 'a'"),
        (">a\nAC1D\n", "record 'a' has illegal letter '1' at position 3"),
        (">a\nAC\nD-\n", "'-' at position 4"),
        (">a\nAC*D\n", r"'\*' at position 3"),
        (b"\x1f\x8b\x08broken", "is no text"),
        (b">a\n\xff\xfe\n", "is no text"),
    ],
)
def test_what_is_no_fasta_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"x\.fasta.*{message}"):
        read_fasta(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_fasta(tmp_path / "absent.fasta")
