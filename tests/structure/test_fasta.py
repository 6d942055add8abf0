"""`protcontact.structure.fasta`."""

import pytest

from protcontact.errors import InputError
from protcontact.structure.fasta import read_fasta, read_records
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


def test_unusable_records_do_not_hide_the_others(tmp_path):
    path = write(tmp_path, ">a x\nac:d*\n>b\nAC1\n>\nAC\n>c\n>a\nGG\n>d\nAC::D\n>e\nAC:D:\n")
    records = read_records(path, ":")
    assert [(record.id, record.chains) for record in records] == [
        ("a", ("AC", "D")),
        ("b", ()),
        ("line 5", ()),
        ("c", ()),
        ("a", ("GG",)),  # a second of this name is left to the caller
        ("d", ()),
        ("e", ()),
    ]
    told = {record.id: record.problem for record in records if record.problem}
    assert "illegal letter '1' at position 3" in told["b"]
    assert "without an id" in told["line 5"]
    assert all("has no residues" in told[name] for name in "cde")
    assert [record.problem for record in records if record.chains] == ["", ""]


@pytest.mark.parametrize(("text", "message"), [("", "no FASTA record"), ("AC\n", "comes before")])
def test_records_of_what_is_no_fasta_file(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_records(write(tmp_path, text), ":")


def test_the_separator_of_records_is_illegal_elsewhere(tmp_path):
    with pytest.raises(InputError, match="illegal letter ':'"):
        read_fasta(write(tmp_path, ">a\nAC:D\n"))
