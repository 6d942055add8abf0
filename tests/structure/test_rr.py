"""`protcontact.structure.rr`: out, in, and what is refused."""

import numpy as np
import pytest

from protcontact.errors import InputError
from protcontact.structure import rr
from protcontact.structure.rr import rank_pairs, read_rr, write_rr

SEQUENCE = "ACDEFGHIKLMNPQRSTVWY" * 3


def symmetric(length, seed=0):
    scores = np.random.default_rng(seed).random((length, length)).round(6)
    return np.maximum(scores, scores.T)


def read_text(tmp_path, text):
    path = tmp_path / "x.rr"
    path.write_text(text)
    return read_rr(path)


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


def test_any_order_comments_and_broken_sequences(tmp_path):
    contacts = read_text(
        tmp_path,
        "# a comment\nPFRMAT RR\nREMARK 1 2 0 8 0.5\nMODEL 1\nACDE\nfghi\n"
        "2 8 0 8 0.1\n8 1 0 8 0.9  # the other way round\n\nEND\n3 9 0 8 0.5\n",
    )
    assert contacts.sequence == "ACDEFGHI"
    assert contacts.pairs.tolist() == [[1, 7], [0, 7]]
    assert contacts.probabilities.tolist() == [0.1, 0.9]


def test_three_columns_and_no_sequence(tmp_path):
    contacts = read_text(tmp_path, "1 8 0.5\n2 9 1e-3\n")
    assert contacts.matrix(9)[0, 7] == contacts.matrix(9)[7, 0] == 0.5
    with pytest.raises(ValueError, match="give length"):
        contacts.matrix()


@pytest.mark.parametrize("end", ["", "END\n"])
def test_the_first_of_several_models_is_read_and_that_is_told(tmp_path, end):
    text = f"MODEL 1\n1 8 0 8 0.5\n{end}MODEL 2\n1 8 0 8 0.9\nEND\n"
    contacts = read_text(tmp_path, text)
    assert contacts.probabilities.tolist() == [0.5]
    assert f"line {4 if end else 3}" in contacts.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PFRMAT RR\nEND\n", "no contact"),
        ("1 8 0 8 nan\n", r"line 1: probability nan"),
        ("1 8 0 8 1.5\n", "probability 1.5"),
        ("1 8 0 8 -0.5\n", "probability -0.5"),
        ("1 8 0 8 p\n", "no number"),
        ("1 x 0 8 0.5\n", "no number"),
        ("1 2.5 0 8 0.5\n", "no number"),
        ("0 8 0 8 0.5\n", "count from 1"),
        ("-1 8 0 8 0.5\n", "count from 1"),
        ("8 8 0 8 0.5\n", "must differ"),
        ("1 8 0.5\n8 1 0.4\n", "line 2.*stand in line 1 already"),
        ("1 8 0 12 0.5\n", "distance range 0 to 12"),
        ("1 8 0 0.5\n", "4 words"),
        ("ACDEF\n1 8 0 8 0.5\n", "line 2: residue 8 of a sequence of 5"),
        ("AC DE\n1 2 0.5\n", "neither a sequence nor a contact"),
        ("ACDE1\n1 2 0.5\n", "neither a sequence nor a contact"),
    ],
)
def test_reading_refuses_with_the_line(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"x\.rr.*{message}"):
        read_text(tmp_path, text)


def test_a_file_that_is_no_text_or_not_there(tmp_path):
    (tmp_path / "x.rr").write_bytes(b"\xff\xfe\x00")
    for name in ("x.rr", "absent.rr"):
        with pytest.raises(InputError, match="cannot be read"):
            read_rr(tmp_path / name)


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
