"""`protcontact.structure.chain`."""

import numpy as np
import pytest

from protcontact.structure.chain import Chain


def make(**changes):
    parts = {
        "id": "x_A",
        "sequence": "ACD",
        "coordinates": np.zeros((3, 3), dtype=np.float32),
        "ca": np.zeros((3, 3), dtype=np.float32),
        "numbering": ("1", "2", "2A"),
    }
    return Chain(**(parts | changes))


def test_length_and_resolved_residues():
    coordinates = np.zeros((3, 3), dtype=np.float32)
    coordinates[1, 2] = np.nan
    chain = make(coordinates=coordinates)
    assert len(chain) == 3
    np.testing.assert_array_equal(chain.resolved, [True, False, True])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequence": ""}, "length 0"),
        ({"sequence": "ACDE"}, "coordinates"),
        ({"coordinates": np.zeros((3, 3))}, "float32"),
        ({"ca": np.zeros((2, 3), dtype=np.float32)}, "ca of chain"),
        ({"numbering": ("1", "2")}, "numbering"),
        ({"sequence": "AC*"}, "illegal letter"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)
