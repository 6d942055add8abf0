"""Mutations during training."""

import pytest
import torch

from protcontact.models.encoders.embedding import ResidueEmbedding
from protcontact.structure.alphabet import PADDING, UNKNOWN


def mutated(tokens, corruption, seed=0):
    embedding = ResidueEmbedding(1, corruption)
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
    assert (mutated(tokens, 0.9) == PADDING).all()


def test_no_mutations_in_evaluation():
    embedding = ResidueEmbedding(4, 0.9).eval()
    tokens = torch.randint(0, 20, (2, 50))
    assert torch.equal(embedding(tokens), embedding.letters(tokens))


@pytest.mark.parametrize("corruption", [-0.1, 1.0, 2.0])
def test_refuses_impossible_share(corruption):
    with pytest.raises(ValueError, match="corruption must lie in"):
        ResidueEmbedding(4, corruption)
