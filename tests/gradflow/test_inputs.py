"""The input of an encoder: its gradient, a shift of it, and vectors in place of letters."""

import pytest
import torch

from protcontact.errors import InputError
from protcontact.gradflow.inputs import OnVectors, input_of
from protcontact.models.encoders.ensemble import EncoderEnsemble
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.encoders.hybrid import RecurrentAttention
from protcontact.models.encoders.transformer import Transformer
from tests.models.discovery import ENCODERS


def made(kind):
    torch.manual_seed(0)
    return kind().double().eval(), torch.randint(0, 20, (2, 9))


def embedded(encoder, letters):
    """What a letter becomes; a pretrained encoder has an alphabet of its own."""
    if isinstance(encoder, ESM2):
        return encoder.embed_tokens(encoder.ids[letters])
    own = {EncoderEnsemble: "members.0.embedding", RecurrentAttention: "recurrence.embedding"}
    return encoder.get_submodule(own.get(type(encoder), "embedding"))(letters)


@pytest.mark.parametrize("kind", ENCODERS)
def test_vectors_of_letters_say_what_letters_say(kind):
    encoder, letters = made(kind)
    vectors = embedded(encoder, letters).detach()
    assert torch.equal(OnVectors(encoder)(vectors), encoder(letters, letters >= 0))
    assert all(not part._forward_hooks for part in encoder.modules())


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_gradient_of_the_zero_is_that_of_the_vectors(kind):
    encoder, letters = made(kind)
    with input_of(encoder, (2, 9)) as found:
        y = encoder(letters, letters >= 0)
    zero, vectors = found
    assert not zero.any()
    assert torch.equal(vectors, embedded(encoder, letters))
    leaf = vectors.clone().requires_grad_()
    (true,) = torch.autograd.grad(OnVectors(encoder)(leaf).square().sum(), leaf)
    (same,) = torch.autograd.grad(y.square().sum(), zero)
    torch.testing.assert_close(same, true, rtol=1e-12, atol=1e-14)


def test_a_shift_is_added():
    encoder, letters = made(Transformer)
    shift = torch.randn(2, 9, encoder.out_channels).double()
    with input_of(encoder, (2, 9), shift):
        y = encoder(letters, letters >= 0)
    true = OnVectors(encoder)(encoder.embedding(letters) + shift)
    torch.testing.assert_close(y, true, rtol=1e-13, atol=1e-14)


def test_what_the_encoder_is_told_besides():
    encoder, letters = made(Transformer)
    seen = []
    vectors = encoder.embedding(letters)
    OnVectors(encoder, visitor=lambda layer, maps: seen.append(maps.shape))(vectors)
    assert seen == [(2, 4, 9, 9)] * 2


def test_hooks_are_gone_after_an_error():
    encoder, _ = made(Transformer)
    with pytest.raises(RuntimeError):
        OnVectors(encoder)(torch.zeros(2, 9, 3).double())  # of another width
    assert all(not part._forward_hooks for part in encoder.modules())


def test_an_ensemble_of_several_has_no_one_input():
    encoder = EncoderEnsemble([Transformer(), Transformer()])
    letters = torch.zeros(2, 9, dtype=torch.int64)
    with pytest.raises(InputError, match="an input for each member"), input_of(encoder, (2, 9)):
        encoder(letters, letters == 0)
