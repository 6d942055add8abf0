"""Maps of both Jacobians against dense ones, all signs, loops over letters, and known couplings."""

import itertools

import pytest
import torch
from torch import nn

from protcontact.gradflow.couplings import ConditionalMean, random_precision
from protcontact.gradflow.distance import dependence
from protcontact.gradflow.jacobian import (
    as_contacts,
    categorical_map,
    encoder_outputs,
    input_of,
    jacobian_blocks,
    jacobian_map,
    logit_outputs,
    pull_back,
)
from protcontact.models.contract import Encoder
from protcontact.models.encoders.convolution import DilatedConvolution
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.resnet import ResNet
from protcontact.structure.alphabet import UNKNOWN
from tests.gradflow.test_distance import dense_blocks, woken
from tests.gradflow.test_untouched import Gram, awake, contact_model, random_batch, traces

SMALL = [(BiLSTM, {"channels": 2}), (Transformer, {"channels": 4, "heads": 2})]
small = pytest.mark.parametrize(("kind", "options"), SMALL, ids=["BiLSTM", "Transformer"])
L = 7


def chain(length=L, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 20, (length,), generator=generator), torch.arange(length)


@small
def test_blocks_are_the_dense_jacobian(kind, options):
    encoder, (tokens, index) = woken(kind, options), chain()
    truth = dense_blocks(encoder, tokens, index)
    found = jacobian_blocks(encoder_outputs(encoder, index), tokens)
    assert float(truth.abs().max()) > 1e-3
    torch.testing.assert_close(found, truth, rtol=1e-12, atol=1e-14)


@small
def test_pulling_back_is_a_product_and_agrees_with_the_curve_by_distance(kind, options):
    encoder, (tokens, index) = woken(kind, options), chain()
    outputs = encoder_outputs(encoder, index)
    blocks = jacobian_blocks(outputs, tokens)
    r = torch.randn(3, *blocks.shape[:2], dtype=torch.float64)
    expected = torch.einsum("imjc,nim->njc", blocks, r)
    torch.testing.assert_close(pull_back(outputs, tokens, r), expected, rtol=1e-11, atol=1e-13)
    source = torch.tensor([2])
    norms = dependence(encoder, tokens, index, source, r[0, 2][None])[0]
    expected = torch.einsum("mjc,m->jc", blocks[2], r[0, 2]).norm(dim=1)
    torch.testing.assert_close(norms, expected, rtol=1e-11, atol=1e-13)


def test_all_signs_are_the_frobenius_norm():
    """``E |J^T r|^2`` over the 2^M signs."""
    encoder, (tokens, index) = woken(BiLSTM, {"channels": 2}), chain()
    outputs = encoder_outputs(encoder, index)
    blocks = jacobian_blocks(outputs, tokens)
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4)), dtype=torch.float64)
    cotangents = signs[:, None].expand(-1, L, -1)
    squares = []
    for i in range(L):
        only = torch.zeros_like(cotangents)
        only[:, i] = cotangents[:, i]
        squares.append(pull_back(outputs, tokens, only).square().sum(dim=2).mean(dim=0))
    expected = blocks.square().sum(dim=(1, 3))
    torch.testing.assert_close(torch.stack(squares), expected, rtol=1e-13, atol=0)


def test_a_map_is_an_estimate_without_bias():
    encoder, (tokens, index) = woken(BiLSTM, {"channels": 2}), chain()
    outputs = encoder_outputs(encoder, index)
    expected = jacobian_blocks(outputs, tokens).square().sum(dim=(1, 3))
    N = 40
    found = jacobian_map(outputs, tokens, N, torch.Generator().manual_seed(0)).square()
    error = (2 / N) ** 0.5 * expected  # the largest that the docstring allows
    assert bool(((found - expected).abs() < 4.5 * error).all())
    assert float((found - expected).abs().max()) > 0


@small
def test_rows_of_logits_go_through_the_head(kind, options):
    """The sum of squares over all k of d logit_ik / d x_j, from the dense Jacobian."""
    encoder, (tokens, index) = woken(kind, options), chain()
    model = contact_model()
    model.encoder, model.head = encoder, ResNet(encoder.out_channels, channels=4, blocks=1).double()
    outputs = logit_outputs(model, index)

    def logits(shift):
        with input_of(encoder, (1, L), shift):
            return outputs.read(tokens[None])[0]

    zero = torch.zeros(1, L, 4, dtype=torch.float64)
    truth = torch.autograd.functional.jacobian(logits, zero)[:, :, 0]
    found = jacobian_blocks(outputs, tokens)
    torch.testing.assert_close(found, truth, rtol=1e-11, atol=1e-13)
    N = 30
    values = jacobian_map(outputs, tokens, N, torch.Generator().manual_seed(1)).square()
    expected = truth.square().sum(dim=(1, 3))
    assert bool(((values - expected).abs() < 5 * (2 / N) ** 0.5 * expected + 1e-12).all())


def test_a_gaussian_graphical_model_returns_its_couplings():
    """GRADFLOW, last row: exactly, and 0 where there is none."""
    p = random_precision(12, 2, 0.1, torch.Generator().manual_seed(3))
    model, (tokens, index) = ConditionalMean(p), chain(12)
    couplings = model.couplings()
    found = jacobian_blocks(encoder_outputs(model, index), tokens)
    torch.testing.assert_close(found, couplings, rtol=1e-12, atol=0)
    norms = couplings.square().sum(dim=(1, 3)).sqrt()
    scores = as_contacts(norms)
    coupled = (norms + norms.T) > 0
    assert int(coupled.sum()) < 0.5 * 144
    off = ~torch.eye(12, dtype=torch.bool)
    raw = (norms + norms.T)[off]
    assert raw[coupled[off]].min() > raw[~coupled[off]].max() == 0
    assert torch.equal(scores, scores.T)


@pytest.mark.parametrize("budget", [1, 500, 1 << 21])
@small
def test_the_categorical_map_is_a_loop_over_letters(kind, options, budget):
    encoder, (tokens, index) = woken(kind, options), chain()
    tokens[3] = UNKNOWN  # has 20 others
    outputs = encoder_outputs(encoder, index)
    found = categorical_map(outputs, tokens, budget)
    with torch.no_grad():
        before = outputs.read(tokens[None])[0]
        for j in range(L):
            total = torch.zeros(L, dtype=torch.float64)
            for letter in range(20):
                mutant = tokens.clone()
                mutant[j] = letter
                total += (outputs.read(mutant[None])[0] - before).square().sum(dim=1)
            torch.testing.assert_close(found[:, j], (total / 20).sqrt(), rtol=1e-9, atol=1e-14)


def test_of_a_linear_model_the_categorical_map_follows_from_the_jacobian():
    p = random_precision(9, 3, 0.2, torch.Generator().manual_seed(4))
    model, (tokens, index) = ConditionalMean(p), chain(9)
    letters = model.embedding.weight.detach()[:20]
    expected = torch.zeros(9, 9, dtype=torch.float64)
    couplings = model.couplings()
    for i, j in itertools.product(range(9), repeat=2):
        moves = (letters - letters[tokens[j]]) @ couplings[i, :, j].T
        expected[i, j] = moves.square().sum(dim=1).mean().sqrt()
    found = categorical_map(encoder_outputs(model, index), tokens)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_a_convolution_depends_on_nothing_beyond_its_reach():
    encoder = woken(DilatedConvolution, {"channels": 3, "blocks": 2})
    tokens, index = chain(12)
    outputs = encoder_outputs(encoder, index)
    beyond = (index[:, None] - index).abs() > encoder.reach
    for values in (
        jacobian_map(outputs, tokens, 2, torch.Generator()),
        categorical_map(outputs, tokens),
    ):
        assert bool((values[beyond] == 0).all()) and bool((values[~beyond] > 0).all())


def test_contact_maps_are_symmetric_and_corrected():
    values = torch.rand(6, 6, dtype=torch.float64)
    hollow = values.clone()
    hollow.fill_diagonal_(0)
    s = (hollow + hollow.T) / 2
    expected = s - s.sum(1, keepdim=True) * s.sum(0, keepdim=True) / s.sum()
    torch.testing.assert_close(as_contacts(values), expected)
    shifted = as_contacts(values + 5 * torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(shifted, expected)


def test_what_is_told_of_progress():
    encoder, (tokens, index) = woken(BiLSTM, {"channels": 2}), chain()
    steps = []
    jacobian_map(
        encoder_outputs(encoder, index), tokens, 1, torch.Generator(), lambda: steps.append(1)
    )
    categorical_map(encoder_outputs(encoder, index), tokens, advance=lambda: steps.append(2))
    assert steps == [1] * L + [2] * L


def test_measuring_leaves_no_trace():
    model, batch = contact_model(dropout=0.5), random_batch([L])
    before = traces(awake(model, batch))
    outputs = logit_outputs(model, batch.index[0])
    jacobian_map(outputs, batch.tokens[0], 1, torch.Generator())
    categorical_map(outputs, batch.tokens[0])
    assert traces(model) == before


class Deaf(Encoder):
    """Has no input vectors."""

    def __init__(self, out_channels=3):
        super().__init__()
        self.out_channels = out_channels
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, tokens, mask, index=None):
        return self.scale * tokens[..., None].expand(-1, -1, 3).double()


def test_a_model_without_input_vectors_is_refused():
    tokens, index = chain()
    with pytest.raises(ValueError, match="no submodule of Deaf returns vectors"):
        jacobian_blocks(encoder_outputs(Deaf(), index), tokens)
    model = contact_model(Deaf, Gram)
    with pytest.raises(ValueError, match="no submodule of Deaf returns vectors"):
        jacobian_map(logit_outputs(model, index), tokens, 1, torch.Generator())
