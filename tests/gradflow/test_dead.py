"""Units without a gradient are counted, embeddings are not."""

import pytest
import torch
from torch import nn

from protcontact.gradflow.dead import DeadUnits, dead_rows
from protcontact.gradflow.layers import trainable
from protcontact.gradflow.probe import Step
from protcontact.gradflow.transfer import ship


def shares(model):
    pending = DeadUnits().before_update(Step(model, None, trainable(model)))
    return {k: v for one in ship(pending).read() for k, v in one.scalars.items()}


def test_units_behind_a_relu_that_is_never_positive():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        model[0].bias[:6] = -100.0
    model(torch.randn(16, 3)).square().sum().backward()
    assert shares(model) == {"dead/0/share": 0.75, "dead/2/share": 0.0}


def test_letters_that_a_batch_lacks_are_not_dead():
    model = nn.Sequential(nn.Embedding(20, 4), nn.Linear(4, 2))
    model(torch.tensor([1, 2])).sum().backward()
    assert list(shares(model)) == ["dead/1/share"]


def test_rows_are_counted_over_all_their_weights():
    weight = nn.Parameter(torch.zeros(3, 2, 2))
    weight.grad = torch.zeros(3, 2, 2)
    weight.grad[1, 1, 0] = 1e-30
    assert dead_rows([weight]).tolist() == [2.0]


def test_a_model_without_matrices():
    model = nn.LayerNorm(3)
    model(torch.randn(2, 3)).sum().backward()
    assert shares(model) == {}
    assert pytest.approx(0.0) == float(dead_rows([model.weight]))


def test_a_table_of_positions_is_not_a_layer():
    model = nn.Module()
    model.positions = nn.Parameter(torch.zeros(10, 3))
    model.rnn = nn.LSTM(3, 2)
    model.rnn(model.positions[:2])[0].sum().backward()
    assert list(shares(model)) == ["dead/rnn.l0/share"]
