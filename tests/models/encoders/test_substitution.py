"""BLOSUM62 against biotite's, and what follows from it."""

import numpy as np
import pytest
from biotite.sequence.align import SubstitutionMatrix

from protcontact.models.encoders.substitution import (
    FREQUENCIES,
    SCORES,
    substitution_probabilities,
)
from protcontact.structure.alphabet import LETTERS, UNKNOWN

TWENTY = LETTERS[:UNKNOWN]


def test_scores_are_those_of_blosum62():
    matrix = SubstitutionMatrix.std_protein_matrix()  # BLOSUM62
    expected = [[matrix.get_score(a, b) for b in TWENTY] for a in TWENTY]
    assert np.array_equal(SCORES, expected)


def test_frequencies_are_those_of_blosum62():
    """Its file gives an expected score of -0.5209 bits, from scores that were not yet rounded."""
    p, scores = np.array(FREQUENCIES), np.array(SCORES)
    assert p.sum() == pytest.approx(1.0)
    assert p @ scores @ p / 2 == pytest.approx(-0.5209, abs=0.03)


def test_each_row_is_a_distribution_of_its_letter():
    probabilities = substitution_probabilities()
    assert probabilities.shape == (20, 20)
    assert (probabilities > 0).all()
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(20))
    own = dict(zip(TWENTY, np.diag(probabilities), strict=True))
    assert min(own, key=own.get) == "M"
    assert set(sorted(own, key=own.get)[-2:]) == {"G", "W"}
    a, b, c = (TWENTY.index(letter) for letter in "IVD")
    ratio = probabilities[a, b] / probabilities[a, c]
    expected = FREQUENCIES[b] * 2**1.5 / (FREQUENCIES[c] * 2**-1.5)  # scores 3 and -3
    assert ratio == pytest.approx(expected)
