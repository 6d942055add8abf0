"""`protcontact.structure.mmcif_entities`."""

from protcontact.structure.cif_text import open_text
from protcontact.structure.mmcif_entities import Entities
from protcontact.structure.observed import Monomer
from tests.structure.builders import peptide, to_mmcif


def entities_of(**options):
    return Entities(open_text(to_mmcif(peptide("A"), **options))[0])


def test_types_and_chains():
    entities = entities_of(
        sequences={"1": "AK", "2": ["DA"]}, types={"1": "polypeptide(L)"}, asyms={"A": "1"}
    )
    assert entities.types == {"1": "polypeptide(L)"}
    assert entities.of_asym == {"A": "1"}


def test_sequence_with_numbers_and_heterogeneous_places():
    entities = entities_of(sequences={"1": ["A", ("K", "R")]}, scheme=[("A", 2, -5, "C")])
    assert entities.sequence("A", "1") == (Monomer(("ALA",)), Monomer(("LYS", "ARG"), "-5C"))
    assert entities.sequence("B", "1") == (Monomer(("ALA",)), Monomer(("LYS", "ARG")))


def test_what_the_file_does_not_say():
    entities = entities_of()
    assert entities.types == entities.of_asym == entities.sequences == {}
    assert entities.sequence("A", "1") is None


def test_rows_in_any_order():
    content = to_mmcif(peptide("A"), sequences={"1": "AK"})
    swapped = content.replace(b"1 1 ALA\n1 2 LYS\n", b"1 2 LYS\n1 1 ALA\n")
    assert swapped != content
    assert Entities(open_text(swapped)[0]).sequences == {"1": (("ALA",), ("LYS",))}
