"""Hidden residues, and the loss of guessing them."""

import math

import pytest
import torch

from protcontact.models.masked_residues import MaskedResidues
from protcontact.structure.alphabet import PADDING, UNKNOWN


def hidden(tokens, share, seed=0):
    torch.manual_seed(seed)
    return MaskedResidues(4, share=share).hide(tokens)


def test_shares_of_what_becomes_of_a_residue():
    tokens = torch.full((4, 10_000), 3)
    read, chosen = hidden(tokens, 0.5)
    assert abs(chosen.float().mean() - 0.5) < 0.01
    seen = read[chosen]
    # 80 % are X, 10 % random of which one in twenty is the letter itself, 10 % as they were
    assert abs((seen == UNKNOWN).float().mean() - 0.8) < 0.01
    assert abs((seen == 3).float().mean() - (0.1 + 0.1 / 20)) < 0.01
    counts = torch.bincount(seen, minlength=PADDING + 1)
    assert (counts[:UNKNOWN] > 0).all()
    assert counts[PADDING] == 0
    assert torch.equal(read[~chosen], tokens[~chosen])


def test_neither_unknown_residues_nor_padding_are_chosen():
    tokens = torch.tensor([[UNKNOWN, PADDING] * 500])
    read, chosen = hidden(tokens, 0.99)
    assert not chosen.any()
    assert torch.equal(read, tokens)


def test_loss_agrees_with_a_loop():
    torch.manual_seed(0)
    task = MaskedResidues(4).double()
    x, tokens = torch.randn(2, 7, 4, dtype=torch.float64), torch.randint(0, 20, (2, 7))
    chosen = torch.rand(2, 7) < 0.4
    assert 0 < chosen.sum() < 14
    terms = []
    for b, i in chosen.nonzero().tolist():
        scores = task.letters(x[b, i]).tolist()
        total = sum(math.exp(score) for score in scores)
        terms.append(math.log(total) - scores[int(tokens[b, i])])
    assert task(x, tokens, chosen).item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_without_a_chosen_residue_the_loss_is_zero_with_a_graph(value):
    """Or the other ranks of DDP would wait; what stands at padding may be anything."""
    task = MaskedResidues(4)
    tokens = torch.tensor([[UNKNOWN, PADDING]])
    loss = task(torch.full((1, 2, 4), value), tokens, torch.zeros(1, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert task.letters.bias.grad.tolist() == [0.0] * 20


def test_only_chosen_residues_get_a_gradient():
    torch.manual_seed(0)
    task = MaskedResidues(4)
    x = torch.randn(1, 3, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = task(x, torch.tensor([[1, UNKNOWN, PADDING]]), torch.tensor([[True, False, False]]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert (x.grad != 0).any(dim=-1).tolist() == [[True, False, False]]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan])
def test_refuses_impossible_share(share):
    with pytest.raises(ValueError, match="share must lie in"):
        MaskedResidues(4, share=share)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan])
def test_refuses_impossible_weight(weight):
    with pytest.raises(ValueError, match="weight must be positive"):
        MaskedResidues(4, weight=weight)
