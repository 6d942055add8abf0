"""What the user named becomes sequences, or a reason."""

import errno
import gzip
from pathlib import Path

import numpy as np
import pytest

from protcontact.atomic import write_text
from protcontact.data import shards
from protcontact.errors import InputError
from protcontact.report.targets import Unreadable, read_targets
from tests.data.files import pdb_text


def fasta(tmp_path, text, name="x.fasta"):
    path = tmp_path / name
    write_text(path, text)
    return str(path)


def test_fasta_records_have_no_truth(tmp_path):
    source = fasta(tmp_path, ">one first\nACDE\nFG\n>two\nMKV\n")
    targets, failed = read_targets([source], tmp_path)
    assert failed == []
    assert [(t.name, t.chain.sequence, t.has_truth) for t in targets] == [
        ("one", "ACDEFG", False),
        ("two", "MKV", False),
    ]
    assert np.isnan(targets[0].chain.coordinates).all()
    assert targets[1].chain.numbering == ("1", "2", "3")


def test_gzipped_fasta_is_known_by_content(tmp_path):
    path = tmp_path / "anything.dat"
    path.write_bytes(gzip.compress(b">one\nACDE\n"))
    targets, _ = read_targets([str(path)], tmp_path)
    assert targets[0].chain.sequence == "ACDE"


def test_names_become_file_names_that_differ(tmp_path):
    source = fasta(tmp_path, ">sp|P1/x\nACDE\n>sp:P1:x\nACDE\n>../../etc\nACDE\n>SP_P1_X\nAC\n")
    names = [target.name for target in read_targets([source], tmp_path)[0]]
    assert names == ["sp_P1_x", "sp_P1_x-2", "_.._etc", "SP_P1_X-3"]
    assert len({name.lower() for name in names}) == 4


def test_unreadable_structures_are_reasons_not_exceptions(tmp_path):
    (tmp_path / "empty.cif").write_text("")
    (tmp_path / "noise.pdb").write_text("nothing of a structure")
    targets, failed = read_targets([str(tmp_path / "*.cif"), str(tmp_path / "noise.pdb")], tmp_path)
    assert targets == []
    assert {bad.name for bad in failed} == {"empty", "noise"}
    assert all(bad.reason for bad in failed)


@pytest.mark.parametrize(
    ("text", "message"),
    [(">one\nAC1E\n", "1"), (">one\n>two\nACD\n", "one"), (">one\nACD\n>one\nAC\n", "one")],
)
def test_bad_fasta_is_refused_by_name(text, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        read_targets([fasta(tmp_path, text)], tmp_path)
    assert "x.fasta" in str(caught.value)


def test_absent_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="absent"):
        read_targets([str(tmp_path / "absent.fasta")], tmp_path)


@pytest.mark.parametrize("place", [5, 12])
def test_a_damaged_gzip_file_is_a_reason(tmp_path, place):
    content = bytearray(gzip.compress(pdb_text("ACDEFGHIKL").encode()))
    content[place:] = b"\xff" * (len(content) - place)
    (tmp_path / "x.pdb.gz").write_bytes(content)
    targets, (failed,) = read_targets([str(tmp_path / "x.pdb.gz")], tmp_path)
    assert targets == []
    assert (failed.name, failed.source) == ("x", "x.pdb.gz")
    assert "not a readable structure file" in failed.reason


def test_a_file_that_may_not_be_read_is_a_reason(tmp_path, monkeypatch):
    """The superuser may read all, so the refusal is made here and not by the mode of the file."""
    locked = tmp_path / "locked.pdb"
    locked.write_text(pdb_text("ACDEFGHIKL"))
    (tmp_path / "open.pdb").write_text(pdb_text("ACDEFGHIKL"))

    def refusing(real):
        def open_other(file, *arguments, **options):
            if Path(file) == locked:
                raise PermissionError(errno.EACCES, "Permission denied", str(file))
            return real(file, *arguments, **options)

        return open_other

    monkeypatch.setattr("builtins.open", refusing(open))
    monkeypatch.setattr(Path, "open", refusing(Path.open))
    targets, (failed,) = read_targets([str(locked), str(tmp_path / "open.pdb")], tmp_path)
    assert [target.name for target in targets] == ["open_A"]
    assert failed.name == "locked"
    assert "Permission denied" in failed.reason


def test_a_defect_of_a_parser_is_a_reason(tmp_path, monkeypatch):
    def defect(*arguments, **options):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(shards, "read_structure", defect)
    (tmp_path / "x.pdb").write_text("x")
    reason = "reading failed unexpectedly: ZeroDivisionError: oh"
    expected = [Unreadable("x", "x.pdb", reason)]
    assert read_targets([str(tmp_path / "x.pdb")], tmp_path) == ([], expected)


def dna_text(chain: str) -> str:
    return "".join(f"SEQRES   1 {chain}    3  {names}\n" for names in [" DA  DC  DG"])


def ca_only_text(chain: str) -> str:
    lines = pdb_text("ACDEFGHIKL", chain).splitlines(keepends=True)
    return "".join(line for line in lines if line[:4] != "ATOM" or " CA " in line)


def test_dna_beside_a_protein_is_no_failure(tmp_path):
    (tmp_path / "x.pdb").write_text(dna_text("B") + pdb_text("ACDEFGHIKL"))
    targets, failed = read_targets([str(tmp_path / "x.pdb")], tmp_path)
    assert [target.name for target in targets] == ["x_A"]
    assert failed == []


def test_a_protein_that_cannot_be_used_beside_another_is_a_failure(tmp_path):
    text = dna_text("B") + pdb_text("ACDEFGHIKL").replace("END\n", "") + ca_only_text("C")
    (tmp_path / "x.pdb").write_text(text)
    targets, failed = read_targets([str(tmp_path / "x.pdb")], tmp_path)
    assert [target.name for target in targets] == ["x_A"]
    assert [(bad.name, "only CA" in bad.reason) for bad in failed] == [("x_C", True)]


def test_dna_alone_is_a_failure(tmp_path):
    water = "HETATM    1  O   HOH W   1       0.000   0.000   0.000  1.00  0.00           O\nEND\n"
    (tmp_path / "x.pdb").write_text(dna_text("B") + water)
    targets, failed = read_targets([str(tmp_path / "x.pdb")], tmp_path)
    assert targets == []
    assert [(bad.name, bad.reason) for bad in failed] == [("x_B", "nucleic acid")]
