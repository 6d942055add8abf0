import io

import numpy as np
import pytest
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import CIFFile, get_sequence, get_structure

from protcontact.data.synthetic.files import SyntheticChain, atom_array, mmcif_text, pdb_text
from protcontact.data.synthetic.geometry import CA, CB
from protcontact.structure.read import read_structure
from tests.data.synthetic.folds import many_folds

FORMATS = [(".cif", mmcif_text), (".pdb", pdb_text)]


@pytest.fixture(scope="module")
def chain():
    fold, sequence = many_folds()[10]
    resolved = np.ones(len(fold), dtype=bool)
    resolved[:2] = resolved[-1:] = False
    return SyntheticChain("synth_00001", sequence, fold.atoms, resolved)


def test_atoms_are_those_of_the_resolved_residues(chain):
    array = atom_array(chain)
    shown = "".join(np.array(list(chain.sequence))[chain.resolved])
    assert array.array_length() == 5 * len(shown) - shown.count("G")
    assert array.res_id.min() == 3
    assert not ((array.res_name == "GLY") & (array.atom_name == "CB")).any()


@pytest.mark.parametrize(("suffix", "text"), FORMATS)
def test_reader_finds_sequence_coordinates_and_unresolved_residues(chain, suffix, text):
    record = read_structure(text(chain).encode(), name="synth_00001" + suffix)
    (read,) = record.chains
    assert record.rejected == ()
    assert read.id == "synth_00001_A"
    assert read.sequence == chain.sequence
    assert (read.resolved == chain.resolved).all()
    numbering = [str(k + 1) for k in range(len(chain.sequence))]
    shown = np.array(read.numbering)[chain.resolved]
    assert shown.tolist() == np.array(numbering)[chain.resolved].tolist()
    assert read.method == "THEORETICAL MODEL"
    assert read.report.imputed_cb == () and read.report.modified == ()
    glycine = np.array(list(chain.sequence)) == "G"
    wanted = np.where(glycine[:, None], chain.atoms[:, CA], chain.atoms[:, CB])
    np.testing.assert_allclose(
        read.coordinates[chain.resolved], wanted[chain.resolved], atol=0.0011
    )


def test_both_formats_give_the_same_chain(chain):
    one, two = (
        read_structure(text(chain).encode(), name="x" + suffix).chains[0]
        for suffix, text in FORMATS
    )
    assert one.sequence == two.sequence
    np.testing.assert_array_equal(one.coordinates, two.coordinates)


def test_biotite_reads_what_was_written(chain):
    file = CIFFile.read(io.StringIO(mmcif_text(chain)))
    assert str(get_sequence(file)["A"]) == chain.sequence
    from_cif = get_structure(file, model=1)
    from_pdb = PDBFile.read(io.StringIO(pdb_text(chain))).get_structure(model=1)
    np.testing.assert_array_equal(from_cif.coord, from_pdb.coord)
    assert (from_cif.res_name == from_pdb.res_name).all()


def test_lines_of_a_pdb_file_have_80_columns(chain):
    lines = pdb_text(chain).splitlines()
    assert {len(line) for line in lines} == {80}
    assert sum(line.startswith("SEQRES") for line in lines) == -(-len(chain.sequence) // 13)
    assert lines[-1].startswith("END") and lines[-2].startswith("TER")
    missing = [line.split()[2:] for line in lines if line.startswith("REMARK 465     ")]
    last = len(chain.sequence)
    assert [words[1:] for words in missing if words] == [["A", str(k)] for k in (1, 2, last)]
