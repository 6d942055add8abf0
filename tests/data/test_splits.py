"""A split parts no family, whatever the order of the chains, and leaves benchmarks out."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from protcontact.data import splits as splits_module
from protcontact.data.audit import audit
from protcontact.data.homology import Hit, MMseqs, Threshold
from protcontact.data.splitfile import read_assignments, read_splits
from protcontact.data.splits import FRACTIONS, SplitOptions, read_facts, split
from protcontact.data.store import write_store
from protcontact.errors import InputError
from protcontact.structure.chain import Chain
from tests.data.families import families, mutated


def chain_of(name: str, sequence: str) -> Chain:
    nothing = np.zeros((len(sequence), 3), np.float32)
    return Chain(name, sequence, nothing, nothing, ("",) * len(sequence), source=f"{name}.pdb")


def data_set(folder: Path, chains: dict[str, str]) -> Path:
    write_store(folder, [chain_of(name, text) for name, text in chains.items()])
    return folder


class Blind(MMseqs):
    """Sees nothing in the first search: a heuristic may."""

    def search(self, queries, targets, evalue):
        return [] if targets is None else super().search(queries, targets, evalue)


@pytest.fixture(scope="module")
def mmseqs() -> MMseqs:
    return MMseqs()


@pytest.fixture(scope="module")
def made(tmp_path_factory, mmseqs):
    folder = data_set(tmp_path_factory.mktemp("split") / "data", families())
    return folder, split(folder, SplitOptions(), mmseqs)


def test_no_family_is_parted(made):
    folder, report = made
    splits = read_splits(folder)
    assert set(splits) == set(families())
    for family in range(6):
        members = {split for name, split in splits.items() if name.startswith(f"f{family}_")}
        assert len(members) == 1
    assert report.clusters == 6 + 12
    assert report.largest == 5
    assert report.chains == {"train": 34, "val": 4, "test": 4}


def test_the_split_does_not_leak(made, mmseqs):
    assert audit(made[0], Threshold(), mmseqs).leaks == ()


def test_files_tell_how_it_was_made(made):
    folder, _ = made
    facts = json.loads((folder / "split.json").read_text())
    assert (facts["seed"], facts["min_identity"], facts["coverage"]) == (0, 0.3, 0.8)
    assert facts["mmseqs"] and len(facts["data"]) == 64
    assert read_facts(folder).threshold == Threshold()
    rows = read_assignments(folder)
    assert [row.id for row in rows] == sorted(families())
    assert {row.id: row.length for row in rows} == {n: len(s) for n, s in families().items()}
    assert {row.cluster for row in rows if row.id.startswith("f2_")} == {"f2_first"}


def test_the_report_adds_up(made):
    text = str(made[1])
    assert "train          34 chains   81.0 %" in text
    assert "18 homology clusters, the largest of 5 chains" in text


def test_the_order_of_the_chains_does_not_matter(made, tmp_path, mmseqs):
    turned = dict(reversed(families().items()))
    folder = data_set(tmp_path / "data", turned)
    split(folder, SplitOptions(), mmseqs)
    assert (folder / "splits.tsv").read_bytes() == (made[0] / "splits.tsv").read_bytes()


def test_another_seed_splits_otherwise(made, tmp_path, mmseqs):
    folder = data_set(tmp_path / "data", families())
    split(folder, SplitOptions(seed=1), mmseqs)
    assert read_splits(folder) != read_splits(made[0])


def test_what_the_first_search_misses_is_merged(tmp_path, mmseqs):
    """Twins stay together because they are one sequence; relatives by the check."""
    folder = data_set(tmp_path / "data", families())
    report = split(folder, SplitOptions(), Blind())
    assert report.merges > 0
    assert "were merged by the check" in str(report)
    assert audit(folder, Threshold(), mmseqs).leaks == ()


def test_homologues_of_a_benchmark_are_excluded(tmp_path, mmseqs):
    chains = families()
    folder = data_set(tmp_path / "data", chains)
    benchmark = tmp_path / "benchmark.fasta"
    benchmark.write_text(f">target\n{mutated(chains['f3_first'], 0.3, 5)}\n")
    report = split(folder, SplitOptions(exclude=benchmark), mmseqs)
    excluded = {name for name, split in read_splits(folder).items() if split == "excluded"}
    assert {"f3_first", "f3_twin", "f3_fragment"} <= excluded
    assert all(name.startswith("f3_") for name in excluded)
    assert report.chains["excluded"] == len(excluded)
    assert json.loads((folder / "split.json").read_text())["exclude"]
    assert audit(folder, Threshold(), mmseqs).leaks == ()


def test_a_new_split_removes_the_old_audit_and_templates(tmp_path, mmseqs):
    folder = data_set(tmp_path / "data", families(3))
    for name in ("audit.tsv", "templates.parquet"):
        (folder / name).write_text("old")
    split(folder, SplitOptions(), mmseqs)
    assert not (folder / "audit.tsv").exists()
    assert not (folder / "templates.parquet").exists()


def test_three_strangers_are_enough_and_two_are_not(tmp_path, mmseqs):
    chains = families()
    three = {name: chains[name] for name in ("s0_A", "s1_A", "s2_A")}
    folder = data_set(tmp_path / "three", three)
    split(folder, SplitOptions(), mmseqs)
    assert sorted(read_splits(folder).values()) == ["test", "train", "val"]
    folder = data_set(tmp_path / "two", {"a": chains["s0_A"], "b": chains["s1_A"]})
    with pytest.raises(InputError, match=r"2 homology cluster\(s\) cannot fill 3 splits"):
        split(folder, SplitOptions(), mmseqs)
    assert not (folder / "splits.tsv").exists()


def test_no_homologues_without_similarity():
    assert Threshold().reached(Hit(0, 1, 0.3, 0.8, 50))
    assert not Threshold().reached(Hit(0, 1, 0.299, 1.0, 50))
    assert not Threshold().reached(Hit(0, 1, 1.0, 0.799, 50))


NAN_1, NAN_2 = (float("nan"), 0.5, 0.5), (0.5, 0.5, float("nan"))


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (0.0, 0.5, 0.5), NAN_1, NAN_2]
)
def test_refuses_impossible_fractions(fractions):
    with pytest.raises(InputError, match="--fractions must be three numbers"):
        SplitOptions(fractions=dict(zip(FRACTIONS, fractions, strict=True)))


@pytest.mark.parametrize(
    ("threshold", "name"),
    [(Threshold(30, 0.8), "--min-identity"), (Threshold(0.3, 0), "--coverage")],
)
def test_refuses_thresholds_that_are_no_fractions(threshold, name):
    with pytest.raises(InputError, match=f"{name} must be a fraction"):
        SplitOptions(threshold=threshold)


def test_refuses_a_data_set_that_cannot_be_written(tmp_path, monkeypatch):
    """Before the search and not after it; there is no --out to choose another of."""

    def unwritable(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    folder = data_set(tmp_path / "data", families(2))
    monkeypatch.setattr(os, "open", unwritable)
    with pytest.raises(InputError, match="cannot be written .*; make it writable"):
        split(folder, SplitOptions(), None)


def test_refuses_a_folder_that_is_no_data_set(tmp_path, mmseqs):
    with pytest.raises(InputError, match="not a prepared data set"):
        split(tmp_path, SplitOptions(), mmseqs)


@pytest.mark.parametrize("text", ["", "{}", '{"min_identity": "x", "coverage": 1, "data": ""}'])
def test_refuses_damaged_facts(tmp_path, text):
    (tmp_path / splits_module.FACTS).write_text(text)
    with pytest.raises(InputError, match="split.json is damaged"):
        read_facts(tmp_path)
    assert read_facts(tmp_path / "elsewhere") is None
