"""Several encoders side by side."""

import torch

from protcontact.models.encoders.ensemble import EncoderEnsemble
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.structure.alphabet import PADDING
from protcontact.training.checkpoint import build, describe


def test_the_members_stand_one_behind_the_other():
    members = [Transformer(channels=8), BiLSTM(channels=3)]
    ensemble = EncoderEnsemble(members).eval()
    tokens = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, PADDING, PADDING]])
    mask = tokens != PADDING
    index = torch.tensor([[0, 1, 40, 41, 42], [5, 6, 7, 0, 0]])
    x = ensemble(tokens, mask, index)
    assert x.shape == (2, 5, 14) and ensemble.out_channels == 14
    assert torch.equal(x[..., :8], members[0].eval()(tokens, mask, index))
    assert torch.equal(x[..., 8:], members[1].eval()(tokens, mask, index))


def test_it_is_described_with_its_members():
    ensemble = EncoderEnsemble([Transformer(channels=8), BiLSTM(channels=3)])
    described = describe(ensemble)
    twin = build(described, EncoderEnsemble)
    assert [type(member).__name__ for member in twin.members] == ["Transformer", "BiLSTM"]
    assert describe(twin) == described
    twin.load_state_dict(ensemble.state_dict(), strict=True)
