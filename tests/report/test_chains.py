"""The chains that stand for a split."""

import pytest

from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.errors import InputError
from protcontact.report.chains import chosen_chains
from tests.data.chains import random_chain


@pytest.fixture
def data(tmp_path):
    chains = [random_chain(f"c{k}", 20 + 10 * k) for k in (3, 1, 0, 2, 4)]
    write_store(tmp_path, chains)
    rows = [Assignment(c.id, "test" if len(c) < 60 else "val", c.id, len(c)) for c in chains]
    write_assignments(tmp_path / "splits.tsv", rows)
    return tmp_path


def lengths(batches):
    assert all(len(batch) == 1 and batch.mask.all() for batch in batches)
    return [batch.tokens.shape[1] for batch in batches]


def test_spread_over_the_lengths(data):
    assert lengths(chosen_chains(data, "test", 2, 1, 1000)) == [20, 50]
    assert lengths(chosen_chains(data, "test", 1, 1, 1000)) == [20]
    assert lengths(chosen_chains(data, "test", 9, 1, 1000)) == [20, 30, 40, 50]
    assert lengths(chosen_chains(data, "test", 2, 25, 45)) == [30, 40]
    assert lengths(chosen_chains(data, "val", 9, 1, 1000)) == [60]


@pytest.mark.parametrize(
    ("split", "count", "longest", "message"),
    [
        ("test", 0, 9, "at least 1, not 0"),
        ("test", 3, 19, "none of 4 chains has at least 1 and at most 19 residues"),
        ("train", 3, 100, "train split of .* has no chains"),
    ],
)
def test_what_cannot_be_chosen(data, split, count, longest, message):
    with pytest.raises(InputError, match=message):
        chosen_chains(data, split, count, 1, longest)
