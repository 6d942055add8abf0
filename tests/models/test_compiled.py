"""Compiled models: how often they are compiled, what stays as it was, what is refused."""

import copy

import pytest
import torch

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.gradflow.eager import eagerly
from protcontact.metrics.loss import masked_contact_loss
from protcontact.models.compiled import compile_in_place
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.convolution import DilatedConvolution
from protcontact.models.encoders.recurrent import BiGRU, BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.attention_maps import AttentionMaps
from protcontact.models.heads.distogram import Distogram
from protcontact.models.heads.resnet import ResNet
from protcontact.structure.alphabet import PADDING

LENGTHS = [(24, 20), (32, 25), (40, 33), (16, 16), (24, 18)]


def batch(padded, real):
    torch.manual_seed(padded)
    tokens = torch.randint(0, 20, (2, padded))
    coordinates = 4 * torch.randn(2, padded, 3).cumsum(dim=1)
    tokens[:, real:] = PADDING
    coordinates[:, real:] = float("nan")
    index = torch.arange(padded).expand(2, padded)
    lengths = torch.full((2,), real)
    return ContactBatch(tokens, tokens != PADDING, coordinates, index, lengths, ("a", "b"))


class Counting:
    """A backend that compiles nothing and counts how often it was asked to."""

    def __init__(self):
        self.graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph.forward


def gradients(model, case):
    model.zero_grad(set_to_none=True)
    loss = masked_contact_loss(model(case), case)
    loss.backward()
    return torch.cat([loss.detach()[None], *(p.grad.flatten() for p in model.parameters())])


@pytest.fixture(autouse=True)
def _forget_what_was_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("encoder", "parts"),
    [(BiLSTM, ["head"]), (Transformer, ["encoder", "head"])],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_epoch_of_mixed_lengths_is_compiled_once_and_equals_eager(encoder, parts):
    torch.manual_seed(0)
    made = encoder(channels=8, layers=1)
    model = ContactModel(made, ResNet(made.out_channels, 4, 1))
    plain, names, backend = copy.deepcopy(model), list(model.state_dict()), Counting()
    assert compile_in_place(model, backend) == parts
    assert list(model.state_dict()) == names
    for case in [batch(*lengths) for lengths in LENGTHS]:
        torch.testing.assert_close(
            gradients(model, case), gradients(plain, case), rtol=1e-4, atol=1e-6
        )
    assert backend.graphs == len(parts)


def test_lengths_that_are_no_multiple_of_the_patch_are_one_graph_more():
    model = ContactModel(DilatedConvolution(8, blocks=1), ResNet(8, 4, 1))
    backend = Counting()
    compile_in_place(model, backend)
    for length in (16, 24, 17, 25):
        gradients(model, batch(length, length))
    assert backend.graphs == 3  # the encoder, and the head for even and for odd lengths


def test_what_a_distance_head_draws_is_compiled_too():
    model = ContactModel(BiGRU(4, layers=1), Distogram(8, 4, 1))
    plain, backend, case = copy.deepcopy(model), Counting(), batch(16, 12)
    compile_in_place(model, backend)
    found, expected = (one(case, draw=True).maps for one in (model, plain))
    torch.testing.assert_close(found, expected)
    assert backend.graphs == 1


def test_hooks_fire_where_probes_run_the_model_eagerly():
    model, seen = ContactModel(BiGRU(4, layers=1), ResNet(8, 4, 1)), []
    compile_in_place(model, Counting())
    model(batch(16, 16))
    model.head.blocks[0].register_forward_hook(lambda *_: seen.append(True))
    with eagerly(model):
        model(batch(16, 16))
    assert seen == [True]


def test_heads_that_look_into_the_encoder_are_refused():
    with pytest.raises(InputError, match=r"AttentionMaps looks into.*leave out --model.compile"):
        compile_in_place(ContactModel(Transformer(), AttentionMaps(32)), Counting())
