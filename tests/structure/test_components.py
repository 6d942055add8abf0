"""`protcontact.structure.components`: parents of modified residues, from the CCD."""

import pytest

from protcontact.structure.components import Kind, is_amino_acid, is_modified, kind, letter, refusal


@pytest.mark.parametrize(
    ("component", "parent"),
    [
        ("ALA", "A"), ("GLY", "G"), ("MSE", "M"), ("SEP", "S"), ("TPO", "T"), ("CSO", "C"),
        ("HYP", "P"), ("NLE", "L"), ("TYS", "Y"), ("PCA", "Q"), ("DAL", "A"), ("DPN", "F"),
        ("HID", "H"), ("HIP", "H"), ("HSD", "H"), ("CYX", "C"), ("ASH", "D"), ("GLH", "E"),
    ],
)  # fmt: skip
def test_letter_of_the_parent(component, parent):
    assert letter(component) == parent
    assert is_amino_acid(component)
    assert is_modified(component) == (component not in ("ALA", "GLY"))


@pytest.mark.parametrize(
    "component", ["UNK", "ASX", "GLX", "SEC", "PYL", "CRO", "HSE", "HOH", "DA", "ACE", "ZZZZ", ""]
)
def test_what_has_no_single_parent_is_x(component):
    """A nucleotide has a one-letter code in the CCD too: it must not become an amino acid."""
    assert letter(component) == "X"
    assert not is_modified(component)


def test_kinds():
    assert kind("MSE") is Kind.L_PEPTIDE
    assert kind("DPN") is Kind.D_PEPTIDE
    assert kind("DA") is Kind.NUCLEOTIDE
    assert kind("U") is Kind.NUCLEOTIDE
    assert kind("HOH") is Kind.OTHER
    assert kind("ZZZZ") is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("components", "reason"),
    [
        (["ALA", "MSE", "GLY"], ""),
        (["GLY", "GLY"], ""),
        (["ALA", "DAL", "DPN"], ""),
        (["DAL", "GLY", "DPN"], "D-amino acids"),
        (["DA", "DG", "ALA"], "nucleic acid"),
        (["HOH", "ZZZZ"], "no amino-acid residue"),
        ([], "no amino-acid residue"),
    ],
)
def test_refusal_of_what_is_no_protein(components, reason):
    assert (reason in refusal(components)) if reason else (refusal(components) == "")


@pytest.mark.parametrize(
    ("name", "code"),
    [("HISD", "H"), ("LYSH", "K"), ("ASPP", "D"), ("GLUP", "E"), ("NALA", "A"), ("CHIE", "H")],
)
def test_force_field_names_of_four_letters(name, code):
    assert letter(name) == code
    assert is_amino_acid(name)
