"""`protcontact.structure.sequence_match`: against a plain alignment, and where it says no."""

import numpy as np
import pytest
from biotite.sequence.align import SubstitutionMatrix

from protcontact.structure.alphabet import LETTERS
from protcontact.structure.sequence_match import match_sequences

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVK"
OTHER = "GSDEWPNLCHATYFWGGPDEHNCWLTPSAYDGHMWCNEFPTLGYHDCWSAEPGNTMYFDC"


def random_sequence(length, seed):
    return "".join(np.random.default_rng(seed).choice(list(LETTERS[:20]), length))


def test_the_same_sequence():
    match = match_sequences(PROTEIN, PROTEIN)
    assert match.places.tolist() == list(range(60))
    assert (match.aligned, match.identity, match.coverage) == (60, 1.0, 1.0)
    assert match.is_same_protein


def test_a_tag_missing_ends_and_mutations():
    construct = "GSHHHHHHGG" + PROTEIN[4:30] + "W" + PROTEIN[31:55]
    match = match_sequences(construct, PROTEIN)
    assert match.places.tolist() == [-1] * 10 + list(range(4, 55))
    assert (match.aligned, match.identical, match.compared, match.shorter) == (51, 50, 51, 60)
    assert match.is_same_protein


def test_a_loop_that_one_lacks():
    shorter = PROTEIN[:20] + PROTEIN[32:]
    match = match_sequences(shorter, PROTEIN)
    assert match.places.tolist() == [*range(20), *range(32, 60)]
    back = match_sequences(PROTEIN, shorter)
    assert back.places.tolist() == [*range(20), *[-1] * 12, *range(20, 48)]


def test_unknown_residues_are_aligned_and_not_compared():
    match = match_sequences(PROTEIN[:10] + "XXXXX" + PROTEIN[15:], PROTEIN)
    assert match.places.tolist() == list(range(60))
    assert (match.aligned, match.identical, match.compared) == (60, 55, 55)
    nothing = match_sequences("X" * 60, PROTEIN)
    assert nothing.identity == 0
    assert not nothing.is_same_protein


def test_letters_of_fasta_that_are_none_of_the_twenty_are_unknown():
    match = match_sequences(PROTEIN[:7] + "U" + PROTEIN[8:30] + "B" + PROTEIN[31:] + "JOZ", PROTEIN)
    assert match.places.tolist() == [*range(60), -1, -1, -1]
    assert (match.identical, match.compared) == (58, 58)


def test_nothing_in_common_is_no_error():
    match = match_sequences("WWWWW", "AAAA")
    assert (match.aligned, match.identity, match.coverage) == (0, 0.0, 0.0)
    assert not match.is_same_protein


def test_another_protein_is_not_this_one():
    assert not match_sequences(OTHER, PROTEIN).is_same_protein
    for seed in range(20):
        one, other = random_sequence(40, seed), random_sequence(60, seed + 100)
        assert not match_sequences(one, other).is_same_protein


def test_the_bounds():
    """60 residues of which a share is replaced by others of the same length, evenly spread."""

    def mutated(count):
        letters = list(PROTEIN)
        for place in np.linspace(1, 58, count).round().astype(int):
            letters[place] = "W"
        return "".join(letters)

    assert match_sequences(mutated(12), PROTEIN).identity == 0.8
    assert match_sequences(mutated(12), PROTEIN).is_same_protein
    assert not match_sequences(mutated(13), PROTEIN).is_same_protein
    half = match_sequences(PROTEIN[30:] + OTHER[:30], PROTEIN)
    assert half.coverage == 0.5
    assert half.is_same_protein
    assert not match_sequences(PROTEIN[31:] + OTHER[:31], PROTEIN).is_same_protein


def best_score(one, other, matrix):
    """The highest score of any local alignment, cell by cell, with affine gaps."""
    low = -(10**6)
    rows, columns = len(one) + 1, len(other) + 1
    paired, down, right = (np.full((rows, columns), low) for _ in range(3))
    for i in range(1, rows):
        for j in range(1, columns):
            before = max(0, *(table[i - 1, j - 1] for table in (paired, down, right)))
            paired[i, j] = before + matrix.get_score(one[i - 1], other[j - 1])
            down[i, j] = max(paired[i - 1, j] - 11, down[i - 1, j] - 1)
            right[i, j] = max(paired[i, j - 1] - 11, right[i, j - 1] - 1)
    return paired.max()


def score_of(places, one, other, matrix):
    """What an alignment scores, from where its residues stand."""
    there = np.flatnonzero(places >= 0)
    total = sum(matrix.get_score(one[n], other[places[n]]) for n in there)
    for step in (np.diff(there), np.diff(places[there])):
        total -= sum(11 + (gap - 2) for gap in step.tolist() if gap > 1)
    return total


@pytest.mark.parametrize("seed", range(12))
def test_no_alignment_scores_higher(seed):
    random = np.random.default_rng(seed)
    one = random_sequence(24, seed)
    letters = list(one)
    for place in random.choice(24, 4, replace=False):
        letters[place] = random.choice(list(LETTERS[:20]))
    cut = int(random.integers(6, 14))
    other = random_sequence(3, seed + 50) + "".join(letters[2:cut] + letters[cut + 3 :])
    matrix = SubstitutionMatrix.std_protein_matrix()
    match = match_sequences(one, other)
    assert score_of(match.places, one, other, matrix) == best_score(one, other, matrix)
    aligned = match.places[match.places >= 0]
    assert (np.diff(aligned) > 0).all()
    same = sum(one[n] == other[p] for n, p in enumerate(match.places) if p >= 0)
    assert (match.aligned, match.identical) == (len(aligned), same)
