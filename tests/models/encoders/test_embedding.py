"""Mutations during training."""

import inspect

import pytest
import torch

from protcontact.models.encoders.embedding import ResidueEmbedding
from protcontact.models.encoders.substitution import substitution_probabilities
from protcontact.structure.alphabet import PADDING, UNKNOWN
from tests.models.discovery import ENCODERS


def mutated(tokens, corruption, substitution=0.0, seed=0):
    embedding = ResidueEmbedding(1, corruption, substitution)
    with torch.no_grad():
        embedding.letters.weight[:, 0] = torch.arange(embedding.letters.num_embeddings).float()
    torch.manual_seed(seed)
    return embedding.train()(tokens)[..., 0].long()


def test_share_of_mutations():
    tokens = torch.full((1, 20_000), 3)
    seen = mutated(tokens, 0.4)[0]
    # half of the 40 % become X; of the other half one in twenty draws the same letter again
    assert abs((seen == UNKNOWN).float().mean() - 0.2) < 0.02
    assert abs((seen == 3).float().mean() - (0.6 + 0.2 / 20)) < 0.02
    assert seen.max() <= UNKNOWN


def test_padding_is_never_mutated():
    tokens = torch.full((1, 1000), PADDING)
    assert (mutated(tokens, 0.9, 0.9) == PADDING).all()


def test_no_mutations_in_evaluation():
    embedding = ResidueEmbedding(4, 0.9, 0.9).eval()
    tokens = torch.randint(0, 20, (2, 50))
    assert torch.equal(embedding(tokens), embedding.letters(tokens))


@pytest.mark.parametrize("corruption", [-0.1, 1.0, 2.0])
def test_refuses_impossible_share(corruption):
    with pytest.raises(ValueError, match="corruption must lie in"):
        ResidueEmbedding(4, corruption)


@pytest.mark.parametrize("letter", [0, 7, 19])
def test_substitutions_are_drawn_from_blosum62(letter):
    seen = mutated(torch.full((1, 40_000), letter), 0.0, 0.5)[0]
    found = torch.bincount(seen, minlength=20).double() / 40_000
    expected = 0.5 * torch.from_numpy(substitution_probabilities()[letter])
    expected[letter] += 0.5
    assert len(found) == 20
    # five standard deviations of a share p are at most 5 sqrt(p / n)
    assert ((found - expected).abs() < 5 * (expected / 40_000).sqrt()).all()


def test_unknown_residues_are_not_substituted():
    tokens = torch.full((1, 1000), UNKNOWN)
    assert (mutated(tokens, 0.0, 1.0) == UNKNOWN).all()


def test_substitutions_leave_the_draws_of_corruption_alone():
    """Older runs are repeated digit by digit; and with both, the same residues become X."""
    tokens = torch.randint(0, 20, (2, 500), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    draw = torch.rand(tokens.shape)
    others = torch.randint(0, UNKNOWN, tokens.shape)
    expected = torch.where(draw < 0.2, torch.where(draw < 0.1, UNKNOWN, others), tokens)
    assert torch.equal(mutated(tokens, 0.2), expected)
    assert torch.equal(mutated(tokens, 0.2, 1.0) == UNKNOWN, expected == UNKNOWN)


CORRUPTED = [kind for kind in ENCODERS if "corruption" in inspect.signature(kind).parameters]


@pytest.mark.parametrize("kind", CORRUPTED, ids=lambda kind: kind.__name__)
def test_encoders_hand_it_on_and_their_weights_have_the_same_names(kind):
    encoder = kind(corruption=0.1, substitution=0.3)
    (embedding,) = (part for part in encoder.modules() if isinstance(part, ResidueEmbedding))
    assert (embedding.corruption, embedding.substitution) == (0.1, 0.3)
    assert list(encoder.state_dict()) == list(kind().state_dict())


@pytest.mark.parametrize("substitution", [-0.1, 1.1])
def test_refuses_impossible_substitution(substitution):
    with pytest.raises(ValueError, match="substitution must lie in"):
        ResidueEmbedding(4, 0.0, substitution)
