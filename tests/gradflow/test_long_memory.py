"""Costates over many steps against autograd, closed forms and a count of what is held."""

import math
import weakref

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from protcontact.gradflow.long_memory import cell_of, long_memory

KINDS = {
    "RNN": lambda: nn.RNN(3, 5, batch_first=True),
    "ReLU": lambda: nn.RNN(3, 5, batch_first=True, nonlinearity="relu", bias=False),
    "LSTM": lambda: nn.LSTM(3, 5, batch_first=True),
    "GRU": lambda: nn.GRU(3, 5, batch_first=True),
}


@pytest.fixture(params=KINDS)
def recurrence(request):
    torch.manual_seed(0)
    return KINDS[request.param]().double()


def costates(recurrence, x, cotangent):
    """By autograd through all steps at once."""
    cell = cell_of(recurrence)
    states = [x.new_zeros(cotangent.shape).requires_grad_()]
    for now in x.unbind(1):
        states.append(cell(now, states[-1]))
    return torch.autograd.grad(states[-1], states, cotangent)[::-1]


def problem(recurrence, T=40, B=2):
    generator = torch.Generator().manual_seed(1)
    size = 5 * (1 + isinstance(recurrence, nn.LSTM))
    shapes = (B, T, 3), (B, size)
    return (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)


def test_a_cell_is_a_step_of_its_module(recurrence):
    x, cotangent = problem(recurrence, T=6)
    state, cell = torch.zeros_like(cotangent), cell_of(recurrence)
    output, _ = recurrence(x)
    for t, now in enumerate(x.unbind(1)):
        state = cell(now, state)
        torch.testing.assert_close(state[:, :5], output[:, t], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("chunk", [None, 1, 7, 40, 100])
def test_costates_are_those_of_autograd(recurrence, chunk):
    x, cotangent = problem(recurrence)
    true = costates(recurrence, x, cotangent)
    found = long_memory(recurrence, x, cotangent, chunk)
    norms = torch.stack([costate.norm(dim=1) for costate in true], dim=1)
    torch.testing.assert_close(10**found.curve, norms, rtol=1e-12, atol=0)
    first = found.direction * 10 ** found.scale[:, None]
    torch.testing.assert_close(first, true[-1], rtol=1e-11, atol=1e-18)
    assert all(p.grad is None for p in recurrence.parameters())


def biases_only(forget, width=4, dtype=torch.float64):
    lstm = nn.LSTM(1, width, batch_first=True).to(dtype)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.zero_()
        lstm.bias_ih_l0[width : 2 * width] = forget
    return lstm


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-7), (torch.float64, 1e-13)])
def test_far_below_the_smallest_float(dtype, error):
    T, width = 5000, 4
    cotangent = torch.tensor([[0.0] * width + [1.0] * width], dtype=dtype)
    found = long_memory(
        biases_only(1.0, width, dtype), torch.zeros(1, T, 1, dtype=dtype), cotangent
    )
    true = T * math.log10(1 / (1 + math.exp(-1))) + math.log10(width) / 2
    assert true < -600
    assert float(found.curve[0, -1]) == pytest.approx(true, rel=error)


def test_a_relu_that_is_off_lets_nothing_through():
    rnn = nn.RNN(1, 2, batch_first=True, nonlinearity="relu")
    nn.init.constant_(rnn.bias_ih_l0, -10.0)
    found = long_memory(rnn, torch.zeros(1, 5, 1), torch.ones(1, 2))
    assert found.curve[0].tolist() == [pytest.approx(math.log10(math.sqrt(2)))] + [-math.inf] * 5


class Live(TorchDispatchMode):
    """The most tensors of one shape that are alive at once, made in here."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.alive, self.most = shape, 0, 0

    def _gone(self):
        self.alive -= 1

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Count what is made."""
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, torch.Tensor) and tensor.shape == self.shape:
                self.alive += 1
                self.most = max(self.most, self.alive)
                weakref.finalize(tensor, self._gone)
        return made


def held(T, K):
    """States and costates, ``(1, 5)`` each, that exist at once."""
    rnn = KINDS["RNN"]().double()
    x, cotangent = torch.zeros(1, T, 3).double(), torch.ones(1, 5).double()
    with Live(cotangent.shape) as live:
        long_memory(rnn, x, cotangent, K)
    return live.most


def test_memory_grows_as_the_number_of_chunks_and_their_length():
    some = 20  # of the one step that is differentiated
    for T, K in ((400, 20), (400, 100), (1600, 40), (1600, 10)):
        most = held(T, K)
        assert T / K + K <= most <= T / K + 2 * K + some, (
            T,
            K,
            most,
        )  # states, and units of a chunk
    assert held(1600, 40) < 1600 / 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(3, 5), "not Linear; there is none in it"),
        (
            lambda: nn.ModuleDict({"a": nn.GRU(3, 5), "b": nn.Linear(1, 1)}),
            "not ModuleDict; there is a",
        ),
        (lambda: nn.RNN(3, 5, num_layers=2, batch_first=True), "one layer and direction"),
        (lambda: nn.RNN(3, 5, bidirectional=True, batch_first=True), "one layer and direction"),
        (lambda: nn.RNN(3, 5), "batch first"),
        (lambda: nn.LSTM(3, 5, proj_size=2, batch_first=True), "without projection"),
    ],
)
def test_recurrences_of_another_kind(make, message):
    with pytest.raises(ValueError, match=message):
        long_memory(make(), torch.zeros(1, 4, 3), torch.zeros(1, 5))


@pytest.mark.parametrize(
    ("x", "cotangent", "chunk", "message"),
    [
        (torch.zeros(1, 0, 3), torch.zeros(1, 5), None, "not empty"),
        (torch.zeros(4, 3), torch.zeros(1, 5), None, r"\(B, T, C\)"),
        (torch.zeros(1, 4, 3), torch.zeros(1, 10), None, r"must be \(1, 5\), not \(1, 10\)"),
        (torch.zeros(1, 4, 3), torch.zeros(1, 5), 0, "chunk must be >= 1"),
    ],
)
def test_shapes_are_checked(x, cotangent, chunk, message):
    with pytest.raises(ValueError, match=message):
        long_memory(nn.RNN(3, 5, batch_first=True), x, cotangent, chunk)


def test_a_weight_that_is_not_a_number_is_named():
    rnn = nn.RNN(3, 5, batch_first=True)
    rnn.weight_hh_l0.data[0, 0] = math.inf
    with pytest.raises(ValueError, match="weight_hh_l0 of RNN is not finite"):
        long_memory(rnn, torch.zeros(1, 4, 3), torch.zeros(1, 5))
