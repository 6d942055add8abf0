"""Similarity around a residue against loops over its window."""

import numpy as np
import pytest
from biotite.sequence.align import SubstitutionMatrix

from protcontact.structure.alphabet import encode
from protcontact.structure.similarity import MEASURES, WINDOWS, local_similarity

BLOSUM62 = SubstitutionMatrix.std_protein_matrix()


def loops(chain, other, pairs):
    """Letters and aligned places -> ``(L, 8)``."""
    measured = []
    for i in range(len(chain)):
        row = []
        for aligned in (False, True):
            for window in (*WINDOWS, 2 * len(chain) + 1):
                around = [j for j in range(len(chain)) if abs(i - j) <= window // 2]
                found = [(chain[j], other[pairs[j]]) for j in around if j in pairs]
                total = len(found) if aligned else sum(BLOSUM62.get_score(*two) for two in found)
                row.append(total / len(around))
        measured.append(row)
    return np.array(measured)


def test_each_residue_has_the_means_of_its_windows():
    random = np.random.default_rng(0)
    chain, other = ("".join(random.choice([*"ACDEFGHIKLMNPQRSTVWYX"], n)) for n in (60, 50))
    index = np.sort(random.choice(60, 35, replace=False))
    other_index = np.sort(random.choice(50, 35, replace=False))
    measured = local_similarity(encode(chain), encode(other), index, other_index)
    assert measured.shape == (60, MEASURES) and measured.dtype == np.float32
    expected = loops(chain, other, dict(zip(index.tolist(), other_index.tolist(), strict=True)))
    np.testing.assert_allclose(measured, expected, atol=1e-5)


@pytest.mark.parametrize("length", [1, 5])
def test_a_chain_shorter_than_the_windows(length):
    codes = encode("W" * length)
    everywhere = np.arange(length)
    measured = local_similarity(codes, codes, everywhere, everywhere)
    assert measured.tolist() == [[11.0] * 4 + [1.0] * 4] * length


def test_nothing_aligned():
    none = np.array([], dtype=np.int64)
    assert not local_similarity(encode("ACD"), encode("ACD"), none, none).any()
