"""Drawing chains: the same ones for the same seed, and each accounted for."""

import pytest

from protcontact.data.datamodule import ContactDataModule
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.errors import InputError
from protcontact.training.regression_chains import Wanted, draw_chains, named_chains
from tests.data.chains import random_chain

ANY = Wanted(None, 6)


@pytest.fixture
def data(tmp_path):
    """12 chains in train: c0 has no known pair, c1 none 6 apart, c2 and c3 are long; one in val."""
    chains = [
        random_chain("c0", 30, unresolved=30),
        random_chain("c1", 30, unresolved=24),
        random_chain("c2", 80),
        random_chain("c3", 90),
        *(random_chain(f"c{n}", 20 + n, seed=n) for n in range(4, 12)),
        random_chain("v", 40),
    ]
    write_store(tmp_path, chains)
    rows = [Assignment(c.id, "val" if c.id == "v" else "train", c.id, len(c)) for c in chains]
    write_assignments(tmp_path / "splits.tsv", rows)
    module = ContactDataModule(str(tmp_path))
    module.setup("fit")
    return module


def test_all_that_can_be_used(data):
    drawn = draw_chains(data, "train", 50, 0, Wanted(60, 6))
    assert sorted(drawn.ids) == sorted(f"c{n}" for n in range(4, 12))
    assert sorted(drawn.too_long) == ["c2", "c3"]
    assert sorted(drawn.unknown) == ["c0", "c1"]
    assert drawn.pairs == [
        (len(b.tokens[0]) - 6) * (len(b.tokens[0]) - 5) // 2 for b in drawn.batches
    ]
    assert drawn.account(Wanted(60, 6)) == (
        "8 of 12 chains of the train split; 2 left out: more than 60 residues; "
        "2 left out: no known pair 6 or more apart"
    )


def test_the_rules_decide_and_not_the_names(data):
    assert "c2" in draw_chains(data, "train", 50, 0, ANY).ids
    near = draw_chains(data, "train", 50, 0, Wanted(None, 5))
    assert "c1" in near.ids  # 6 residues: one pair 5 apart
    assert near.pairs[near.ids.index("c1")] == 1


def test_the_seed_decides(data):
    first = draw_chains(data, "train", 4, 0, ANY)
    assert len(first.ids) == 4
    assert draw_chains(data, "train", 4, 0, ANY).ids == first.ids
    assert draw_chains(data, "train", 6, 0, ANY).ids[:4] == first.ids
    assert any(draw_chains(data, "train", 4, seed, ANY).ids != first.ids for seed in range(1, 4))


def test_every_chain_is_counted_once(data):
    drawn = draw_chains(data, "train", 4, 0, Wanted(60, 6))
    rest = 12 - 4 - len(drawn.too_long) - len(drawn.unknown)
    assert f"{rest} not asked for" in drawn.account(Wanted(60, 6))


def test_named(data):
    drawn = named_chains(data, "train", ["c9", "c0", "c3", "c5"], Wanted(60, 6))
    assert drawn.ids == ["c9", "c5"]
    assert (drawn.too_long, drawn.unknown) == (["c3"], ["c0"])
    assert drawn.account(Wanted(60, 6)).endswith("8 not asked for")


@pytest.mark.parametrize(
    ("split", "ids", "message"),
    [
        ("train", ["c5", "v"], "1 of 2 chains are not in the train split of .*, the first: 'v'"),
        ("val", ["v", "nothing"], "'nothing'"),
        ("train", ["c5", "c6", "c5"], "'c5' is named twice"),
        ("test", ["c5"], "test split of .* has no chains"),
    ],
)
def test_names_that_are_refused(data, split, ids, message):
    with pytest.raises(InputError, match=message):
        named_chains(data, split, ids, ANY)
