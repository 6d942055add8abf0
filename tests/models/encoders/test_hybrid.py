"""The LSTM with attention behind it, against its two halves."""

import pytest
import torch

from protcontact.gradflow.layers import trainable
from protcontact.gradflow.probe import Step
from protcontact.gradflow.recurrence import Recurrence
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.hybrid import RecurrentAttention
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.attention_maps import AttentionMaps
from protcontact.structure.alphabet import PADDING
from tests.models.encoders.test_recurrent import slow_lstm


def chains(lengths):
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randint(0, 20, mask.shape).masked_fill(~mask, PADDING), mask


def test_equals_a_loop_over_residues_and_written_out_attention():
    torch.manual_seed(0)
    encoder = RecurrentAttention(channels=4, layers=1, blocks=1, heads=2).double().eval()
    tokens, mask = chains([9])
    index = torch.tensor([[0, 1, 2, 3, 4, 300, 301, 302, 303]])
    first, block = encoder.recurrence, encoder.blocks[0]
    x = first.embedding(tokens)[0]
    y = first.norms[0](x)
    leftward = slow_lstm(first.backward_lstms[0], y.flip(0)).flip(0)
    x = x + torch.cat([slow_lstm(first.forward_lstms[0], y), leftward], dim=-1)
    q, k, v = block.qkv(block.attention_norm(x)).view(9, 3, 2, 4).permute(1, 2, 0, 3)
    phase = torch.exp(1j * index[0, :, None] * 10_000.0 ** (-torch.arange(0, 4, 2).double() / 4))
    q, k = (torch.complex(one[..., :2], one[..., 2:]) * phase for one in (q, k))
    maps = ((q[:, :, None] * k[:, None].conj()).real.sum(dim=-1) / 2).softmax(dim=-1)
    x = x + block.out((maps @ v).transpose(0, 1).reshape(9, 8))
    x = encoder.norm(x + block.mlp(x))
    # angles are formed in float32, at index 303
    torch.testing.assert_close(encoder(tokens, mask, index)[0], x, rtol=1e-4, atol=1e-4)


def test_its_attention_is_that_of_the_transformer():
    torch.manual_seed(0)
    encoder = RecurrentAttention(channels=8, blocks=2, heads=2).double().eval()
    twin = Transformer(channels=16, layers=2, heads=2, expansion=2).double().eval()
    weights = {n: v for n, v in encoder.state_dict().items() if not n.startswith("recurrence")}
    assert set(twin.load_state_dict(weights, strict=False).missing_keys) == {
        "embedding.letters.weight"
    }
    tokens, mask = chains([7, 4])
    twin.embedding.forward = lambda tokens: encoder.recurrence(tokens, mask)
    seen, expected = [], []
    shown = encoder(tokens, mask, visitor=lambda layer, maps: seen.append(maps))
    assert torch.equal(shown, twin(tokens, mask, visitor=lambda _, maps: expected.append(maps)))
    assert len(seen) == 2
    assert all(torch.equal(*both) for both in zip(seen, expected, strict=True))
    torch.testing.assert_close(shown, encoder(tokens, mask))


def test_heads_that_read_attention_work_with_it():
    torch.manual_seed(0)
    encoder, head = RecurrentAttention(channels=8, blocks=3, heads=2), AttentionMaps(16)
    ContactModel(encoder, head)
    tokens, mask = chains([7, 4])
    visitor = head.visitor()
    encoder(tokens, mask, visitor=visitor)
    assert head(visitor, mask).shape == (2, 7, 7)


def test_gradient_flow_finds_its_lstms():
    torch.manual_seed(0)
    encoder = RecurrentAttention(channels=8, layers=2)
    probe = Recurrence()
    with probe.attach(encoder):
        encoder(*chains([12])).square().sum().backward()
        pending = probe.before_update(Step(encoder, None, trainable(encoder)))
    found = [one.read(one.values.detach().double().view(1, -1)) for one in pending]
    names = {name for one in found for name in one.scalars}
    for direction in ("forward", "backward"):
        for layer in range(2):
            assert any(f"recurrence.{direction}_lstms.{layer}" in name for name in names)


@pytest.mark.parametrize("sizes", [{"blocks": 0}, {"layers": 0}, {"channels": 6, "heads": 4}])
def test_refuses(sizes):
    with pytest.raises(ValueError, match="multiple of heads"):
        RecurrentAttention(**sizes)
