"""Templates are found once, for each chain among those that it may see, and written whole.

The program is a stand-in with hits made by hand; tests/commands/test_templates runs the real one.
"""

import json

import pytest

from protcontact.data import homology
from protcontact.data.homology import Threshold
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import ChainStore
from protcontact.data.template_search import TemplateOptions, find_templates, write_templates
from protcontact.data.templates import TEMPLATES, Templates
from protcontact.errors import InputError
from tests.data.copying import StandIn, divide, found, write, write_eight


@pytest.fixture
def folder(tmp_path):
    """Eight chains in all splits."""
    return write_eight(tmp_path)


def test_a_training_chain_never_sees_itself_its_cluster_or_its_double(folder):
    write(folder)
    # c7 has the sequence of c2: one template for both, the first of them
    assert found(folder)[:4] == [[2, 3], [2, 3], [0, 1, 3], [0, 1, 2]]
    assert found(folder)[7] == [0, 1, 3]


def test_held_out_chains_see_all_training_chains_and_the_excluded_none(folder):
    write(folder)
    assert found(folder)[4:7] == [[0, 1, 2, 3], [0, 1, 2, 3], []]


def test_homologues_are_left_out_of_training_alone(folder):
    write(folder, homologous=(22,))
    assert found(folder)[0] == [3] and found(folder)[4] == [0, 1, 2, 3]


def test_the_threshold_is_that_of_the_split(folder):
    store = ChainStore(folder)
    facts = {"min_identity": 0.25, "coverage": 0.8, "data": store.fingerprint}
    (folder / "split.json").write_text(json.dumps(facts))
    write(folder)
    assert found(folder) == [[]] * 4 + [[0, 1, 2, 3]] * 2 + [[]] * 2
    assert Threshold().identity == 0.3


def test_every_sequence_is_searched_once_against_training(folder):
    program = StandIn()
    write_templates(folder, TemplateOptions(), program)
    assert [len(set(part)) == len(part) for part in program.asked] == [True, True]
    assert sorted(map(len, program.asked[0])) == [20, 21, 22, 23, 24, 25]
    assert sorted(map(len, program.asked[1])) == [20, 21, 22, 23]


def test_counts_the_chains_that_have_a_template(folder):
    lines = write(folder, evalue=0.48).splitlines()  # nearest: 0.096, that of c0 and c1 0.1056
    assert lines[1].split() == ["train", "5", "0", "3", "5"]
    assert lines[2].split() == ["val", "1", "0", "1", "1"]
    assert lines[3].split() == ["test", "1", "0", "1", "1"]


def test_the_file_says_how_it_was_made(folder):
    write(folder, per_chain=3)
    facts = Templates(ChainStore(folder)).facts
    assert (facts["mmseqs"], facts["evalue"], facts["per_chain"]) == ("99", 10.0, 3)
    assert facts["exhaustive"] is True


def test_many_pairs_are_searched_with_the_prefilter_unless_told_otherwise(folder, monkeypatch):
    monkeypatch.setattr(homology, "EXHAUSTIVE_CELLS", 10)
    for told, expected in ((None, False), (True, True), (False, False)):
        search = StandIn()
        write_templates(folder, TemplateOptions(exhaustive=told), search)
        assert search.exhaustive is expected
        assert Templates(ChainStore(folder)).facts["exhaustive"] is expected
        find_templates(["ACDEFGHIK"], ChainStore(folder), TemplateOptions(exhaustive=told), search)
        assert search.exhaustive is expected


def test_a_failed_search_leaves_the_old_file(folder, monkeypatch):
    write(folder)
    before = (folder / TEMPLATES).read_bytes()

    def broken(self, queries, targets, evalue, exhaustive):
        raise InputError("no memory")

    monkeypatch.setattr(StandIn, "align", broken)
    with pytest.raises(InputError, match="no memory"):
        write(folder)
    assert (folder / TEMPLATES).read_bytes() == before
    assert [file for file in folder.iterdir() if file.suffix == ".part"] == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"evalue": 0.0}, "--evalue must be a number above 0"),
        ({"evalue": float("nan")}, "--evalue must be a number above 0"),
        ({"per_chain": 0}, "--per-chain must be at least 1"),
    ],
)
def test_refuses_numbers_out_of_range(options, reason):
    with pytest.raises(InputError, match=reason):
        TemplateOptions(**options)


def test_refuses_a_data_set_without_training_chains_or_with_unknown_ones(folder):
    divide(folder, ["test"] * 8)
    with pytest.raises(InputError, match="nothing to copy from"):
        write(folder)
    write_assignments(folder / "splits.tsv", [Assignment("c0", "train", "k", 9)])
    with pytest.raises(InputError, match="chain 'c1' .* is in no split"):
        write(folder)


def test_new_sequences_find_training_chains_alone(folder):
    stand_in = StandIn()
    store = ChainStore(folder)
    found = find_templates(["A" * 30, "C" * 9], store, TemplateOptions(per_chain=2), stand_in)
    assert [[one.row for one in own] for own in found] == [[0, 1], [0, 1]]  # the shortest first
    assert set(stand_in.asked[1]) == {store.column("sequence")[row] for row in (0, 1, 2, 3)}
    divide(folder, ("val",) * 8)
    with pytest.raises(InputError, match="train split"):
        find_templates(["A"], ChainStore(folder), TemplateOptions(), stand_in)
