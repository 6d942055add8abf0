"""A file laid on a structure: numbers computed by hand, and what is refused.

The structure is a hairpin of 16 residues, two strands 5 Angstrom apart. Residue i of the first
strand stands opposite residue 15 - i of the second, 3.8 Angstrom of it from the next, so CB atoms
i < 8 <= j are 5.0, 6.3 or 9.1 Angstrom apart: in contact exactly where i + j is 14, 15 or 16.
Short (separations 6-11): 45 pairs, 9 in contact. Medium (12-23): 10 pairs, 6 in contact. Long: no
pair.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from protcontact.errors import InputError
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.report.prediction import predict_all
from protcontact.report.score_file import (
    lay_out,
    read_prediction,
    score_file,
    write_file_score,
)
from protcontact.report.targets import Target
from protcontact.structure.export import write_npz
from protcontact.structure.read import read_chains
from protcontact.structure.rr import Contacts
from tests.data.files import pdb_text, random_sequence
from tests.structure.builders import THREE, Atom, seqres, to_mmcif, to_pdb, without

SEQUENCE = "ACDEFHIKLMNPQRST"
OTHER = "WYVWWYHHCWYVVWYW"
LINES = """1 16 0 8 0.5
5 12 0 8 0.9
14 3 0 8 0.6
1 8 0 8 0.8
1 13 0 8 0.45
4 13 0 8 0.7
"""
# ranks of the short contacts: 5-12, 4-13 and 3-14 are listed, 1-8 is no contact; the other pairs
# follow by (i, j), 41 of them
SHORT_RANKS = [1, 3, 4, 20, 23, 24, 26, 27, 31]
# 1-16 is listed, 1-13 is no contact; then 1-14 (none), 1-15, 2-14, 2-15, 2-16, 3-15
MEDIUM_RANKS = [1, 4, 5, 6, 7, 8]


def hairpin(sequence=SEQUENCE, chain="A", first=-3, entity="1"):
    atoms = []
    for n, letter in enumerate(sequence):
        x, y = (3.8 * n, 0.0) if n < 8 else (3.8 * (15 - n), 5.0)
        places = {"N": (-1.2, 2.0), "CA": (0.0, 1.5), "C": (1.2, 2.0), "CB": (0.0, 0.0)}
        for name, (aside, above) in places.items():
            where = (round(10 + x + aside, 3), 10 + y, 10 + above)  # 0 0 0 would be no place
            more = {"chain": chain, "number": first + n, "place": n + 1, "entity": entity}
            atoms.append(Atom(name, THREE[letter], where, **more))
    return atoms


def write_rr_text(folder, lines=LINES, sequence=SEQUENCE, name="x.rr"):
    path = folder / name
    path.write_text(f"PFRMAT RR\nTARGET T1\nMODEL 1\n{sequence}\n{lines}END\n")
    return path


def write_pdb(folder, atoms=None, sequences=None, name="s.pdb"):
    path = folder / name
    atoms = hairpin() if atoms is None else atoms
    path.write_bytes(to_pdb(atoms, header=seqres(sequences or {"A": SEQUENCE})))
    return path


def test_precision_by_hand(tmp_path):
    found = score_file(write_rr_text(tmp_path), write_pdb(tmp_path))
    short, medium, long = (found.scores.ranges[name] for name in ("short", "medium", "long"))
    assert (short.candidates, short.positives) == (45, 9)
    assert (short.precision_l, short.precision_l2, short.precision_l5) == (3 / 16, 3 / 8, 2 / 3)
    assert short.r_precision == 3 / 9
    by_hand = sum(n / rank for n, rank in enumerate(SHORT_RANKS, 1)) / 9
    assert short.auprc == pytest.approx(by_hand, abs=1e-12)
    assert (medium.candidates, medium.positives) == (10, 6)
    assert (medium.precision_l, medium.precision_l2, medium.precision_l5) == (6 / 10, 6 / 8, 1 / 3)
    by_hand = sum(n / rank for n, rank in enumerate(MEDIUM_RANKS, 1)) / 6
    assert medium.auprc == pytest.approx(by_hand, abs=1e-12)
    assert (long.candidates, math.isnan(long.precision_l)) == (0, True)
    # the nearest first: separations 6 (9 pairs, one of them in contact), 7 (9, none), ...
    contacts = {(i, j) for i in range(8) for j in range(8, 16) if i + j in (14, 15, 16)}
    near = sorted(
        ((i, j) for i in range(16) for j in range(i + 6, min(16, i + 12))),
        key=lambda pair: (pair[1] - pair[0], pair),
    )
    hits = [pair in contacts for pair in near]
    assert found.null.ranges["short"].precision_l == sum(hits[:16]) / 16
    assert found.null.ranges["short"].precision_l5 == sum(hits[:3]) / 3
    assert found.listed == {"short": 4, "medium": 2, "long": 0}
    assert (found.placed, found.scores.length, found.chain.id) == (6, 16, "s_A")
    assert found.notes == (
        "short: the file lists 4 of the 16 pairs of P@L; behind them stand pairs that it does not "
        "list, by (i, j)",
        "medium: the file lists 2 of the 10 pairs of P@L; behind them stand pairs that it does not "
        "list, by (i, j)",
    )


def test_a_listed_pair_of_probability_0_stands_before_those_not_listed(tmp_path):
    """Of medium range it is the last residue's pair with the fourth, not in contact."""
    path = write_rr_text(tmp_path, LINES + "4 16 0 8 0.0\n")
    medium = score_file(path, write_pdb(tmp_path)).scores.ranges["medium"]
    ranks = [1, 5, 6, 7, 8, 9]
    by_hand = sum(n / rank for n, rank in enumerate(ranks, 1)) / 6
    assert medium.auprc == pytest.approx(by_hand, abs=1e-12)


def test_the_sequences_may_differ(tmp_path):
    """The file has a tag in front, lacks the last residue, and has a mutation."""
    expected = score_file(
        write_rr_text(tmp_path, LINES.split("\n", 1)[1]), write_pdb(tmp_path)
    ).scores.ranges
    tag = "GSHM"
    shifted = "1 12 0 8 0.99\n"  # of the tag: nowhere in the structure
    for line in LINES.splitlines()[1:]:
        i, j, *rest = line.split()
        shifted += " ".join([str(int(i) + 4), str(int(j) + 4), *rest]) + "\n"
    changed = tag + SEQUENCE[:6] + "W" + SEQUENCE[7:-1]
    found = score_file(write_rr_text(tmp_path, shifted, changed), write_pdb(tmp_path))
    assert found.scores.ranges["short"] == expected["short"]
    assert found.scores.ranges["medium"] == expected["medium"]
    assert (found.match.aligned, found.match.identical, len(found.match.places)) == (15, 14, 19)
    assert (len(found.contacts.pairs), found.placed) == (6, 5)


def test_l_is_that_of_the_full_sequence_and_unresolved_residues_say_nothing(tmp_path):
    """Residue 5 (index 4) is unresolved: with it go 1 listed contact and 3 of the 9."""
    atoms = without(hairpin(), lambda a: a.place == 5)
    found = score_file(write_rr_text(tmp_path), write_pdb(tmp_path, atoms))
    short = found.scores.ranges["short"]
    assert found.scores.length == 16
    assert (short.candidates, short.positives) == (45 - 6, 6)
    # listed and known: 1-8 (no), 4-13, 3-14
    assert short.precision_l5 == 2 / 3
    assert found.listed["short"] == 3


@pytest.mark.parametrize("named", ["B", "s_B", None])
def test_the_chain_that_matches_best_unless_one_is_named(named, tmp_path):
    atoms = hairpin(OTHER, "C", entity="2") + without(hairpin(), lambda a: a.place == 2)
    atoms += hairpin(chain="B")
    full = {"A": SEQUENCE, "B": SEQUENCE, "C": OTHER}
    found = score_file(write_rr_text(tmp_path), write_pdb(tmp_path, atoms, full), named)
    assert found.chain.id == "s_B"  # A has an unresolved residue
    told = "chain s_B is scored; also of this protein: s_A (choose with --chain)"
    assert (told in found.notes) == (named is None)
    worse = score_file(write_rr_text(tmp_path), tmp_path / "s.pdb", "A")
    assert (worse.chain.id, worse.scores.ranges["short"].candidates) == ("s_A", 45 - 6)


def test_mmcif_in_author_chain_ids(tmp_path):
    atoms = hairpin(chain="AbC")
    content = to_mmcif(atoms, sequences={"1": SEQUENCE}, asyms={"AbC": "1"})
    (tmp_path / "s.cif").write_bytes(content)
    found = score_file(write_rr_text(tmp_path), tmp_path / "s.cif", "AbC")
    assert found.scores.ranges["short"].precision_l == 3 / 16


def test_an_rr_file_of_another_protein(tmp_path):
    path = write_rr_text(tmp_path, sequence=OTHER)
    with pytest.raises(InputError, match=r"x\.rr: is of another protein than .*s\.pdb.*s_A"):
        score_file(path, write_pdb(tmp_path))
    with pytest.raises(InputError, match="another protein"):
        score_file(path, write_pdb(tmp_path), "A")


def test_a_chain_that_is_not_there_or_not_usable(tmp_path):
    atoms = hairpin() + [a for a in hairpin(chain="B") if a.name == "CA"]
    structure = write_pdb(tmp_path, atoms, {"A": SEQUENCE, "B": SEQUENCE})
    rr = write_rr_text(tmp_path)
    with pytest.raises(InputError, match=r"s\.pdb: has no .* 'Z'; usable are: s_A \(chain B: "):
        score_file(rr, structure, "Z")
    assert score_file(rr, structure, "B", allow_ca_only=True).chain.ca_only
    only = write_pdb(tmp_path, atoms[len(hairpin()) :], {"B": SEQUENCE}, "b.pdb")
    with pytest.raises(InputError, match=r"b\.pdb: has no usable protein chain; .* none \(chain B"):
        score_file(rr, only)


def test_a_file_without_a_sequence(tmp_path):
    (tmp_path / "x.rr").write_text(LINES)
    found = score_file(tmp_path / "x.rr", write_pdb(tmp_path))
    assert found.match is None
    assert found.scores.ranges["short"].precision_l5 == 2 / 3
    assert "the file has no sequence" in found.notes[0]


def test_a_file_without_a_sequence_that_does_not_fit(tmp_path):
    (tmp_path / "x.rr").write_text(LINES + "2 17 0 8 0.1\n")
    with pytest.raises(InputError, match=r"x\.rr: has residue 17, and chain s_A .* has 16"):
        score_file(tmp_path / "x.rr", write_pdb(tmp_path))


def test_a_file_without_a_sequence_and_several_chains(tmp_path):
    (tmp_path / "x.rr").write_text(LINES)
    atoms = without(hairpin(), lambda a: a.place == 2) + hairpin(chain="B")
    alike = write_pdb(tmp_path, atoms, {"A": SEQUENCE, "B": SEQUENCE})
    found = score_file(tmp_path / "x.rr", alike)
    assert found.chain.id == "s_B"
    assert "chain s_B is scored; also of this protein: s_A" in found.notes[1]
    atoms = hairpin() + hairpin(OTHER, "B", entity="2")
    different = write_pdb(tmp_path, atoms, {"A": SEQUENCE, "B": OTHER})
    with pytest.raises(
        InputError, match=r"has no sequence, .* different chains \(s_A, s_B\).*--ch"
    ):
        score_file(tmp_path / "x.rr", different)
    assert score_file(tmp_path / "x.rr", different, "B").chain.id == "s_B"


def test_npz_of_this_program(tmp_path):
    structure = write_pdb(tmp_path)
    (chain,) = read_chains(structure)
    listed = read_prediction(write_rr_text(tmp_path))
    scores = np.full((16, 16), np.nan)
    i, j = listed.pairs.T
    scores[i, j] = scores[j, i] = listed.probabilities
    write_npz(tmp_path / "renamed.rr", chain, scores)
    one = score_file(tmp_path / "renamed.rr", structure)
    other = score_file(tmp_path / "x.rr", structure)
    for name in ("short", "medium"):
        assert one.scores.ranges[name] == other.scores.ranges[name]
    assert one.listed == other.listed


def test_what_predict_writes_has_the_score_that_predict_tells(tmp_path):
    torch.manual_seed(0)
    encoder = BiLSTM(channels=4, layers=1)
    model = ContactModel(encoder, Bilinear(encoder.out_channels)).eval()
    (tmp_path / "s.pdb").write_text(pdb_text(random_sequence(60, seed=1)))
    (chain,) = read_chains(tmp_path / "s.pdb")
    (outcome,) = predict_all(model, [Target("p", chain, "s.pdb")], tmp_path)
    for ending in ("npz", "rr"):
        found = score_file(tmp_path / f"p.{ending}", tmp_path / "s.pdb")
        for name, score in outcome.scores.ranges.items():
            own = found.scores.ranges[name]
            assert (own.candidates, own.positives) == (score.candidates, score.positives)
            assert own.precision_l == pytest.approx(score.precision_l, nan_ok=True)
            assert own.auprc == pytest.approx(score.auprc, rel=0.02, nan_ok=True)  # 6 decimals
        assert found.listed == {
            name: score.candidates for name, score in outcome.scores.ranges.items()
        }
        assert found.notes == ()


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"absent\.rr: cannot be read"):
        score_file(tmp_path / "absent.rr", write_pdb(tmp_path))
    with pytest.raises(InputError, match=r"absent\.pdb: cannot be read"):
        score_file(write_rr_text(tmp_path), tmp_path / "absent.pdb")


def test_lay_out_moves_pairs_and_keeps_unlisted_ones_below_all():
    contacts = Contacts("", "ACDE", np.array([[0, 1], [1, 3], [0, 2]]), np.array([0.0, 0.5, 0.25]))
    scores, placed = lay_out(contacts, np.array([1, 2, -1, 4]), 5)
    expected = np.full((5, 5), -1.0)
    expected[1, 2] = expected[2, 1] = 0.0
    expected[2, 4] = expected[4, 2] = 0.5
    np.testing.assert_array_equal(scores, expected)
    assert placed == 2


def test_the_table_has_what_was_scored(tmp_path):
    rr, structure = write_rr_text(tmp_path), write_pdb(tmp_path)
    write_file_score(tmp_path / "a.tsv", rr, structure, score_file(rr, structure))
    names, values = [line.split("\t") for line in (tmp_path / "a.tsv").read_text().splitlines()]
    row = dict(zip(names, values, strict=True))
    assert [row[name] for name in ("prediction", "structure", "chain", "length")] == [
        "x.rr",
        "s.pdb",
        "s_A",
        "16",
    ]
    assert (row["pairs"], row["placed"], row["aligned"], row["identity"]) == (
        "6",
        "6",
        "16",
        "1.0000",
    )
    assert (row["short/listed"], row["short/P@L"], row["long/P@L"]) == ("4", "0.1875", "nan")
    (tmp_path / "bare.rr").write_text(LINES)
    bare = score_file(tmp_path / "bare.rr", structure)
    write_file_score(tmp_path / "b.tsv", Path("bare.rr"), structure, bare)
    other = (tmp_path / "b.tsv").read_text().splitlines()[1].split("\t")
    assert dict(zip(names, other, strict=True))["identity"] == ""
