"""Memory: curves of the networks, checks that can fail, and sizes that are refused."""

import math

import pytest
import torch

from protcontact.gradflow.experiments import memory
from protcontact.gradflow.experiments.memory import KINDS, MemoryExperiment
from protcontact.gradflow.recall import Reader

SMALL = {"length": 60, "width": 8, "steps": 2}


@pytest.fixture(scope="module")
def result():
    return MemoryExperiment(**SMALL).run()


def test_what_is_read_of_each_network(result):
    wheres = {f"{name}, {state}" for name in KINDS for state in ("untrained", "trained")}
    curves = {
        w: [r for r in result.readings if r.where == w and r.probe == "log10_gradient"]
        for w in wheres
    }
    for where, readings in curves.items():
        assert [r.index for r in readings] == list(range(60)), where
        assert readings[0].value == 0
    reaches = {(r.where, r.probe): r.value for r in result.readings if "reach" in r.probe}
    for where, readings in curves.items():
        below = [r.index for r in readings if r.value < -3]
        assert reaches[where, "reach_1e-3"] == (below[0] if below else 60)
        beyond = [r.index for r in readings[1:] if r.value < readings[1].value - 3]
        assert reaches[where, "reach_1e-3_of_neighbour"] == (beyond[0] if beyond else 60)
    assert reaches["Transformer, untrained", "reach_1e-3_of_neighbour"] == 60
    assert reaches["RNN, tanh, untrained", "reach_1e-3_of_neighbour"] < 20
    assert all(math.isfinite(r.value) for r in result.readings if "RNN, tanh" in r.where)


def test_recall_is_told_at_the_length_of_training_and_beyond(result):
    for name in KINDS:
        shares = {
            r.index: r.value for r in result.readings if r.probe == "accuracy" and name in r.where
        }
        assert list(shares) == [32, 60, 100]
        assert all(0 <= share <= 1 for share in shares.values())


@pytest.mark.parametrize("name", ["RNN, tanh", "RNN, ReLU", "LSTM", "GRU"])
def test_a_curve_is_that_of_plain_autograd(name):
    """Sign by sign, one backward pass each."""
    torch.manual_seed(0)
    reader = Reader(KINDS[name](8), 8, 4)
    found = memory._asked(reader, torch.randint(0, 20, (1, 30)))
    squares = torch.zeros(30, dtype=torch.float64)
    for signs in found.signs:
        leaf = found.x.clone().requires_grad_()
        (answer,) = torch.autograd.grad(found.network(leaf)[0][0, -1], leaf, signs)
        squares += answer[0].square().sum(dim=1).flip(0) / len(found.signs)
    torch.testing.assert_close(found.logs, squares.log10() / 2, rtol=0, atol=1e-12)
    assert all(weight.dtype == torch.float32 for weight in reader.parameters())


@pytest.mark.parametrize(
    ("factor", "broken"),
    [(1 + 1e-9, {"W = 0.9 Q", "of the tanh", "of the relu", "chunks in"}), (1e3, {"s_max(W)"})],
)
def test_checks_notice_a_gradient_that_is_wrong(monkeypatch, factor, broken):
    """A factor at every step, hardly to be seen; and one that lifts a curve above its bound."""
    true = memory.long_memory

    def wrong(*args):
        found = true(*args)
        steps = torch.arange(found.curve.shape[1]) * math.log10(factor)
        return found._replace(curve=found.curve + steps, inputs=found.inputs + steps[:-1])

    monkeypatch.setattr(memory, "long_memory", wrong)
    failed = [check.claim for check in MemoryExperiment(**SMALL).run().checks if not check.holds]
    assert all(any(part in claim for claim in failed) for part in broken)


def test_the_matrix_is_orthogonal_to_the_last_bit():
    W = memory._orthogonal_rnn(3).weight_hh_l0.detach() / memory.RHO
    assert torch.equal((W * 4).round() / 4 @ ((W * 4).round() / 4).T, torch.eye(16).double())
    assert W.unique().tolist() == [-0.25, 0.25]


def test_the_mean_of_squares_of_numbers_that_no_float_holds():
    logs = torch.tensor([[-5000.0, -math.inf], [-5000.0, -math.inf], [-math.inf, -math.inf]])
    found = memory._rms(logs.double())
    assert float(found[0]) == pytest.approx(-5000 + math.log10(2 / 3) / 2, abs=1e-9)
    assert found[1] == -math.inf


@pytest.mark.parametrize("sizes", [{"length": 51}, {"width": 12}, {"width": 0}, {"steps": 0}])
def test_sizes_are_checked(sizes):
    with pytest.raises(ValueError, match="must be (>= 52|a multiple of 8|>= 1), not"):
        MemoryExperiment(**sizes)
