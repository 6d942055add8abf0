"""`protcontact.structure.mmcif_header`."""

import math

import pytest

from protcontact.structure.cif_text import open_text
from protcontact.structure.mmcif_header import read_header


def header_of(text):
    return read_header(open_text(b"data_X\n" + text)[0])


def test_method_resolution_and_release():
    header = header_of(
        b"_exptl.method 'X-RAY DIFFRACTION'\n#\n_refine.ls_d_res_high 1.80\n#\nloop_\n"
        b"_pdbx_audit_revision_history.ordinal\n_pdbx_audit_revision_history.revision_date\n"
        b"1 1998-04-15\n2 2009-02-24\n#\n"
    )
    assert (header.method, header.resolution) == ("X-RAY DIFFRACTION", 1.8)
    assert header.release_date == "1998-04-15"


@pytest.mark.parametrize(
    ("text", "resolution"),
    [
        (b"_em_3d_reconstruction.resolution 3.4\n", 3.4),
        (b"_refine.ls_d_res_high ?\n#\n_em_3d_reconstruction.resolution 3.4\n", 3.4),
        (b"_refine.ls_d_res_high 0.0\n", math.nan),
    ],
)
def test_resolution(text, resolution):
    assert header_of(text).resolution == pytest.approx(resolution, nan_ok=True)


def test_several_methods():
    columns = b"loop_\n_exptl.entry_id\n_exptl.method\n"
    text = columns + b"X 'x-ray diffraction'\nX 'NEUTRON DIFFRACTION'\n#\n"
    assert header_of(text).method == "X-RAY DIFFRACTION; NEUTRON DIFFRACTION"


def test_files_before_2017_date_their_release_elsewhere():
    assert (
        header_of(b"_database_PDB_rev.num 1\n_database_PDB_rev.date 1998-10-14\n").release_date
        == "1998-10-14"
    )


def test_what_is_not_told_is_empty():
    header = header_of(b"_pdbx_audit_revision_history.revision_date ?\n")
    assert (header.method, header.release_date) == ("", "")
    assert math.isnan(header.resolution)
