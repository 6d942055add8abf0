"""From rows of a data set to one batch."""

import pickle

import numpy as np
import pytest
import torch

from protcontact.data.dataset import ContactDataset, WholeChains
from protcontact.data.sampling import PlannedBatch, crop
from protcontact.data.store import ChainStore, write_store
from protcontact.structure.alphabet import PADDING, decode
from tests.data.chains import random_chain

LENGTHS = (20, 90, 33)


@pytest.fixture
def store(tmp_path):
    chains = [
        random_chain(f"c{n}", length, seed=n, unresolved=n) for n, length in enumerate(LENGTHS)
    ]
    write_store(tmp_path, chains)
    return ChainStore(tmp_path)


@pytest.mark.parametrize("multiple", [1, 8])
def test_whole_chains_are_padded_to_the_longest(store, multiple):
    batch = ContactDataset(store, 40, 0.2, multiple)[PlannedBatch((0, 2), None)]
    assert batch.tokens.shape == (2, 33 + -33 % multiple)
    assert batch.ids == ("c0", "c2")
    assert batch.lengths.tolist() == [20, 33]
    assert batch.templates is None
    for row, number in enumerate((0, 2)):
        n, chain = LENGTHS[number], store[number]
        assert decode(batch.tokens[row, :n].numpy()) == chain.sequence
        np.testing.assert_array_equal(batch.coordinates[row, :n].numpy(), chain.coordinates)
        assert batch.index[row, :n].tolist() == list(range(n))
        assert (batch.tokens[row, n:] == PADDING).all()
        assert batch.coordinates[row, n:].isnan().all()
        assert batch.mask[row].tolist() == [place < n for place in range(batch.tokens.shape[1])]


@pytest.mark.parametrize("far_crops", [0.0, 1.0])
def test_a_planned_seed_shows_the_crop_that_follows_from_it(store, far_crops):
    planned = PlannedBatch((1,), (5, 2))
    batch = ContactDataset(store, 40, far_crops)[planned]
    index = crop(90, 40, far_crops, np.random.default_rng((5, 2, 1)))
    assert len(index) == 40
    assert batch.index[0].tolist() == index.tolist()
    codes, coordinates = store.arrays(1)
    np.testing.assert_array_equal(batch.tokens[0].numpy(), codes[index])
    np.testing.assert_array_equal(batch.coordinates[0].numpy(), coordinates[index])
    assert batch.lengths.tolist() == [90]


def test_batches_by_number(store):
    whole = WholeChains(ContactDataset(store, 40, 0.0), [PlannedBatch((n,), None) for n in (2, 0)])
    assert len(whole) == 2
    assert [whole[number].ids for number in range(2)] == [("c2",), ("c0",)]


def test_travels_to_workers(store):
    dataset = ContactDataset(store, 40, 0.2)
    planned = PlannedBatch((1, 2), (0, 3))
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[planned].tokens, dataset[planned].tokens)
