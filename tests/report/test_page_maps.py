"""Maps that travel in a page, and come back."""

import json

import numpy as np
import pytest

from protcontact.report.page_maps import NEAREST, UNKNOWN, ShownMap, packed, unpacked
from protcontact.structure.contacts import contact_map
from tests.data.chains import random_chain

CHAIN = random_chain("a", 60, seed=1, unresolved=7)


def random_map(size, seed=0):
    values = np.random.default_rng(seed).random((size, size)) ** 4
    return (values + values.T) / 2


def test_a_map_comes_back():
    given = random_map(60)
    there = json.loads(json.dumps(packed(ShownMap(CHAIN, given, {"x": 0.25, "y": np.nan}))))
    predicted, truth = unpacked(there)
    labels = contact_map(CHAIN)
    for i in range(60):
        for j in range(i + 1, 60):
            if j - i < NEAREST:
                assert predicted[i, j] == 0 and truth[i, j] == UNKNOWN
                continue
            assert abs(np.sqrt(predicted[i, j]) - np.sqrt(given[i, j])) <= 0.5 / 255 + 1e-12
            assert truth[i, j] == (UNKNOWN if labels[i, j] < 0 else labels[i, j])
    assert {0, 1, UNKNOWN} == set(truth[np.triu_indices(60, NEAREST)])
    assert there["scores"] == {"x": 0.25, "y": None}
    assert there["numbers"] == list(CHAIN.numbering) and there["sequence"] == CHAIN.sequence
    assert (there["id"], there["length"], there["chain"]) == ("a", 60, CHAIN.chain_id)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_ends_are_exact(value):
    predicted, _ = unpacked(packed(ShownMap(CHAIN, np.full((60, 60), value), {})))
    assert (predicted[np.triu_indices(60, NEAREST)] == value).all()


def test_a_chain_of_one_residue():
    one = random_chain("one", 1, seed=0)
    predicted, truth = unpacked(packed(ShownMap(one, np.zeros((1, 1)), {})))
    assert predicted.shape == truth.shape == (1, 1)
