"""``protcontact contacts`` as a user calls it."""

import numpy as np
import pytest

from protcontact.cli import main
from tests.data.files import dimer_text, pdb_text, random_sequence
from tests.models.pretrained.small import small_file


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return small_file(tmp_path_factory.mktemp("model") / "esm2.safetensors")


@pytest.fixture
def call(checkpoint, tmp_path):
    (tmp_path / "x.fasta").write_text(
        f">one\n{random_sequence(30, 1)}\n>two\n{random_sequence(12, 2)}:{random_sequence(9, 2)}\n"
    )

    def run(*more, fasta="x.fasta", file=checkpoint):
        words = ["contacts", "--checkpoint", file, "--out", tmp_path / "out"]
        given = ["--fasta", tmp_path / fasta] if fasta else []
        return main([str(word) for word in (*words, *given, *more)])

    return run


def report(tmp_path):
    lines = (tmp_path / "out" / "report.tsv").read_text().splitlines()
    head, *rows = (line.split("\t") for line in lines)
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def test_sequences_and_complexes(call, tmp_path, capsys):
    assert call() == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("one.rr", "one.npz", "one.png"),
        *("two.intra.rr", "two.inter.rr", "two.npz", "two.png"),
        "report.tsv",
    }
    assert "2 maps predicted, files in" in capsys.readouterr().out
    rows = report(tmp_path)
    assert (rows["one"]["inter_top_l"], rows["two"]["chains"]) == ("", "2")
    assert 0 < float(rows["two"]["inter_top_l"]) < 1


def test_the_same_command_goes_on(call, tmp_path, capsys):
    call()
    first = (tmp_path / "out" / "report.tsv").read_text()
    assert call() == 0
    assert "2 maps predicted, 2 of them were there" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.tsv").read_text() == first
    call("--gap", "100")
    assert "2 maps predicted, 1 of them were there" in capsys.readouterr().out
    call("--overwrite")
    assert "were there" not in capsys.readouterr().out


def test_linker_and_gap_differ_and_exclude_each_other(call, tmp_path):
    found = []
    for more in ((), ("--linker", "25"), ("--linker", "3"), ("--gap", "200"), ("--linker", "0")):
        assert call(*more) == 0
        found.append(np.load(tmp_path / "out" / "two.npz")["scores"])
    np.testing.assert_array_equal(found[0], found[1])
    for a in range(1, 5):
        assert all(np.abs(found[a] - found[b]).max() > 1e-4 for b in range(a + 1, 5))
    with pytest.raises(SystemExit):
        call("--linker", "3", "--gap", "2")


def test_the_rest_goes_on_when_records_are_broken(call, tmp_path, capsys):
    text = ">bad\nAC1D\n>good\nACDEFGHIK\n>empty\n>j\nACJ\n>single\nM\n>half\nACD:\n"
    (tmp_path / "y.fasta").write_text(text)
    assert call(fasta="y.fasta") == 1
    rows = report(tmp_path)
    assert {name for name, row in rows.items() if row["problem"]} == {"bad", "empty", "j", "half"}
    assert "illegal letter '1' at position 3" in rows["bad"]["problem"]
    assert (tmp_path / "out" / "single.rr").is_file()
    told = capsys.readouterr().out
    assert "2 maps predicted" in told
    assert "4 without prediction" in told


def test_structures_are_scored_and_shown(call, tmp_path):
    (tmp_path / "s.pdb").write_text(pdb_text("ACDEFGHIKLMNPQRSTVWY"))
    assert call("--input", tmp_path / "s.pdb", fasta="") == 0
    [name] = report(tmp_path)
    assert (tmp_path / "out" / f"{name}.pml").is_file()
    assert (tmp_path / "out" / f"{name}.cxc").is_file()
    assert report(tmp_path)[name]["short/candidates"] != ""


def test_a_complex_with_its_truth(call, tmp_path):
    (tmp_path / "d.pdb").write_text(dimer_text("ACDEFGHIKLMNPQ", "RSTVWYACDE"))
    (tmp_path / "s.pdb").write_text(pdb_text("ACDEFGHIKLMNPQ"))
    sources = "--input", tmp_path / "d.pdb", tmp_path / "s.pdb"
    assert call(*sources, "--complex", fasta="") == 0
    rows = report(tmp_path)
    assert set(rows) == {"d", "s_A"}
    assert rows["d"]["inter/positives"] != "" and rows["s_A"]["inter/positives"] == ""
    assert rows["d"]["chains"] == "2" and rows["s_A"]["short/candidates"] != ""
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"d.intra.rr", "d.inter.rr", "d.npz", "d.png", "s_A.pml"} <= written
    assert "d.pml" not in written


def test_windows_are_told(call, tmp_path, capsys):
    assert call("--tile", "20", "--overlap", "10") == 0
    assert "2 of them in windows, far pairs left out; windows are apart by up to" in (
        capsys.readouterr().out
    )
    row = report(tmp_path)["one"]
    assert row["tiles"] == "2"
    assert 0 < float(row["seam_mean"]) <= float(row["seam_largest"])


def test_learned_positions(call, tmp_path, capsys):
    file = small_file(tmp_path / "esm1b.safetensors", positions=26)
    assert call(file=file) == 0
    assert report(tmp_path)["one"]["tiles"] == "2"
    capsys.readouterr()
    for more, named in ((("--gap", "9"), "rotary"), (("--tile", "25"), "--tile 24 or less")):
        assert call(*more, file=file) == 2
        error = capsys.readouterr().err
        assert error.startswith("protcontact contacts: error: ")
        assert named in error


def test_a_memory_that_is_too_small_is_said_quickly(call, tmp_path):
    (tmp_path / "y.fasta").write_text(f">titin\n{'ACDEFGHIKL' * 3000}\n>a\nACDEF\n")
    assert call("--memory", "0.5", fasta="y.fasta") == 1
    rows = report(tmp_path)
    assert "30000 residues need" in rows["titin"]["problem"]
    assert "0.5 GB are free" in rows["titin"]["problem"]
    assert rows["a"]["problem"] == ""


def test_half_precision(call):
    assert call("--dtype", "bfloat16", "--pairs", "1") == 0


@pytest.mark.parametrize(
    "more",
    [("--tile", "0"), ("--overlap", "-1"), ("--pairs", "x"), ("--memory", "inf"), ("--memory", "a")]
    + [("--gap", "0"), ("--dtype", "float64")],
)
def test_senseless_numbers_are_refused(more, call, capsys):
    with pytest.raises(SystemExit) as stopped:
        call(*more)
    assert stopped.value.code == 2
    assert more[0] in capsys.readouterr().err


def test_nothing_to_predict(call, tmp_path, capsys):
    assert call(fasta="") == 2
    assert "give --fasta or --input" in capsys.readouterr().err
    (tmp_path / "y.fasta").write_text(">a\nAC1\n")
    assert call(fasta="y.fasta") == 2
    assert "illegal letter '1'" in capsys.readouterr().err


def test_a_model_without_regression_or_of_another_kind(call, tmp_path, capsys):
    file = small_file(tmp_path / "bare.safetensors", regression=False)
    assert call(file=file) == 2
    assert "fit-regression" in capsys.readouterr().err
    assert call(file=tmp_path / "x.fasta") == 2
    assert "protcontact import" in capsys.readouterr().err
    assert call("--device", "abacus") == 2
    assert "--device abacus cannot be used" in capsys.readouterr().err
