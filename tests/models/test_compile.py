"""Every encoder and head is one graph to a compiler, also where it computes its blocks twice."""

import inspect

import pytest
import torch
from torch import nn

from tests.models.discovery import ENCODERS, HEADS

CHANNELS = 4
SMALL = {  # by name: one of each part is enough for a break, and takes half the time
    "layers": 1,
    "blocks": 1,
    "checkpointing": True,
}


@pytest.fixture(autouse=True)
def _forget_what_was_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def small(kind, *first):
    parameters = inspect.signature(kind).parameters
    return kind(
        *first,
        **{
            name: value
            for name, value in SMALL.items()
            if name in parameters and isinstance(parameters[name].default, int)
        },
    ).train()


def check(module, first):
    """A break in the graph is an error."""
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    case = first, mask, torch.arange(6).expand(2, 6)
    compiled = torch.compile(module, backend="eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(*case), module(*case), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ENCODERS, ids=lambda kind: kind.__name__)
def test_an_encoder_is_one_graph(kind):
    """Compilers look into a recurrence only if told to: nothing else in its encoder breaks."""
    torch.manual_seed(0)
    encoder = small(kind)
    recurrent = any(isinstance(part, nn.RNNBase) for part in encoder.modules())
    with torch._dynamo.config.patch(allow_rnn=recurrent):
        check(encoder, torch.randint(0, 20, (2, 6)))


@pytest.mark.parametrize("kind", HEADS, ids=lambda kind: kind.__name__)
def test_a_head_is_one_graph(kind):
    torch.manual_seed(0)
    check(small(kind, CHANNELS), torch.randn(2, 6, CHANNELS))


def test_a_branch_on_numbers_is_found():
    class Broken(nn.Module):
        def forward(self, first, mask, index):
            return first if mask.all() else first * mask[..., None]

    with pytest.raises(torch._dynamo.exc.Unsupported):
        check(Broken(), torch.ones(2, 6, 1))
