"""``protcontact score`` as a user calls it; the numbers are computed in `test_score_file`."""

import re

import pytest

from protcontact.cli import main
from tests.report.test_score_file import LINES, OTHER, hairpin, write_pdb, write_rr_text


def score(prediction, structure, *more):
    words = ["score", "--prediction", prediction, "--structure", structure, *more]
    return main([str(word) for word in words])


def cells(text, name):
    (line,) = [line for line in text.splitlines() if re.search(rf"\b{name} .*prediction", line)]
    return re.findall(r"\d\.\d{3}|nan", line)


def test_the_table_and_what_it_rests_on(tmp_path, capsys):
    assert score(write_rr_text(tmp_path), write_pdb(tmp_path)) == 0
    told = capsys.readouterr().out
    assert "chain s_A, 16 residues, 16 resolved" in told
    assert "16 of its 16 residues are aligned with the chain, 100.0% of them identical" in told
    assert "6 pairs, 6 of them of residues of the chain" in told
    assert re.search(r"short +4 of 45 pairs are listed", told)
    assert re.search(r"long +0 of 0 pairs are listed", told)
    assert "note: short: the file lists 4 of the 16 pairs of P@L" in told
    # P@L, P@L/2, P@L/5, R-precision
    assert cells(told, "short")[:4] == ["0.188", "0.375", "0.667", "0.333"]
    assert cells(told, "medium")[:3] == ["0.600", "0.750", "0.333"]
    assert cells(told, "long")[0] == "nan"


def test_the_table_is_written_where_asked(tmp_path, capsys):
    out = tmp_path / "scores.tsv"
    assert score(write_rr_text(tmp_path), write_pdb(tmp_path), "--chain", "A", "--out", out) == 0
    assert f"written to {out}" in capsys.readouterr().out
    assert out.read_text().startswith("prediction\tstructure\tchain\t")


def test_a_file_without_a_sequence(tmp_path, capsys):
    (tmp_path / "x.rr").write_text(LINES)
    assert score(tmp_path / "x.rr", write_pdb(tmp_path)) == 0
    told = capsys.readouterr().out
    assert "note: the file has no sequence" in told
    assert "identical" not in told


def test_an_rr_file_of_another_protein_is_one_line(tmp_path, capsys):
    assert score(write_rr_text(tmp_path, sequence=OTHER), write_pdb(tmp_path)) == 2
    error = capsys.readouterr().err
    assert error.startswith("protcontact score: error: ")
    assert "is of another protein than" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("flag", [(), ("--allow-ca-only",)])
def test_chains_of_ca_atoms_only_on_request(flag, tmp_path, capsys):
    structure = write_pdb(tmp_path, [a for a in hairpin() if a.name == "CA"])
    assert score(write_rr_text(tmp_path), structure, *flag) == (0 if flag else 2)
    assert ("no usable protein chain" in capsys.readouterr().err) == (not flag)
