"""Several chains as one input: letters, places and owners."""

import numpy as np
import pytest

from protcontact.errors import InputError
from protcontact.models.pretrained.complexes import LINKER, check_gap, join_chains


def test_a_linker_by_hand():
    joint = join_chains(["AC", "D", "EF"], linker=3)
    assert joint.sequence == "ACGGGDGGGEF"
    assert joint.index.tolist() == list(range(11))
    assert joint.chain_of.tolist() == [0, 0, -1, -1, -1, 1, -1, -1, -1, 2, 2]
    assert len(joint) == 11


def test_a_gap_by_hand():
    joint = join_chains(["AC", "D", "EF"], linker=0, gap=100)
    assert joint.sequence == "ACDEF"
    assert joint.index.tolist() == [0, 1, 102, 203, 204]
    assert joint.chain_of.tolist() == [0, 0, 1, 2, 2]


def test_one_chain_is_itself_whatever_stands_between_chains():
    for sizes in ({}, {"linker": 7}, {"linker": 0, "gap": 9}):
        joint = join_chains(["ACD"], **sizes)
        assert (joint.sequence, joint.index.tolist(), joint.chain_of.tolist()) == (
            "ACD",
            [0, 1, 2],
            [0, 0, 0],
        )


def test_the_default_is_a_linker_of_25():
    assert join_chains(["A", "C"]).sequence == "A" + 25 * "G" + "C"
    assert LINKER == 25


def test_linkers_are_cut_from_the_map():
    joint = join_chains(["AC", "D"], linker=2)
    whole = np.arange(25).reshape(5, 5)
    assert joint.cut(whole).tolist() == [[0, 1, 4], [5, 6, 9], [20, 21, 24]]
    with pytest.raises(ValueError, match="must be"):
        joint.cut(whole[:4, :4])


@pytest.mark.parametrize(
    ("chains", "sizes"),
    [([], {}), (["A", ""], {}), (["A", "C"], {"linker": -1}), (["A"], {"gap": -1})],
)
def test_senseless_input_is_refused(chains, sizes):
    with pytest.raises(ValueError, match="at least"):
        join_chains(chains, **sizes)


def test_learned_positions_have_no_gaps():
    check_gap(200, None)
    check_gap(0, 1022)
    with pytest.raises(InputError, match="--linker"):
        check_gap(200, 1022)
