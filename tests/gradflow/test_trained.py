"""What is refused before anything is measured, and how chains are taken apart and chosen."""

import math
from dataclasses import replace

import pytest
import torch

from protcontact.errors import InputError
from protcontact.gradflow.trained import (
    logits_of,
    one_by_one,
    refuse_broken,
    spread_over_lengths,
)
from tests.gradflow.test_untouched import contact_model, random_batch


def test_finite_weights_pass():
    refuse_broken(contact_model())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_weight_that_is_no_number_is_named(bad):
    model = contact_model()
    with torch.no_grad():
        model.head.left.weight[1, :3] = bad
    size = model.head.left.weight.numel()
    with pytest.raises(InputError, match=rf"head\.left\.weight has 3 of {size} elements"):
        refuse_broken(model)


def test_a_buffer_counts_too():
    model = contact_model()
    model.register_buffer("scale", torch.tensor([1.0, math.nan]))
    with pytest.raises(InputError, match="scale has 1 of 2"):
        refuse_broken(model)


def test_a_mask_of_attention_may_be_infinite():
    model = contact_model()
    model.register_buffer("causal", torch.tensor([0.0, -math.inf]))
    refuse_broken(model)


def test_logits_are_those_of_eval_mode():
    model, batch = contact_model(dropout=0.5).train(), random_batch([12])
    found = logits_of(model, batch)
    assert model.training and not found.requires_grad
    assert torch.equal(found, model.eval()(batch)[0])


def test_finite_weights_that_make_nan_are_refused():
    model = contact_model()
    with torch.no_grad():
        model.head.left.weight.mul_(1e200)
        model.head.right.weight.mul_(1e200)
    with pytest.raises(InputError, match=r"the model says NaN of \d+ pairs of chain 'chain0'"):
        logits_of(model, random_batch([12]))


def test_each_chain_is_a_batch_without_padding():
    batch = random_batch([12, 7, 9], padding=3)
    found = one_by_one([batch, random_batch([5])])
    assert [b.tokens.shape for b in found] == [(1, 12), (1, 7), (1, 9), (1, 5)]
    assert [b.ids for b in found] == [("chain0",), ("chain1",), ("chain2",), ("chain0",)]
    for row, one in enumerate(found[:3]):
        L = one.tokens.shape[1]
        assert torch.equal(one.tokens[0], batch.tokens[row, :L])
        assert torch.equal(one.known()[0], batch.known()[row, :L, :L])
        assert torch.equal(one.contact()[0], batch.contact()[row, :L, :L])


def test_refuses_crops_and_nothing():
    batch = random_batch([9])
    crop = replace(batch, lengths=batch.lengths + 1)
    with pytest.raises(InputError, match="'chain0' is a crop, 9 of 10 residues"):
        one_by_one([crop])
    with pytest.raises(InputError, match="there is no chain"):
        one_by_one([])


def test_chosen_chains_go_from_the_shortest_to_the_longest():
    lengths = [50, 10, 40, 20, 30]
    assert spread_over_lengths(lengths, 3) == [1, 4, 0]
    assert spread_over_lengths(lengths, 9) == [1, 3, 4, 2, 0]
    assert spread_over_lengths(lengths, 1) == [1]
    assert spread_over_lengths(lengths, 9, shortest=20, longest=40) == [3, 4, 2]
    assert spread_over_lengths([7, 7, 7], 2) == [0, 2]


def test_refuses_a_choice_of_nothing():
    with pytest.raises(InputError, match="at least 1, not 0"):
        spread_over_lengths([3], 0)
    with pytest.raises(InputError, match="none of 2 chains has at least 5 and at most 8"):
        spread_over_lengths([3, 9], 1, shortest=5, longest=8)
