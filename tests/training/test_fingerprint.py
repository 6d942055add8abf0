"""What must be the same for scores to stand side by side."""

import numpy as np
import pytest

from protcontact.data.datamodule import ContactDataModule
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.errors import InputError
from protcontact.training import fingerprint
from protcontact.training.fingerprint import scored_on
from tests.data.chains import random_chain

CHAINS = [random_chain(f"c{n}", 30 + n, seed=n, unresolved=3) for n in range(4)]


def prepared(folder, chains, splits):
    folder.mkdir()
    write_store(folder, chains)
    rows = [Assignment(c.id, s, c.id, len(c)) for c, s in zip(chains, splits, strict=True)]
    write_assignments(folder / "splits.tsv", rows)
    data = ContactDataModule(str(folder))
    data.setup("fit")
    return data


@pytest.fixture
def mark(tmp_path):
    return scored_on(prepared(tmp_path / "own", CHAINS, ["train", "train", "val", "val"]), "val")


def test_other_splits_and_the_order_do_not_matter(mark, tmp_path):
    less = prepared(tmp_path / "less", CHAINS[:0:-1], ["val", "val", "train"])
    assert less.fingerprint != "" and scored_on(less, "val") == mark


def test_chains_labels_names_and_definition_do(mark, tmp_path, monkeypatch):
    one = CHAINS[3]
    moved = one.coordinates.copy()
    moved[np.isfinite(moved).all(axis=1).argmax()] += 0.5
    marks = {mark}
    for n, chain in enumerate(
        [
            random_chain("c3", 33, seed=9, unresolved=3),
            random_chain("c9", 33, seed=3, unresolved=3),
            type(one)(**{**vars(one), "coordinates": moved}),
        ]
    ):
        data = prepared(tmp_path / str(n), [*CHAINS[:3], chain], ["train", "train", "val", "val"])
        marks.add(scored_on(data, "val"))
    monkeypatch.setattr(fingerprint, "DEFINITION", "another one")
    own = ContactDataModule(str(tmp_path / "own"))
    own.setup("fit")
    marks.add(scored_on(own, "val"))
    assert len(marks) == 5


def test_an_empty_split(tmp_path):
    with pytest.raises(InputError, match="test split"):
        scored_on(prepared(tmp_path / "a", CHAINS, ["train", "train", "val", "val"]), "test")
