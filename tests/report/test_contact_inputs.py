"""FASTA records, complexes and structures become what is to be predicted, or a reason."""

import pytest

from protcontact.errors import InputError
from protcontact.report.contact_inputs import read_wanted, stems
from tests.data.files import dimer_text, pdb_text


def fasta(tmp_path, text, name="x.fasta"):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_chains_are_joined_and_numbered_each_from_1(tmp_path):
    source = fasta(tmp_path, ">one\nACD\n>two\nAC:DEF:G\n")
    wanted, failed = read_wanted([source], [], tmp_path)
    assert failed == []
    one, two = wanted
    assert (one.chains, one.is_complex, one.chain_of.tolist()) == (("ACD",), False, [0, 0, 0])
    assert (two.chains, two.is_complex) == (("AC", "DEF", "G"), True)
    assert two.chain_of.tolist() == [0, 0, 1, 1, 1, 2]
    assert two.target.chain.sequence == "ACDEFG"
    assert two.target.chain.numbering == ("1", "2", "1", "2", "3", "1")
    assert not two.target.has_truth


def test_a_bad_record_is_named_and_the_others_are_there(tmp_path):
    source = fasta(tmp_path, ">one\nAC1\n>two\nACD\n>three\n")
    wanted, failed = read_wanted([source], [], tmp_path)
    assert [item.target.name for item in wanted] == ["two"]
    assert [(bad.name, bad.source) for bad in failed] == [("one", source), ("three", source)]
    assert "illegal letter '1'" in failed[0].reason


def test_structures_bring_their_truth(tmp_path):
    (tmp_path / "s.pdb").write_text(pdb_text("ACDEFGHIKL"))
    (tmp_path / "broken.cif").write_text("")
    sources = [str(tmp_path / "s.pdb"), str(tmp_path / "broken.cif")]
    [wanted], [bad] = read_wanted([], sources, tmp_path)
    assert wanted.chains == ("ACDEFGHIKL",)
    assert wanted.target.has_truth
    assert bad.name == "broken"


def test_no_two_inputs_write_one_file(tmp_path):
    text = ">a\nAC\n>A\nACD\n>a\nAC:D\n>b\nAC:D\n>b.inter\nACD\n>c/d\nAC\n>c_d\nAC\n"
    wanted, _ = read_wanted([fasta(tmp_path, text)], [], tmp_path)
    names = [item.target.name for item in wanted]
    assert names == ["a", "A-2", "a-3", "b", "b.inter-2", "c_d", "c_d-2"]
    files = [stem for item in wanted for stem in stems(item.target.name, item.is_complex)]
    assert len({file.lower() for file in files}) == len(files)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"absent\.fasta"):
        read_wanted([str(tmp_path / "absent.fasta")], [], tmp_path)


def test_chains_of_a_structure_are_one_if_asked(tmp_path):
    (tmp_path / "two.pdb").write_text(dimer_text("ACDEFGHIKL", "MNPQRST"))
    (tmp_path / "one.pdb").write_text(pdb_text("ACDEFGHIKL"))
    sources = [str(tmp_path / "two.pdb"), str(tmp_path / "one.pdb")]
    apart, _ = read_wanted([], sources, tmp_path)
    assert [item.target.name for item in apart] == ["one_A", "two_A", "two_B"]
    (one, two), failed = read_wanted([], sources, tmp_path, join=True)
    assert failed == []
    assert (two.target.name, one.target.name) == ("two", "one_A")
    assert two.chains == ("ACDEFGHIKL", "MNPQRST") and two.is_complex and not two.is_shown
    assert two.chain_of.tolist() == [0] * 10 + [1] * 7
    whole = two.target.chain
    assert whole.sequence == "ACDEFGHIKLMNPQRST"
    alone, a, b = (item.target.chain for item in apart)
    assert whole.numbering == a.numbering + b.numbering
    assert (whole.coordinates[:10] == a.coordinates).all()
    assert (whole.coordinates[10:] == b.coordinates).all()
    assert one.is_shown and one.target.chain.id == alone.id
