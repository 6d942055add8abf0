"""`protcontact.structure.rr`: what is written, and in which order."""

import numpy as np
import pytest

from protcontact.structure import rr
from protcontact.structure.rr import BIN_EDGES, casp_bins, rank_pairs, write_rr
from protcontact.structure.rr_read import read_rr

SEQUENCE = "ACDEFGHIKLMNPQRSTVWY" * 3


def symmetric(length, seed=0):
    scores = np.random.default_rng(seed).random((length, length)).round(6)
    return np.maximum(scores, scores.T)


def test_round_trip(tmp_path):
    scores = symmetric(len(SEQUENCE))
    write_rr(tmp_path / "x.rr", SEQUENCE, scores, target="T1024")
    contacts = read_rr(tmp_path / "x.rr")
    assert (contacts.target, contacts.sequence, contacts.notes) == ("T1024", SEQUENCE, ())
    far = np.abs(np.subtract.outer(np.arange(60), np.arange(60))) >= 6
    np.testing.assert_array_equal(contacts.matrix(), np.where(far, scores, 0.0))


def test_the_file_is_what_casp_asks_for(tmp_path):
    scores = np.zeros((60, 60))
    scores[[0, 3, 1], [59, 12, 20]] = [0.5, 0.25, 0.5]
    write_rr(tmp_path / "x.rr", SEQUENCE, np.maximum(scores, scores.T), target="T1", top=3)
    assert (tmp_path / "x.rr").read_text().splitlines() == [
        "PFRMAT RR",
        "TARGET T1",
        "AUTHOR protcontact",
        "METHOD protcontact",
        "MODEL  1",
        SEQUENCE[:50],
        SEQUENCE[50:],
        "1 60 0 8 0.500000",  # residues from 1; of equals the smaller pair first
        "2 21 0 8 0.500000",
        "4 13 0 8 0.250000",
        "END",
    ]


def test_pairs_are_ranked_like_a_slow_sort():
    scores = symmetric(15).round(1)  # many equals
    pairs = [(i, j) for i in range(15) for j in range(i + 4, 15)]
    slow = sorted(pairs, key=lambda pair: (-scores[pair], pair))
    assert rank_pairs(scores, 4).tolist() == [list(pair) for pair in slow]
    assert rank_pairs(scores, 4, top=5).tolist() == [list(pair) for pair in slow[:5]]
    assert rank_pairs(scores, 20).shape == (0, 2)


@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        (np.zeros((3, 3)), "T", r"\(60, 60\)"),
        (np.full((60, 60), np.nan), "T", "NaN"),
        (np.full((60, 60), 1.5), "T", "probabilities"),
        (np.zeros((60, 60)), "two words", "one word"),
        (np.zeros((60, 60)), "", "one word"),
    ],
)
def test_writing_refuses(tmp_path, scores, target, message):
    with pytest.raises(ValueError, match=message):
        write_rr(tmp_path / "x.rr", SEQUENCE, scores, target=target)
    assert not (tmp_path / "x.rr").exists()


def test_only_the_pairs_among_those_asked_for_are_written(tmp_path):
    scores = symmetric(20)
    among = np.random.default_rng(3).random((20, 20)) < 0.4
    among |= among.T
    holed = np.where(among, scores, np.nan)
    write_rr(tmp_path / "x.rr", SEQUENCE[:20], holed, target="T", among=among)
    pairs = [(i, j) for i in range(20) for j in range(i + 6, 20) if among[i, j]]
    slow = sorted(pairs, key=lambda pair: (-scores[pair], pair))
    contacts = read_rr(tmp_path / "x.rr")
    assert contacts.pairs.tolist() == [list(pair) for pair in slow]
    assert contacts.probabilities.tolist() == [scores[pair] for pair in slow]


def test_a_missing_number_among_the_pairs_is_refused(tmp_path):
    scores = symmetric(20)
    scores[2, 15] = scores[15, 2] = np.nan
    with pytest.raises(ValueError, match="without NaN"):
        write_rr(
            tmp_path / "x.rr",
            SEQUENCE[:20],
            scores,
            target="T",
            among=np.ones((20, 20), dtype=bool),
        )
    with pytest.raises(ValueError, match="must be"):
        among = np.ones((19, 19), dtype=bool)
        write_rr(tmp_path / "x.rr", SEQUENCE[:20], scores, target="T", among=among)


def test_many_pairs_come_in_pieces(tmp_path, monkeypatch):
    scores = symmetric(30)
    write_rr(tmp_path / "x.rr", SEQUENCE[:30], scores, target="T")
    monkeypatch.setattr(rr, "PAIRS_AT_ONCE", 7)
    write_rr(tmp_path / "y.rr", SEQUENCE[:30], scores, target="T")
    assert (tmp_path / "y.rr").read_bytes() == (tmp_path / "x.rr").read_bytes()


def distances_of(length, seed=0):
    """Bins of distance that are symmetric and sum to 1, and the probability of a contact."""
    bins = np.random.default_rng(seed).random((length, length, 10))
    bins += bins.swapaxes(0, 1)
    bins /= bins.sum(axis=-1, keepdims=True)
    return bins, bins[..., :3].sum(axis=-1)


def test_distances_are_written_in_mode_2(tmp_path):
    bins = np.full((60, 60, 10), 0.1)
    bins[0, 59] = bins[59, 0] = [0.05, 0.25, 0.125, 0, 0, 0, 0, 0, 0.5, 0.075]
    scores = bins[..., :3].sum(axis=-1)
    write_rr(tmp_path / "x.rr", SEQUENCE, scores, target="T1", top=2, bins=bins)
    assert (tmp_path / "x.rr").read_text().splitlines() == [
        "PFRMAT RR",
        "TARGET T1",
        "AUTHOR protcontact",
        "METHOD protcontact",
        "RMODE  2",
        "MODEL  1",
        SEQUENCE[:50],
        SEQUENCE[50:],
        "1 60 0.425000 0.0500 0.2500 0.1250 0.0000 0.0000 0.0000 0.0000 0.0000 0.5000 0.0750",
        "1 7 0.300000" + 10 * " 0.1000",
        "END",
    ]


def test_distances_come_back(tmp_path):
    bins, scores = distances_of(30)
    write_rr(tmp_path / "x.rr", SEQUENCE[:30], scores, target="T", bins=bins)
    contacts = read_rr(tmp_path / "x.rr")
    assert (contacts.sequence, contacts.notes) == (SEQUENCE[:30], ())
    i, j = contacts.pairs.T
    assert len(i) == 24 * 25 / 2
    np.testing.assert_allclose(contacts.probabilities, scores[i, j], atol=5.1e-7)
    np.testing.assert_allclose(contacts.bins, bins[i, j], atol=5.1e-5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda bins: bins[:, :, :9], r"\(30, 30, 10\)"),
        (lambda bins: bins[:29], r"\(30, 30, 10\)"),
        (lambda bins: bins * 1.01, "sum to 1"),
        (lambda bins: np.where(bins == bins[3, 20, 4], np.nan, bins), "NaN"),
        (lambda bins: bins + np.array([-1.0, 1.0] + 8 * [0.0]), "probabilities"),
    ],
)
def test_bins_that_are_no_probabilities_are_not_written(tmp_path, spoil, message):
    bins, scores = distances_of(30)
    with pytest.raises(ValueError, match=message):
        write_rr(tmp_path / "x.rr", SEQUENCE[:30], scores, target="T", bins=spoil(bins))
    assert not (tmp_path / "x.rr").exists()


def test_only_the_bins_of_written_pairs_must_be_there(tmp_path):
    bins, scores = distances_of(30)
    among = np.ones((30, 30), dtype=bool)
    among[:, 25:] = among[25:] = False
    bins[~among] = np.nan
    write_rr(tmp_path / "x.rr", SEQUENCE[:30], scores, target="T", among=among, bins=bins)
    assert read_rr(tmp_path / "x.rr").pairs.max() == 24


def test_finer_bins_are_added_up():
    edges = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 19.5, 20.0, 22.0)
    fine = np.random.default_rng(1).random((2, 3, len(edges) + 1))
    slow = np.zeros((2, 3, 10))
    for n in range(len(edges) + 1):
        low = edges[n - 1] if n else 0.0
        slow[..., sum(low >= edge for edge in BIN_EDGES)] += fine[..., n]
    np.testing.assert_allclose(casp_bins(fine, edges), slow, rtol=1e-12)
    np.testing.assert_array_equal(casp_bins(slow, BIN_EDGES), slow)


def test_bins_across_an_edge_cannot_be_added_up():
    assert casp_bins(np.ones((2, 10)), (4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 19.0)) is None
    with pytest.raises(ValueError, match="9 edges for 9 bins"):
        casp_bins(np.ones(9), BIN_EDGES)
