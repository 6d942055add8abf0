"""The stated rule finds the planted pairs from the sequence alone: a slow, obvious decoder."""

import itertools

import numpy as np
import pytest

from protcontact.data.homology import MMseqs, Threshold
from protcontact.data.synthetic.code import CYCLE, HYDROPHOBIC, POLAR, coded, successor
from protcontact.data.synthetic.geometry import CA, C, N, dihedral
from tests.data.synthetic.folds import far_folds, many_folds

RUN = 6  # letters in a row that follow the rule


def follows(a: str, b: str) -> bool:
    """Is b the successor of a? Loops also have letters that are in neither cycle."""
    both = HYDROPHOBIC + POLAR
    return a in both and b in both and successor(a) == b


def decode(sequence: str) -> set[tuple[int, int]]:
    """Residues (i, j) that stand in a run of `RUN` places which all follow the rule."""
    L = len(sequence)
    found: set[tuple[int, int]] = set()
    for i, j in itertools.combinations(range(L), 2):
        for way in (1, -1):
            run = [(i + k, j + way * k) for k in range(RUN)]
            if not all(0 <= b < L and a < b for a, b in run):
                continue
            for swap in (False, True):
                letters = [(sequence[a], sequence[b])[:: -1 if swap else 1] for a, b in run]
                if all(follows(a, b) for a, b in letters):
                    found |= set(run)
    return found


def truth(fold) -> tuple[list[set], set]:
    """For each pair of strands the residues side by side, and all such pairs."""
    pairs = []
    for first, second in fold.pairs:
        a, b = (coded(fold, fold.elements[k]) for k in (first, second))
        place = dict(zip(b[1].tolist(), b[0].tolist(), strict=True))
        pairs.append(
            {
                (residue, place[where])
                for residue, where in zip(a[0].tolist(), a[1].tolist(), strict=True)
                if where in place
            }
        )
    return pairs, set().union(*pairs)


def score(found, pairs, everything):
    long_enough = [pair for pair in pairs if len(pair) >= RUN]
    hit = sum(len(pair & found) >= RUN for pair in long_enough)
    return hit, len(long_enough), len(found & everything), len(found)


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    real, shuffled = [], []
    for fold, sequence in (*many_folds()[8:24:2], *far_folds()[:1]):
        pairs, everything = truth(fold)
        real.append(score(decode(sequence), pairs, everything))
        mixed = "".join(rng.permutation(list(sequence)))
        shuffled.append(score(decode(mixed), pairs, everything))
    return np.array(real).sum(axis=0), np.array(shuffled).sum(axis=0)


def test_the_rule_recovers_the_planted_pairs(scores):
    (hit, of, right, found), _ = scores
    assert of >= 15
    assert hit >= 0.95 * of
    assert right >= 0.9 * found


def test_a_shuffled_sequence_tells_nothing(scores):
    _, (hit, of, _, found) = scores
    assert hit == 0 and found < 0.1 * RUN * of


def test_side_by_side_residues_follow_the_rule():
    for fold, sequence in many_folds():
        for pair in truth(fold)[0]:
            ways = [follows(sequence[i], sequence[j]) for i, j in pair]
            back = [follows(sequence[j], sequence[i]) for i, j in pair]
            assert all(ways) or all(back)


def test_coded_residues_do_not_overlap():
    for fold, _ in many_folds():
        residues = [coded(fold, e)[0] for e in fold.elements if e.kind == "E"]
        together = np.concatenate(residues)
        assert len(set(together.tolist())) == len(together)
        assert together.min() >= 0 and together.max() < len(fold)


def test_successor_runs_through_each_cycle():
    for cycle in (HYDROPHOBIC, POLAR):
        letter, seen = cycle[0], []
        for _ in range(CYCLE):
            seen.append(letter)
            letter = successor(letter)
        assert "".join(seen) == cycle and letter == cycle[0]
    with pytest.raises(ValueError, match="'G' is in neither"):
        successor("G")


def test_letters_are_amino_acids_and_no_left_handed_residue_of_a_loop_is_branched_at_cb():
    for fold, sequence in many_folds():
        assert set(sequence) <= set("ACDEFGHIKLMNPQRSTVWY")
        atoms = fold.atoms
        phi = dihedral(atoms[:-1, C], atoms[1:, N], atoms[1:, CA], atoms[1:, C])
        written = {r for e in fold.elements if e.kind == "E" for r in coded(fold, e)[0].tolist()}
        written |= {r for e in fold.elements if e.kind == "H" for r in range(e.start, e.stop)}
        for residue in 1 + np.flatnonzero(phi > 0):
            assert residue in written or sequence[residue] not in "VITP"


def test_chains_are_not_homologous():
    """Sequences that were too much alike once made one family of 561 of 600 chains.

    A pattern of hydrophobic and polar letters without exception, and loops of glycine and
    asparagine, were enough for a sensitive search to align any two of them.
    """
    sequences = [sequence for _, sequence in many_folds() if len(sequence) >= 60]
    hits = MMseqs().search(sequences, None, evalue=0.05)
    assert sum(Threshold().reached(hit) for hit in hits) <= 2
