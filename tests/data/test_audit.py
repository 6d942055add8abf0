"""A planted leak is found, and every held-out chain is accounted for."""

from pathlib import Path

import pytest

from protcontact.data.audit import Nearest, _nearest, audit
from protcontact.data.homology import Hit, MMseqs, Threshold
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.splits import SplitOptions, split
from protcontact.data.store import ChainStore
from protcontact.errors import InputError
from tests.data.families import families
from tests.data.test_splits import data_set


@pytest.fixture(scope="module")
def mmseqs() -> MMseqs:
    return MMseqs()


def planted(folder: Path, **moved: str) -> Path:
    """All in training but the strangers, and what is moved."""
    chains = families()
    data_set(folder, chains)
    rows = [
        Assignment(name, moved.get(name, "val" if name[0] == "s" else "train"), name, len(text))
        for name, text in chains.items()
    ]
    write_assignments(folder / "splits.tsv", rows)
    return folder


@pytest.mark.parametrize("member", ["half1", "fragment", "twin"])
def test_a_planted_leak_is_found(tmp_path, mmseqs, member):
    folder = planted(tmp_path / "data", **{f"f4_{member}": "test"})
    report = audit(folder, Threshold(), mmseqs)
    (leak,) = report.leaks
    assert leak.id == f"f4_{member}"
    assert leak.nearest.startswith("f4_")
    assert f"leak: f4_{member}\ttest\tf4_" in str(report)
    assert "1 of 13 chains have a homologue in training" in str(report)


def test_every_held_out_chain_has_a_line(tmp_path, mmseqs):
    folder = planted(tmp_path / "data", f4_twin="test")
    audit(folder, Threshold(), mmseqs)
    lines = (folder / "audit.tsv").read_text().splitlines()
    assert lines[0] == "id\tsplit\tnearest\tidentity\tcoverage"
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in lines[1:]}
    assert set(rows) == {"f4_twin", *(f"s{number}_A" for number in range(12))}
    assert rows["f4_twin"] == ["test", "f4_first", "1.000", "1.000"]
    assert rows["s0_A"] == ["val", "", "", ""]


def test_a_higher_threshold_forgives(tmp_path, mmseqs):
    folder = planted(tmp_path / "data", f4_half1="test")
    report = audit(folder, Threshold(identity=0.8), mmseqs)
    assert report.leaks == ()
    row = next(row for row in report.rows if row.id == "f4_half1")
    assert 0.35 < row.identity < 0.65


def test_excluded_chains_neither_leak_nor_count(tmp_path, mmseqs):
    folder = planted(tmp_path / "data", f4_twin="excluded")
    report = audit(folder, Threshold(), mmseqs)
    assert report.leaks == ()
    assert len(report.rows) == 12


def test_the_histogram_counts_every_chain_once(tmp_path, mmseqs):
    folder = planted(tmp_path / "data", f4_twin="val", f3_half1="val")
    text = str(audit(folder, Threshold(), mmseqs))
    counts = [int(line.split()[1]) for line in text.splitlines() if line.startswith("  ")]
    assert sum(counts) == 14
    assert counts[0] == 12
    assert counts[-1] == 1  # the twin, in the last bin, which includes 1


def test_the_nearest_covers_first_and_is_then_the_most_identical():
    hits = [
        Hit(0, 0, 1.0, 0.2, 20),
        Hit(0, 1, 0.25, 0.9, 90),
        Hit(0, 2, 0.28, 0.8, 80),
        Hit(0, 3, 0.28, 0.9, 79),
        Hit(1, 0, 1.0, 0.2, 20),
        Hit(1, 1, 0.5, 0.7, 70),
    ]
    assert _nearest(hits, Threshold()) == {0: hits[2], 1: hits[5]}
    assert Nearest("a", "test").line() == "a\ttest\t\t\t"


def test_refuses_splits_of_other_chains(tmp_path, mmseqs):
    folder = planted(tmp_path / "data")
    write_assignments(folder / "splits.tsv", [Assignment("s0_A", "train", "s0_A", 90)])
    with pytest.raises(InputError, match="lacks 41 chains and names 0 .*split again"):
        audit(folder, Threshold(), mmseqs)


def test_refuses_a_split_of_another_data_set(tmp_path, mmseqs):
    folder = data_set(tmp_path / "data", families(3))
    split(folder, SplitOptions(), mmseqs)
    file = folder / "split.json"
    file.write_text(file.read_text().replace(ChainStore(folder).fingerprint, "0" * 64))
    with pytest.raises(InputError, match="was made for another data set: .* again"):
        audit(folder, Threshold(), mmseqs)


def test_refuses_when_there_is_nothing_to_compare(tmp_path, mmseqs):
    folder = planted(tmp_path / "data", **dict.fromkeys(families(), "train"))
    with pytest.raises(InputError, match="36 training and 0 validation or test chains"):
        audit(folder, Threshold(), mmseqs)


def test_refuses_a_data_set_without_splits(tmp_path, mmseqs):
    folder = data_set(tmp_path / "data", families(2))
    with pytest.raises(InputError, match="make it with `protcontact split"):
        audit(folder, Threshold(), mmseqs)
