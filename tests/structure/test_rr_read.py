"""`protcontact.structure.rr_read`: files of others, and what of them is refused."""

import gzip
import random

import numpy as np
import pytest

from protcontact.errors import InputError
from protcontact.structure.rr_read import read_rr


def read_text(tmp_path, text):
    path = tmp_path / "x.rr"
    path.write_text(text)
    return read_rr(path)


def test_any_order_comments_and_broken_sequences(tmp_path):
    contacts = read_text(
        tmp_path,
        "# a comment\nPFRMAT RR\nREMARK 1 2 0 8 0.5\nMODEL 1\nACDE\nfghi\n"
        "2 8 0 8 0.1\n8 1 0 8 0.9  # the other way round\n\nEND\n3 9 0 8 0.5\n",
    )
    assert contacts.sequence == "ACDEFGHI"
    assert contacts.pairs.tolist() == [[1, 7], [0, 7]]
    assert contacts.probabilities.tolist() == [0.1, 0.9]


def test_a_model_without_contacts_leaves_no_second_sequence(tmp_path):
    first = "MODEL 1\nACDEFGHIKLMN\nEND\n"
    contacts = read_text(tmp_path, f"{first}MODEL 2\nACDEFGHIKLMN\n1 10 0 8 0.5\nEND\n")
    assert contacts.sequence == "ACDEFGHIKLMN"
    early = read_text(tmp_path, "ACDEFGHIKLMN\nMODEL 1\n1 10 0 8 0.5\n")
    assert early.sequence == "ACDEFGHIKLMN"


def test_a_line_of_a_sequence_may_read_end(tmp_path):
    contacts = read_text(tmp_path, "MODEL 1\nACDEFGHIKL\nEND\n1 13 0 8 0.5\nEND\n")
    assert contacts.sequence == "ACDEFGHIKLEND" and len(contacts.pairs) == 1
    contacts = read_text(tmp_path, "MODEL 1\nACDEF\nEND\n# more\n\nGHI\n1 9 0 8 0.5\nEND\n")
    assert contacts.sequence == "ACDEFENDGHI"


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
        ("1 8 0.5\n8 1 0.4\n", "line 2.*1 and 8 stand in line 1 already, with other numbers"),
        ("1 8 0 12 0.5\n", "distance range 0 to 12"),
        ("1 8 0 0.5\n", "4 words"),
        ("ACDEF\n1 8 0 8 0.5\n", "line 2: residue 8 of a sequence of 5"),
        ("A1 B8 0 8 0.5\n", "line 1: residues of named chains"),
        ("A1 B8 0.5" + 10 * " 0.1" + "\n", "line 1: residues of named chains"),
        ("PFRMAT RR\nRMODE 3\n1 8 5.5 0.2\n", "line 2: mode '3'"),
        ("RMODE\n1 8 0.5\n", "line 1: mode ''"),
        ("RMODE 2\n1 8 0.5\n", "line 2: 3 words; a contact has 13"),
        ("RMODE 2\n1 8 0 8 0.5\n", "line 2: 5 words; a contact has 13"),
        ("RMODE 2\n1 8 0.5" + 9 * " 0.1" + " 1.1\n", "probability 1.1"),
        ("1 8 0.5\n1 9 0.3" + 10 * " 0.1" + "\n", "line 2: has bins .* line 1 has, not both"),
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


BINS = " 0.05 0.1 0.15 0.1 0.1 0.1 0.1 0.1 0.1 0.1"


@pytest.mark.parametrize("heading", ["RMODE 2\n", "RMODE  2\nMODEL 1\n", ""])
def test_distances(tmp_path, heading):
    text = f"PFRMAT RR\n{heading}12 1 0.3{BINS}\n2 9 0.1 0.1{9 * ' 0'} \n"
    with_short = text.replace("0.1 0.1 0 ", "0.1 0.1 0.9 ")
    contacts = read_text(tmp_path, with_short)
    assert contacts.pairs.tolist() == [[0, 11], [1, 8]]
    assert contacts.probabilities.tolist() == [0.3, 0.1]
    assert contacts.bins.tolist() == [
        [0.05, 0.1, 0.15, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
        [0.1, 0.9, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert contacts.notes == ()
    end = len(text.splitlines())
    assert read_text(tmp_path, text).notes == (
        f"bins of distance do not sum to 1: 1, the first in line {end}",
    )


def test_mode_1_and_files_without_distances_have_none(tmp_path):
    assert read_text(tmp_path, "RMODE 1\n1 8 0.5\n").bins is None
    assert read_text(tmp_path, "1 8 0 8 0.5\n").bins is None


def test_what_is_said_twice_counts_once(tmp_path):
    text = "1 8 0 8 0.5\n2 9 0 8 0.25\n8 1 0 8 0.50\n1 8 0 8.0 5e-1\n"
    contacts = read_text(tmp_path, text)
    assert contacts.pairs.tolist() == [[0, 7], [1, 8]]
    assert contacts.probabilities.tolist() == [0.5, 0.25]
    assert contacts.notes == ("repeats of an earlier line count once: 2, the first in line 3",)


def test_other_bins_for_one_pair_contradict(tmp_path):
    other = BINS.replace("0.05 0.1", "0.1 0.05")
    with pytest.raises(InputError, match="line 2: residues 1 and 9 stand in line 1"):
        read_text(tmp_path, f"1 9 0.3{BINS}\n9 1 0.3{other}\n")


def test_the_order_of_lines_does_not_matter(tmp_path):
    lines = [f"{i} {j} 0 8 0.{i}{j}\n" for i in range(1, 9) for j in range(i + 1, 10)]
    sorted_matrix = read_text(tmp_path, "ACDEFGHIK\n" + "".join(lines)).matrix()
    random.Random(0).shuffle(lines)
    mixed = read_text(tmp_path, "ACDE\nFGH\nIK\n" + "".join(lines))
    np.testing.assert_array_equal(mixed.matrix(), sorted_matrix)
    assert sorted_matrix[2, 7] == 0.38


def test_comments_of_other_programs(tmp_path):
    text = "> T1024 some program\n; made by hand\nACDEFGHIK\n# i j p\n1 9 0.5 # sure\n"
    contacts = read_text(tmp_path, text)
    assert (contacts.sequence, contacts.pairs.tolist()) == ("ACDEFGHIK", [[0, 8]])


def test_names_in_any_encoding_windows_lines_and_gzip(tmp_path):
    text = "PFRMAT RR\r\nAUTHOR M\xfcller\r\nMODEL 1\r\nACDEFGHIK\r\n1 9 0 8 0.5\r\nEND\r\n"
    for content in (text.encode("latin-1"), b"\xef\xbb\xbf" + text.encode()):
        for stored in (content, gzip.compress(content)):
            (tmp_path / "x.rr").write_bytes(stored)
            contacts = read_rr(tmp_path / "x.rr")
            assert (contacts.sequence, contacts.pairs.tolist()) == ("ACDEFGHIK", [[0, 8]])


def test_a_damaged_archive_is_refused(tmp_path):
    (tmp_path / "x.rr").write_bytes(gzip.compress(b"1 9 0 8 0.5\n" * 99)[:-9])
    with pytest.raises(InputError, match="cannot be read"):
        read_rr(tmp_path / "x.rr")
