import gzip
import re

import pytest

from protcontact.data.synthetic import write
from protcontact.data.synthetic.code import HYDROPHOBIC
from protcontact.data.synthetic.write import SynthOptions, draw_chain, truth_rows, write_folds
from protcontact.errors import InputError
from protcontact.structure.contacts import contact_map
from protcontact.structure.read import read_chains

OPTIONS = SynthOptions(chains=12, length=(50, 70), seed=3)


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "set"
    write_folds(OPTIONS, folder)
    return folder


def rows(folder):
    head, *body = (folder / "truth.tsv").read_text().splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in body]


def test_every_chain_is_there_in_both_formats_and_some_gzipped(written):
    names = [path.name for path in sorted((written / "structures").iterdir())]
    assert [name[:11] for name in names] == [f"synth_{k:05d}" for k in range(1, 13)]
    assert {re.search(r"\.(cif|pdb)", name).group(1) for name in names} == {"cif", "pdb"}
    assert 0 < sum(name.endswith(".gz") for name in names) < 12


def test_equal_options_give_equal_bytes_and_other_seeds_do_not(written, tmp_path):
    write_folds(OPTIONS, tmp_path / "again")
    assert content(tmp_path / "again") == content(written)
    write_folds(SynthOptions(chains=12, length=(50, 70), seed=4), tmp_path / "other")
    assert content(tmp_path / "other") != content(written)


def test_a_chain_does_not_depend_on_how_many_are_made(written, tmp_path):
    write_folds(SynthOptions(chains=3, length=(50, 70), seed=3), tmp_path / "few")
    few, many = content(tmp_path / "few"), content(written)
    names = [name for name in few if name.startswith("structures/")]
    assert len(names) == 3 and all(few[name] == many[name] for name in names)


def test_gzipped_files_hold_no_time_of_day(written):
    path = next((written / "structures").glob("*.gz"))
    assert path.read_bytes()[4:8] == b"\0\0\0\0"
    assert gzip.decompress(path.read_bytes()).startswith((b"HEADER", b"data_"))


def test_truth_names_strands_that_are_in_contact_in_the_files(written):
    for row in rows(written):
        (chain,) = read_chains(written / row["file"])
        assert chain.id == row["id"] and len(chain) == int(row["length"])
        a, b, c, d = (int(row[k]) for k in ("first_1", "last_1", "first_2", "last_2"))
        assert int(row["separation_min"]) == c - b and int(row["separation_max"]) == d - a
        block = contact_map(chain)[a - 1 : b, c - 1 : d]
        assert (block == 1).sum() >= min(b - a, d - c) - 1
        # parallel strands have contacts along the diagonal, antiparallel ones across it
        along = sum((block == 1).diagonal(k).sum() for k in range(-1, 2))
        across = sum((block == 1)[::-1].diagonal(k).sum() for k in range(-1, 2))
        assert row["direction"] in ("parallel", "antiparallel")
        if abs(int(along) - int(across)) > 4:
            assert (along > across) == (row["direction"] == "parallel")


def test_some_ends_are_unresolved_and_no_strand_is(written):
    unresolved = 0
    for path in (written / "structures").iterdir():
        (chain,) = read_chains(path)
        gone = chain.report.unresolved
        unresolved += bool(gone)
        assert all(k < 4 or k >= len(chain) - 4 for k in gone)
    assert 0 < unresolved < 12
    for row in rows(written):
        (chain,) = read_chains(written / row["file"])
        assert chain.resolved[int(row["first_1"]) - 1 : int(row["last_1"])].all()


def test_readme_says_that_it_is_synthetic_and_how_it_was_made(written):
    text = (written / "README.md").read_text()
    assert "SYNTHETIC" in text and HYDROPHOBIC in text
    assert "synth --chains 12 --length 50 70 --seed 3 --format mixed" in text


def test_format_decides_the_files():
    for name, suffix in (("mmcif", ".cif"), ("pdb", ".pdb")):
        options = SynthOptions(chains=4, length=(50, 60), format=name)
        assert {draw_chain(options, k)[2][0] for k in range(4)} == {suffix}


def test_planted_separations_stand_in_the_truth():
    options = SynthOptions(length=(150, 170), separation=100, seed=1)
    chain, fold, _, _ = draw_chain(options, 0)
    found = [int(row.split("\t")[-2]) for row in truth_rows(chain, fold, "x.cif")]
    assert max(found) >= 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chains": 0}, "--chains must be 1 or more, not 0"),
        ({"seed": -1}, "--seed must be 0 or more, not -1"),
        ({"length": (20, 60)}, "--length must be MIN MAX with 40"),
        ({"length": (80, 60)}, "not 80 60"),
        ({"length": (60, 9000)}, "not 60 9000"),
        ({"format": "xyz"}, "--format must be one of mmcif, pdb, mixed, not xyz"),
        ({"separation": 2}, "--separation must be between 6 and 1000 residues, not 2"),
        ({"separation": 1001, "length": (1100, 1200)}, "not 1001"),
        ({"separation": 100}, "has no room for --separation 100; use --length 140 or more"),
    ],
)
def test_options_out_of_range_are_refused(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        SynthOptions(**changes)


def test_a_folder_that_is_not_empty_is_refused_unless_overwriting(tmp_path):
    options = SynthOptions(chains=1, length=(50, 60))
    write_folds(options, tmp_path / "set")
    with pytest.raises(InputError, match="is not empty; choose another, or add --overwrite"):
        write_folds(options, tmp_path / "set")
    write_folds(SynthOptions(chains=2, length=(50, 60), seed=9), tmp_path / "set", overwrite=True)
    assert len(list((tmp_path / "set" / "structures").iterdir())) == 2


def test_overwriting_never_touches_what_is_not_a_set(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=re.escape("holds thesis.txt")):
        write_folds(SynthOptions(chains=1), tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_folds(SynthOptions(chains=1), tmp_path / "file" / "set")


def test_an_interrupted_set_has_no_half_files_and_no_truth(tmp_path, monkeypatch):
    calls = []

    def stop_at_third(options, number):
        calls.append(number)
        if number == 2:
            raise KeyboardInterrupt
        return draw_chain(options, number)

    monkeypatch.setattr(write, "draw_chain", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        write_folds(OPTIONS, tmp_path / "set")
    assert not (tmp_path / "set" / "truth.tsv").exists()
    for path in (tmp_path / "set" / "structures").iterdir():
        assert len(read_chains(path)) == 1
    assert calls == [0, 1, 2]
