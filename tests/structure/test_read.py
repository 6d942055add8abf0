"""`protcontact.structure.read`: names, errors, and damaged files of every kind."""

import random
import tracemalloc

import numpy as np
import pytest

from protcontact.errors import InputError
from protcontact.structure.contacts import contact_map
from protcontact.structure.read import entry_name, read_chains, read_structure
from tests.structure.builders import gzipped, peptide, seqres, to_bcif, to_mmcif, to_pdb, without

SEQUENCE = "MKGAVLSTWYFHPQNDE"
ATOMS = without(peptide(SEQUENCE), lambda a: a.number in (1, 8))
FILES = {
    "x.pdb": to_pdb(ATOMS, header=seqres({"A": SEQUENCE})),
    "x.cif": to_mmcif(ATOMS, sequences={"1": SEQUENCE}, asyms={"A": "1"}),
    "x.bcif": to_bcif(to_mmcif(ATOMS, sequences={"1": SEQUENCE}, asyms={"A": "1"})),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_all_formats_give_the_same_chain(tmp_path, name, suffix):
    path = tmp_path / (name + suffix)
    path.write_bytes(gzipped(FILES[name]) if suffix else FILES[name])
    (chain,) = read_chains(path)
    expected = read_structure(FILES["x.pdb"], name="x.pdb").chains[0]
    assert (chain.id, chain.sequence, chain.numbering) == ("x_A", SEQUENCE, expected.numbering)
    assert chain.source == name + suffix
    np.testing.assert_array_equal(chain.coordinates, expected.coordinates)
    np.testing.assert_array_equal(contact_map(chain), contact_map(expected))


def test_content_decides_and_not_the_name(tmp_path):
    path = tmp_path / "wrong.pdb"
    path.write_bytes(gzipped(FILES["x.bcif"]))
    assert read_chains(str(path))[0].sequence == SEQUENCE


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("1abc.cif.gz", "1abc"), ("dir/1abc.bcif", "1abc"), ("1abc.pdb1.gz", "1abc"),
        ("pdb1abc.ent", "pdb1abc"), ("a.b.pdb", "a.b"), ("1abc.mmCIF", "1abc"),
        ("noname", "noname"),
        ("model.pdbx", "model.pdbx"), ("d1dj8a_.PDB.GZ", "d1dj8a_"),
    ],
)  # fmt: skip
def test_entry_names(name, entry):
    assert entry_name(name) == entry


def test_bytes_with_names():
    chain = read_structure(FILES["x.pdb"], name="archive/member.pdb", entry="E").chains[0]
    assert (chain.id, chain.source) == ("E_A", "member.pdb")


def test_a_path_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "absent.pdb", tmp_path):
        with pytest.raises(InputError, match=f"{path}.*cannot be read"):
            read_structure(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "neither PDB nor mmCIF nor BinaryCIF"),
        (b"HEADER    NOTHING\nEND\n", "no ATOM records"),
        (b"data_X\n_entry.id X\n", "no atom_site"),
        (gzipped(FILES["x.pdb"])[:200], "gzip"),
        (b"\x80", "no dataBlocks"),
        (b"\x83", "BinaryCIF"),
    ],
)
def test_what_is_no_structure_is_an_input_error_with_name_reason_and_remedy(
    tmp_path, content, reason
):
    path = tmp_path / "bad.file"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"bad.file.*{reason}.*(again|leave it out)") as caught:
        read_structure(path)
    assert "\n" not in str(caught.value)


def test_no_usable_chain_is_an_input_error_that_says_why(tmp_path):
    path = tmp_path / "ca.pdb"
    path.write_bytes(to_pdb(without(ATOMS, lambda a: a.name != "CA")))
    with pytest.raises(InputError, match=r"ca\.pdb: no usable protein chain .*chain A: only CA"):
        read_chains(path)
    assert read_chains(path, allow_ca_only=True)[0].ca_only


def damage(content, rng):
    """One kind of damage: cut, flipped bits, a stretch lost, a stretch written over."""
    content = bytearray(content)
    at, other = rng.randrange(len(content)), rng.randrange(len(content))
    kind = rng.randrange(4)
    if kind == 0:
        del content[at:]
    elif kind == 1:
        for _ in range(rng.choice([1, 3, 30])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del content[at : at + rng.randrange(1, 500)]
    else:
        content[at : at + 60] = content[other : other + 60]
    return bytes(content)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_damaged_files_give_chains_or_an_input_error(name, compressed):
    """Never another exception, and never a chain that contradicts itself."""
    rng = random.Random(name)
    content = gzipped(FILES[name]) if compressed else FILES[name]
    refused = 0
    for _ in range(250):
        try:
            record = read_structure(damage(content, rng), name=name)
        except InputError as error:
            assert name in str(error)
            refused += 1
            continue
        for chain in record.chains:
            labels = contact_map(chain)
            assert ((labels >= 0) == np.outer(chain.resolved, chain.resolved)).all()
    assert refused > (200 if compressed else 5)


def test_damage_cannot_claim_much_memory():
    """A length of 2**31 in a BinaryCIF header must be refused, not allocated."""
    rng = random.Random(1)
    tracemalloc.start()
    for _ in range(100):
        try:
            read_structure(damage(FILES["x.bcif"], rng), name="x.bcif")
        except InputError:
            continue
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def test_our_own_defects_are_not_called_input_errors(monkeypatch):
    """Only parsing is translated: a defect behind it keeps its traceback."""

    def broken(*_, **__):
        raise KeyError("a defect")

    monkeypatch.setattr("protcontact.structure.read.assemble", broken)
    with pytest.raises(KeyError, match="a defect"):
        read_structure(FILES["x.pdb"], name="x.pdb")


@pytest.mark.parametrize("name", ["x.pdb", "x.cif"])
def test_a_byte_order_mark_is_no_content(name):
    """Editors of Windows put it first: data_ was not found, and a first atom was lost."""
    content = FILES[name] if name == "x.cif" else to_pdb(ATOMS)
    with_mark = read_structure(b"\xef\xbb\xbf" + content, name=name).chains[0]
    expected = read_structure(content, name=name).chains[0]
    np.testing.assert_array_equal(with_mark.ca, expected.ca)
    assert with_mark.report == expected.report
