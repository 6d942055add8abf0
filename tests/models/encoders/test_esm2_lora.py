"""Low-rank additions: where they are, what they add, and what a checkpoint knows of them."""

import sys

import pytest
import torch

from protcontact.models.contract import ContactModel, Encoder
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.encoders.esm2_lora import PROJECTIONS, LoRAESM2
from protcontact.models.heads.bilinear import Bilinear
from protcontact.training.checkpoint import build, describe
from tests.gradflow.test_untouched import random_batch
from tests.models.encoders.test_esm2_frozen import checkpoint, vectors  # noqa: F401


def stirred(encoder):
    """As after some training."""
    torch.manual_seed(3)
    for p in encoder.parameters():
        if p.requires_grad:
            torch.nn.init.normal_(p, std=0.3)
    return encoder


def test_starts_as_it_was_imported(checkpoint):  # noqa: F811
    batch = random_batch([12, 5])
    adapted, plain = LoRAESM2(checkpoint=checkpoint), ESM2(checkpoint=checkpoint)
    assert torch.equal(vectors(adapted, batch), vectors(plain, batch))


def test_adds_a_product_of_low_rank(checkpoint):  # noqa: F811
    """Against the weights of a plain encoder with the product added by hand, in float64."""
    rank, alpha = 3, 5
    adapted = stirred(LoRAESM2(checkpoint=checkpoint, rank=rank, alpha=alpha)).double().eval()
    plain = ESM2(checkpoint=checkpoint).double().eval()
    own = dict(adapted.named_parameters())
    with torch.no_grad():
        for number in range(2):
            for name in PROJECTIONS:
                path = f"layers.{number}.self_attn.{name}"
                a, b = (own[f"{path}.lora_{part}.default.weight"] for part in "AB")
                assert a.shape == (rank, 16) and b.shape == (16, rank)
                plain.get_parameter(f"{path}.weight").add_(alpha / rank * b @ a)
    batch = random_batch([12, 5])
    found = vectors(adapted, batch)
    torch.testing.assert_close(found, vectors(plain, batch), rtol=1e-11, atol=1e-12)
    assert not torch.allclose(found, vectors(ESM2(checkpoint=checkpoint).double(), batch))
    args = batch.tokens, batch.mask
    torch.testing.assert_close(
        adapted.contact_logits(*args), plain.contact_logits(*args), rtol=1e-10, atol=1e-11
    )


def test_trains_the_additions_and_nothing_else(checkpoint):  # noqa: F811
    encoder = LoRAESM2(checkpoint=checkpoint)
    model = ContactModel(encoder, Bilinear(16)).train()
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=10.0)
    for seed in range(2):  # A moves only once B has
        optimizer.zero_grad()
        model(random_batch([20], seed)).square().mean().backward()
        optimizer.step()
    moved = {n for n, p in encoder.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n in before if ".lora_" in n}
    assert len(moved) == 2 * 2 * len(PROJECTIONS)


def test_dropout_is_noise_of_training_only(checkpoint):  # noqa: F811
    encoder = stirred(LoRAESM2(checkpoint=checkpoint, dropout=0.5))
    batch = random_batch([12])
    trained = [vectors(encoder.train(), batch) for _ in range(2)]
    assert not torch.equal(*trained)
    evaluated = [vectors(encoder.eval(), batch) for _ in range(2)]
    assert torch.equal(*evaluated)


def test_a_description_needs_no_file(checkpoint):  # noqa: F811
    encoder = stirred(LoRAESM2(checkpoint=checkpoint, rank=2, alpha=3, dropout=0.1)).eval()
    told = describe(encoder)
    assert told["init_args"]["checkpoint"] is None
    assert [told["init_args"][name] for name in ("rank", "alpha", "dropout")] == [2, 3, 0.1]
    twin = build(told, Encoder)
    twin.load_state_dict(encoder.state_dict(), strict=True)
    batch = random_batch([12])
    assert torch.equal(vectors(twin.eval(), batch), vectors(encoder, batch))


def test_without_peft(monkeypatch):
    """The command line makes of it: this needs peft, `pip install peft`."""
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModuleNotFoundError) as error:
        LoRAESM2()
    assert error.value.name == "peft"


@pytest.mark.parametrize(
    "options", [{"rank": 0}, {"alpha": 0}, {"dropout": 1.0}, {"dropout": -0.1}]
)
def test_refuses(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        LoRAESM2(**options)
