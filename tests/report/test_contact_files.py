"""Which files are written, what is in them, and when a later run believes them."""

from dataclasses import replace

import numpy as np
import pytest

from protcontact.report import contact_files
from protcontact.report.contact_files import (
    Numbers,
    fingerprint,
    read_finished,
    write_contacts,
)
from protcontact.report.contact_inputs import read_wanted
from protcontact.structure.rr_read import read_rr
from tests.data.files import pdb_text

CHECKPOINT = {"checkpoint": "abc", "tile": None}


def wanted_of(tmp_path, sequence, name="x"):
    (tmp_path / "x.fasta").write_text(f">{name}\n{sequence}\n")
    [[wanted], _] = read_wanted([str(tmp_path / "x.fasta")], [], tmp_path)
    return wanted


def symmetric(length):
    found = np.random.default_rng(length).random((length, length)).round(4).astype(np.float32)
    return np.maximum(found, found.T)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def names(out):
    return {path.name for path in out.iterdir()}


def test_one_chain(tmp_path, out):
    wanted, found = wanted_of(tmp_path, "ACDEFGHIKL"), symmetric(10)
    found[0, 9] = found[9, 0] = np.nan
    write_contacts(out, wanted, found, "mark", Numbers())
    assert "REMARK probabilities are not calibrated" in (out / "x.rr").read_text()
    assert names(out) == {"x.rr", "x.npz", "x.png"}
    held = np.load(out / "x.npz")
    np.testing.assert_array_equal(held["scores"], found)
    assert held["chain_of"].tolist() == [0] * 10 and np.isnan(held["temperature"])
    pairs = read_rr(out / "x.rr").pairs.tolist()
    assert sorted(map(tuple, pairs)) == [
        (i, j) for i in range(10) for j in range(i + 6, 10) if (i, j) != (0, 9)
    ]


def test_intra_and_inter_are_apart(tmp_path, out):
    wanted, found = wanted_of(tmp_path, "ACDEFGHI:KLMNPQRSTV"), symmetric(18)
    write_contacts(out, wanted, found, "mark", Numbers())
    assert names(out) == {"x.intra.rr", "x.inter.rr", "x.npz", "x.png"}
    intra, inter = (read_rr(out / f"x.{part}.rr") for part in ("intra", "inter"))
    assert intra.sequence == inter.sequence == "ACDEFGHIKLMNPQRSTV"
    within = [(i, j) for i in range(18) for j in range(i + 6, 18) if (i < 8) == (j < 8)]
    between = [(i, j) for i in range(8) for j in range(8, 18)]  # also 7 and 8
    assert sorted(map(tuple, intra.pairs.tolist())) == within
    assert sorted(map(tuple, inter.pairs.tolist())) == between
    for contacts in (intra, inter):
        i, j = contacts.pairs.T
        np.testing.assert_allclose(contacts.probabilities, found[i, j], atol=1e-6)
    assert np.load(out / "x.npz")["chain_of"].tolist() == [0] * 8 + [1] * 10


def test_structures_get_scripts_too(tmp_path, out):
    (tmp_path / "s.pdb").write_text(pdb_text("ACDEFGHIKLMNPQ"))
    [[wanted], _] = read_wanted([], [str(tmp_path / "s.pdb")], tmp_path)
    write_contacts(out, wanted, symmetric(14), "mark", Numbers())
    name = wanted.target.name
    assert names(out) == {f"{name}{end}" for end in (".rr", ".npz", ".png", ".pml", ".cxc")}
    for file in names(out):
        (out / file).rename(tmp_path / "away")
        assert read_finished(out, wanted, "mark") is None
        (tmp_path / "away").rename(out / file)
    assert read_finished(out, wanted, "mark") == Numbers()


def test_long_chains_have_no_picture(tmp_path, out, monkeypatch):
    monkeypatch.setattr(contact_files, "PICTURED", 9)
    wanted = wanted_of(tmp_path, "ACDEFGHIKL")
    write_contacts(out, wanted, symmetric(10), "mark", Numbers())
    assert names(out) == {"x.rr", "x.npz"}
    assert read_finished(out, wanted, "mark") == Numbers()


def test_what_is_there_is_believed_if_the_mark_fits(tmp_path, out):
    wanted = wanted_of(tmp_path, "ACDE:FGH")
    numbers = Numbers(3, 12, 0.25, 0.5, 0.125, 0.75, {"long/P@L": 0.5})
    assert read_finished(out, wanted, "mark") is None
    write_contacts(out, wanted, symmetric(7), "mark", numbers)
    assert read_finished(out, wanted, "mark") == numbers
    assert read_finished(out, wanted, "other") is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"text"])
def test_a_damaged_record_is_not_believed(content, tmp_path, out):
    wanted = wanted_of(tmp_path, "ACDE")
    write_contacts(out, wanted, symmetric(4), "mark", Numbers())
    (out / "x.npz").write_bytes(content)
    assert read_finished(out, wanted, "mark") is None


def test_an_npz_of_another_command_is_not_believed(tmp_path, out):
    wanted = wanted_of(tmp_path, "ACDE")
    write_contacts(out, wanted, symmetric(4), "mark", Numbers())
    np.savez(out / "x.npz", scores=symmetric(4))
    assert read_finished(out, wanted, "mark") is None


def test_files_of_two_runs_are_never_taken_for_one(tmp_path, out, monkeypatch):
    """A run with other options died after its RR file: the old npz must not vouch for it."""
    wanted = wanted_of(tmp_path, "ACDEFGHIKL")
    write_contacts(out, wanted, symmetric(10), "first", Numbers())

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(contact_files, "_draw", killed)
    with pytest.raises(KeyboardInterrupt):
        write_contacts(out, wanted, np.zeros((10, 10), np.float32), "second", Numbers())
    assert read_finished(out, wanted, "first") is None
    assert read_finished(out, wanted, "second") is None


def test_the_mark_depends_on_all_that_the_files_depend_on(tmp_path):
    wanted = wanted_of(tmp_path, "ACDEF")
    chain = wanted.target.chain
    moved = chain.coordinates.copy()
    moved[2] = 1.0
    others = [
        (wanted_of(tmp_path, "ACDEG"), CHECKPOINT),
        (wanted_of(tmp_path, "AC:DEF"), CHECKPOINT),
        (wanted, CHECKPOINT | {"checkpoint": "abd"}),
        (wanted, CHECKPOINT | {"tile": 100}),
        *(
            (
                replace(wanted, target=replace(wanted.target, chain=replace(chain, **part))),
                CHECKPOINT,
            )
            for part in ({"coordinates": moved}, {"numbering": tuple("23456")})
        ),
    ]
    marks = [fingerprint(item, made_with) for item, made_with in others]
    same = fingerprint(wanted_of(tmp_path, "ACDEF"), dict(reversed(CHECKPOINT.items())))
    assert same == fingerprint(wanted, CHECKPOINT)
    assert len({same, *marks}) == 1 + len(others)
