"""Heads that compute their blocks twice give the same numbers and keep less."""

import copy

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from protcontact.gradflow.layers import trainable
from protcontact.gradflow.probe import Step
from protcontact.gradflow.taps import Costates, IdentityShare
from protcontact.models.contract import PairHead
from protcontact.models.heads.axial import Axial
from protcontact.models.heads.distogram import Distogram
from protcontact.models.heads.resnet import ResNet
from protcontact.models.heads.unet import UNet
from protcontact.training.checkpoint import build, describe

SIZES = {
    ResNet: {"channels": 8, "blocks": 4},
    UNet: {"channels": (8, 8), "blocks": (2, 2)},
    Axial: {"channels": 8, "blocks": 3},
    Distogram: {"channels": 8, "blocks": 16},
}


@pytest.fixture(params=SIZES, ids=lambda kind: kind.__name__)
def both(request):
    """A head without and one with, of the same weights."""
    torch.manual_seed(0)
    options = {**SIZES[request.param], "dropout": 0.3}
    plain = request.param(6, **options).double()
    lean = request.param(6, **options, checkpointing=True).double()
    lean.load_state_dict(plain.state_dict(), strict=True)
    return plain, lean


def inputs(L=11):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, L, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(2, L, dtype=torch.bool)
    mask[1, 7:] = False
    return x, mask


def gradients(head, probe=None):
    """Logits, gradients by weights and input, and the state of the generator behind them."""
    torch.manual_seed(2)
    x, mask = inputs()
    logits = head(x, mask)
    logits.square().sum().backward()
    found = [parameter.grad for parameter in head.parameters()]
    return [logits.detach(), x.grad, *found, torch.get_rng_state()]


def kept(head):
    """Bytes that a forward pass keeps for the way back, weights and inputs included, each once."""
    storages = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)  # or its place would be taken by another
        return tensor

    held = []
    with saved_tensors_hooks(note, lambda tensor: tensor):
        head(*inputs(L=48))
    return sum(storages.values())


def test_gradients_are_the_same_to_the_bit_with_dropout(both):
    plain, lean = (gradients(head) for head in both)
    assert all(torch.equal(*pair) for pair in zip(plain, lean, strict=True))


def test_a_fraction_is_kept(both):
    """And nothing less by chance: without the option, or in evaluation, all of it is."""
    plain, lean = both
    least = kept(plain)
    assert kept(lean) < 0.5 * least
    assert kept(lean.eval()) == kept(plain.eval())


def test_probes_see_one_call_of_each_block(both):
    seen = []
    for head in both:
        found = {}
        for probe in (IdentityShare(), Costates()):
            with probe.attach(head):
                gradients(head)
                step = Step(head, None, trainable(head))
                for pending in probe.before_update(step):
                    found |= pending.read(pending.values.view(1, -1)).scalars
        seen.append(found)
    assert seen[0] == seen[1]
    assert any(name.endswith("identity_share") for name in seen[0])


def test_checkpoints_from_before_the_option_still_load(both):
    plain, _ = both
    description = copy.deepcopy(describe(plain))
    assert description["init_args"].pop("checkpointing") is False
    old = build(description, PairHead).double()
    old.load_state_dict(plain.state_dict(), strict=True)
    x, mask = inputs()
    assert torch.equal(old.eval()(x, mask), plain.eval()(x, mask))
