"""Templates are found once, written whole, read row by row, and refused where they do not belong.

The program is a stand-in that gives hits made by hand; the real one is run in test_homology and
tests/commands/test_templates.
"""

import json
import pickle

import numpy as np
import pyarrow.parquet as pq
import pytest

from protcontact.data.alignment import Alignment
from protcontact.data.homology import Threshold
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import ChainStore, write_store
from protcontact.data.templates import (
    KEY,
    TEMPLATES,
    TemplateOptions,
    Templates,
    open_templates,
    write_templates,
)
from protcontact.errors import InputError
from tests.data.chains import random_chain

SPLITS = ("train", "train", "train", "train", "val", "test", "excluded", "train")
CLUSTERS = ("k", "k", "b", "c", "v", "t", "x", "d")


class StandIn:
    """Aligns every query with every target; the shorter the target, the nearer.

    Attributes:
        asked: Queries and targets of the last search.
        homologous: Targets, by length, that are above the threshold for every query.
    """

    version = "99"

    def __init__(self, homologous=()):
        self.asked, self.homologous = ((), ()), homologous

    def align(self, queries, targets, evalue):
        self.asked = (queries, targets)
        for query in queries:
            hits = []
            for place, target in enumerate(targets):
                n = min(len(query), len(target)) - 3
                index = np.delete(np.arange(n), 4)  # a gap, so that there are two runs
                identity = 0.3 if len(target) in self.homologous else 0.25
                e = evalue * len(target) / 100
                hits.append(Alignment(place, e, 50.0, identity, 0.8, index, index + 2))
            yield sorted(hits, key=Alignment.rank)


@pytest.fixture
def folder(tmp_path):
    """Chains of 20 ... 26 residues; the last has the sequence of the third, in another cluster."""
    chains = [random_chain(f"c{n}", 20 + n, seed=n) for n in range(7)]
    chains.append(random_chain("c7", 22, seed=2))
    write_store(tmp_path, chains)
    divide(tmp_path, SPLITS)
    return tmp_path


def divide(folder, splits):
    rows = [Assignment(f"c{n}", s, CLUSTERS[n], 9) for n, s in enumerate(splits)]
    write_assignments(folder / "splits.tsv", rows)


def write(folder, homologous=(), **options):
    return write_templates(folder, TemplateOptions(**options), StandIn(homologous))


def found(folder):
    reader = Templates(ChainStore(folder))
    return [[template.row for template in reader[row]] for row in range(len(reader))]


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


def test_the_nearest_are_kept_whole(folder):
    write(folder, per_chain=2, evalue=0.5)
    first, second = Templates(ChainStore(folder))[5]
    assert (first.row, second.row) == (0, 1)
    assert first.evalue == pytest.approx(0.1) and first.identity == pytest.approx(0.25)
    assert first.coverage == pytest.approx(0.8)
    assert first.query_index.tolist() == [0, 1, 2, 3, *range(5, 17)]
    assert first.target_index.tolist() == [2, 3, 4, 5, *range(7, 19)]
    assert len(second.query_index) == 17


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


def test_a_failed_search_leaves_the_old_file(folder, monkeypatch):
    write(folder)
    before = (folder / TEMPLATES).read_bytes()

    def broken(self, queries, targets, evalue):
        raise InputError("no memory")

    monkeypatch.setattr(StandIn, "align", broken)
    with pytest.raises(InputError, match="no memory"):
        write(folder)
    assert (folder / TEMPLATES).read_bytes() == before
    assert [file for file in folder.iterdir() if file.suffix == ".part"] == []


def test_reads_after_pickling_and_nothing_is_no_error(folder):
    assert open_templates(ChainStore(folder)) is None
    write(folder)
    reader = open_templates(ChainStore(folder))
    assert len(pickle.loads(pickle.dumps(reader))[4]) == 4
    with pytest.raises(IndexError, match="row 8"):
        reader[8]


def test_refuses_another_split_and_other_chains(folder, tmp_path):
    write(folder)
    divide(folder, ("val", *SPLITS[1:]))
    with pytest.raises(InputError, match="another split; write it again with `protcontact temp"):
        Templates(ChainStore(folder))
    divide(folder, SPLITS)
    assert len(Templates(ChainStore(folder))) == 8
    other = tmp_path / "other"
    write_store(other, [random_chain(f"c{n}", 20 + n, seed=n + 1) for n in range(8)])
    for name in (TEMPLATES, "splits.tsv"):
        (other / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(InputError, match="was made for other chains"):
        Templates(ChainStore(other))


def rewritten(file, **changes):
    table = pq.read_table(file)
    facts = json.loads(table.schema.metadata[KEY]) | changes
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(facts)}), file)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-20]), "is damaged"),
        (lambda file: file.write_bytes(b""), "is damaged"),
        (lambda file: pq.write_table(pq.read_table(file).replace_schema_metadata(), file), "dama"),
        (lambda file: rewritten(file, format=2), "has format 2, this protcontact reads format 1"),
        (lambda file: file.unlink(), "does not exist; make it with `protcontact templates"),
    ],
)
def test_refuses_what_is_damaged(folder, damage, reason):
    write(folder)
    damage(folder / TEMPLATES)
    with pytest.raises(InputError, match=reason):
        Templates(ChainStore(folder))


def test_names_a_file_that_is_damaged_in_the_middle(folder):
    write(folder)
    content = bytearray((folder / TEMPLATES).read_bytes())
    content[4:300] = bytes(296)
    (folder / TEMPLATES).write_bytes(content)
    with pytest.raises(InputError, match=r"templates\.parquet is damaged .*; write it again"):
        Templates(ChainStore(folder))[0]


def test_refuses_runs_that_do_not_fit(folder):
    write(folder)
    table = pq.read_table(folder / TEMPLATES)
    place = table.schema.get_field_index("counts")
    pq.write_table(
        table.set_column(place, table.schema.field(place), table["targets"]), folder / TEMPLATES
    )
    with pytest.raises(InputError, match="damaged .*runs instead of"):
        Templates(ChainStore(folder))[4]


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
