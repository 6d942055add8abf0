"""`protcontact.structure.pdb_header`."""

import math

import pytest

from protcontact.structure.observed import Monomer
from protcontact.structure.pdb_header import read_pdb_header
from tests.structure.builders import peptide, remark_465, seqres, to_pdb


def header_of(*lines):
    return read_pdb_header(to_pdb(peptide("A"), header=lines))


def test_sequences_by_chain_over_several_lines():
    header = header_of(*seqres({"A": "ACDEFGHIKLMNPQRST", "b": "GG", "": "A"}))
    assert "".join(m.components[0][0] for m in header.sequences["A"]) == "ACAGPGHILLMAPGAST"
    assert len(header.sequences["A"]) == 17
    assert header.sequences["b"] == (Monomer(("GLY",)),) * 2
    assert header.sequences[""] == (Monomer(("ALA",)),)


def test_missing_residues():
    header = header_of(
        *remark_465([("MET", "A", -1, ""), ("LYS", "A", 40, "B"), ("GLY", "", 7, "")])
    )
    assert header.missing["A"] == (Monomer(("MET",), "-1"), Monomer(("LYS",), "40B"))
    assert header.missing[""] == (Monomer(("GLY",), "7"),)


def test_missing_residues_of_several_models_count_once():
    lines = remark_465([("MET", "A", 1, "")])
    assert len(header_of(*lines, *lines).missing["A"]) == 1


@pytest.mark.parametrize(
    "line",
    [
        "REMARK 465   M RES C SSSEQI",
        "REMARK 465 MISSING RESIDUES",
        "REMARK 465   MODELS 1-20",
        "REMARK 470     MET A     1",
    ],
)
def test_other_remarks_are_no_residues(line):
    assert header_of(line).missing == {}


def test_method_resolution_and_release():
    header = header_of(
        "HEADER    HORMONE                                 27-OCT-98   1ABC",
        "EXPDTA    X-RAY DIFFRACTION; NEUTRON DIFFRACTION",
        "REVDAT   2   24-FEB-09 1ABC    1       VERSN",
        "REVDAT   1   15-APR-98 1ABC    0",
        "REMARK   2 RESOLUTION.    1.80 ANGSTROMS.",
    ).header
    assert header.method == "X-RAY DIFFRACTION; NEUTRON DIFFRACTION"
    assert header.resolution == 1.8
    assert header.release_date == "1998-04-15"  # not the deposition of HEADER


@pytest.mark.parametrize(
    ("date", "iso"), [("01-JAN-71", "1971-01-01"), ("31-DEC-70", "2070-12-31")]
)
def test_centuries(date, iso):
    assert header_of(f"REVDAT   1   {date} 1ABC    0").header.release_date == iso


def test_what_is_not_told_is_empty():
    header = header_of(
        "REMARK   2 RESOLUTION. NOT APPLICABLE.", "REVDAT   1   XX-ABC-98 1ABC    0"
    ).header
    assert (header.method, header.release_date) == ("", "")
    assert math.isnan(header.resolution)
