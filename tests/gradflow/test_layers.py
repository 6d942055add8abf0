"""Gradient norms of blocks against the plain sums that they stand for."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.layers import (
    Roster,
    block_of,
    clipping,
    gradient_table,
    log_slope,
    norms,
    readings,
    summarize,
    trainable,
)
from protcontact.models.contract import ContactModel
from tests.models.discovery import ENCODERS, HEADS


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("encoder.blocks.3.mlp.1.weight", "encoder.blocks.3"),
        ("head.down.0.0.first.weight", "head.down.0"),
        ("rnn.weight_hh_l1_reverse", "rnn.l1"),
        ("weight_ih_l0", "l0"),
        ("encoder.norm.weight", "encoder.norm"),
        ("net.2.weight_ih_l0", "net.2"),
        ("scale", "scale"),
    ],
)
def test_blocks(name, block):
    assert block_of(name) == block


def small(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.LSTM(3, 4)).to(dtype)


def loss(model):
    return model(torch.randn(6, 5, dtype=next(model.parameters()).dtype))[0].square().sum()


def read(model, scale=1.0):
    parameters = trainable(model)
    table = gradient_table(parameters.tensors, scale).cpu()
    return summarize(table, parameters.names, parameters.sizes)


def test_norms_are_those_of_the_gradients_laid_end_to_end():
    model = small()
    loss(model).backward()
    found = read(model)
    assert list(found.blocks) == ["0", "2", "3"]
    everything = torch.cat([p.grad.flatten() for p in model.parameters()]).double()
    assert found.norm == pytest.approx(float(everything.norm()), rel=1e-6)
    for block, values in found.blocks.items():
        flat = torch.cat([p.grad.flatten() for p in model[int(block)].parameters()]).double()
        assert values["norm"] == pytest.approx(float(flat.norm()), rel=1e-6)
        assert values["rms"] == pytest.approx(float(flat.square().mean().sqrt()), rel=1e-6)
        assert values["max"] == float(flat.abs().max())
    assert found.nonfinite == 0
    assert found.offender == ""


@pytest.mark.parametrize("kind", ENCODERS, ids=lambda kind: kind.__name__)
def test_blocks_of_every_encoder_add_up_to_the_whole(kind):
    torch.manual_seed(0)
    encoder = kind()
    model = ContactModel(encoder, HEADS[0](encoder.out_channels))
    tokens = torch.randint(0, 20, (2, 9))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    model.head(model.encoder(tokens, mask), mask).square().sum().backward()
    found = read(model)
    assert math.fsum(v["norm"] ** 2 for v in found.blocks.values()) == pytest.approx(found.norm**2)


def test_bfloat16_gradients_are_added_in_float32():
    layer = nn.Linear(1000, 1000, bias=False).bfloat16()
    torch.manual_seed(0)
    layer.weight.grad = torch.randn(1000, 1000).bfloat16()
    truth = float(layer.weight.grad.double().norm())
    assert read(layer).norm == pytest.approx(truth, rel=1e-4)
    assert float(layer.weight.grad.norm()) != pytest.approx(truth, rel=1e-4)  # what torch gives


def test_a_loss_scale_is_taken_out():
    plain, scaled = small(), small()
    torch.manual_seed(1)
    loss(plain).backward()
    torch.manual_seed(1)
    (loss(scaled) * 1024).backward()
    found = read(scaled, torch.tensor(1024.0))
    assert found.norm == pytest.approx(read(plain).norm, rel=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_first_offender_is_named(value):
    model = small()
    loss(model).backward()
    model[2].weight.grad[1, 1] = value
    model[3].bias_hh_l0.grad[0] = value
    found = read(model)
    assert found.nonfinite == 2
    assert found.offender == "2.weight"
    assert not math.isfinite(found.blocks["2"]["max"])
    assert math.isfinite(found.blocks["0"]["norm"])


def test_finite_values_whose_squares_overflow_are_not_called_nonfinite():
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.grad = torch.full((2, 2), 1e30)
    assert read(layer).nonfinite == 0


def test_reading_leaves_the_gradients_alone():
    model = small()
    loss(model).backward()
    before = [p.grad.clone() for p in model.parameters()]
    read(model)
    assert all(torch.equal(p.grad, old) for p, old in zip(model.parameters(), before, strict=True))


def test_parameters_without_a_gradient_are_left_out():
    model = small()
    model[0].requires_grad_(False)
    loss(model).backward()
    assert list(read(model).blocks) == ["2", "3"]
    with pytest.raises(ValueError, match="before zero_grad"):
        gradient_table([])


def test_slope_of_a_geometric_sequence():
    assert log_slope([1e-6, 1e-4, 1e-2]) == pytest.approx(2.0)
    assert log_slope([1e-6, 0.0, math.nan, 1.0]) == pytest.approx(2.0)  # at places 0 and 3
    assert math.isnan(log_slope([1.0, 0.0]))


def test_clipping_is_seen_by_reading_twice():
    model = small()
    loss(model).backward()
    before = read(model)
    norms_before = gradient_table(trainable(model).tensors)[0].tolist()
    nn.utils.clip_grad_norm_(model.parameters(), before.norm / 3)
    after = gradient_table(trainable(model).tensors)[0].tolist()
    named = readings(before) | clipping(norms_before, after, trainable(model).names)
    assert named["global/norm_preclip"] == before.norm
    assert named["global/norm_postclip"] == pytest.approx(before.norm / 3, rel=1e-5)
    assert named["global/clip_coef"] == pytest.approx(1 / 3, rel=1e-5)
    first = before.blocks["0"]["norm"]
    assert named["layer/0/norm_postclip"] == pytest.approx(first / 3, rel=1e-5)
    assert named["layer/0/norm"] == before.blocks["0"]["norm"]


def test_clipping_of_nothing_and_of_what_is_not_finite():
    assert clipping([0.0], [0.0], ["a.weight"])["global/clip_coef"] == 1.0
    assert math.isnan(clipping([math.nan], [math.nan], ["a.weight"])["global/clip_coef"])


def test_norms_beyond_the_largest_square():
    found = summarize(
        torch.full((2, 2), 1e300, dtype=torch.float64), ["a.weight", "b.weight"], [1, 1]
    )
    assert found.norm == pytest.approx(math.sqrt(2) * 1e300)


def test_parameters_of_the_model_itself_have_no_depth():
    """They are listed first, whatever they are for."""
    table = torch.tensor([[1e-9, 1.0, 10.0]] * 2)
    found = summarize(table, ["scale", "net.0.weight", "net.1.weight"], [1, 1, 1])
    assert found.depth == ("net.0", "net.1")
    assert found.slope == pytest.approx(1.0)
    assert summarize(table, ["a", "b", "c"], [1, 1, 1]).depth == ("a", "b", "c")


def test_only_what_an_optimizer_moves():
    model = small()
    loss(model).backward()
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    assert trainable(model, optimizer).names == ("2.weight", "2.bias")
    assert len(trainable(model).names) > 2


def test_sparse_and_empty_parameters():
    model = nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Linear(3, 2))
    model.register_parameter("nothing", nn.Parameter(torch.zeros(0)))
    (model(torch.tensor([1, 1, 4])).square().sum() + model.nothing.sum()).backward()
    parameters = trainable(model)
    assert "nothing" not in parameters.names
    dense = model[0].weight.grad.to_dense()
    assert dense.is_sparse is False and model[0].weight.grad.is_sparse
    table = gradient_table(parameters.tensors)
    assert float(table[0, 0]) == pytest.approx(float(dense.norm()), rel=1e-6)
    assert float(table[1, 0]) == pytest.approx(float(dense.abs().max()), rel=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e-15, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_norms_are_those_in_float64(dtype, scale):
    """Large and small tensors, squares that float32 cannot hold, tensors that lie askew, zeros."""
    torch.manual_seed(0)
    tensors = [
        scale * torch.randn(1_000_003, dtype=torch.float64),
        scale * torch.randn(300, 200, dtype=torch.float64),
        scale * torch.randn(7, 5, dtype=torch.float64),
        torch.zeros(3, dtype=torch.float64),
    ]
    tensors = [tensor.to(dtype) for tensor in tensors]
    tensors.append(tensors[1].t())
    expected = [float(tensor.double().norm()) for tensor in tensors]
    assert norms(tensors).tolist() == pytest.approx(expected, rel=1e-6, abs=0)


def test_the_norm_of_a_part_that_is_not_finite():
    tensor = torch.ones(100_000)
    tensor[70_000] = math.nan
    assert math.isnan(float(norms([tensor, torch.ones(2)])[0]))
    tensor[70_000] = math.inf
    assert float(norms([tensor])[0]) == math.inf


def step_on(model):
    """Give the parameters that take part a gradient."""
    model.zero_grad()
    model(torch.ones(2, 3)).sum().backward()


def test_a_roster_finds_what_trainable_finds_when_the_optimizer_changes():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    roster = Roster()
    model[0].requires_grad_(False)
    for change in (
        lambda: None,
        lambda: optimizer.add_param_group({"params": list(model[1].parameters())}),
        lambda: model[0].requires_grad_(True),  # has a gradient, and is not moved
        lambda: optimizer.add_param_group({"params": list(model[0].parameters())}),
        lambda: model[1].requires_grad_(False),
        lambda: optimizer.param_groups.pop(0),
    ):
        change()
        step_on(model)
        found, true = roster.read(model, optimizer), trainable(model, optimizer)
        assert found.names == true.names != ()
        assert all(a is b for a, b in zip(found.tensors, true.tensors, strict=True))


def test_a_roster_asks_for_names_once(monkeypatch):
    model = nn.Linear(3, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step_on(model)
    roster = Roster()
    first = roster.read(model, optimizer)
    monkeypatch.setattr(model, "named_parameters", lambda: pytest.fail("asked again"))
    assert roster.read(model, optimizer).names == first.names == ("weight", "bias")
