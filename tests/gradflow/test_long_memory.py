"""Costates over many steps against autograd, closed forms and a count of what is held."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.cost import LiveTensors
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
    """By autograd through all steps at once: of the states, the last first, and by x."""
    cell, leaf = cell_of(recurrence), x.clone().requires_grad_()
    states = [x.new_zeros(cotangent.shape).requires_grad_()]
    for now in leaf.unbind(1):
        states.append(cell(now, states[-1]))
    *found, by_x = torch.autograd.grad(states[-1], [*states[::-1], leaf], cotangent)
    return torch.stack(found, dim=1), by_x.flip(1)


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
    true, by_x = costates(recurrence, x, cotangent)
    found = long_memory(recurrence, x, cotangent, chunk)
    torch.testing.assert_close(10**found.curve, true.norm(dim=2), rtol=1e-13, atol=0)
    torch.testing.assert_close(10**found.inputs, by_x.norm(dim=2), rtol=1e-13, atol=0)
    first = found.direction * 10 ** found.scale[:, None]
    torch.testing.assert_close(first, true[:, -1], rtol=1e-11, atol=1e-18)
    largest = found.direction.abs().amax(dim=1)
    left = true[:, -1].any(dim=1)
    assert torch.equal(left, (largest >= 1) & (largest < 2)) and not largest[~left].any()


def test_the_gradient_by_the_input_is_that_of_the_module(recurrence):
    """Fused, in one backward pass."""
    x, cotangent = problem(recurrence)
    cotangent[:, 5:] = 0  # the module says h
    leaf = x.clone().requires_grad_()
    (true,) = torch.autograd.grad(recurrence(leaf)[0][:, -1], leaf, cotangent[:, :5])
    found = long_memory(recurrence, x, cotangent).inputs
    torch.testing.assert_close(10**found, true.norm(dim=2).flip(1), rtol=1e-12, atol=0)


def test_measuring_leaves_no_trace(recurrence):
    x, cotangent = problem(recurrence)
    weights = {name: w.clone() for name, w in recurrence.named_parameters()}
    recurrence.weight_hh_l0.grad = torch.ones_like(recurrence.weight_hh_l0)
    state = torch.random.get_rng_state()
    long_memory(recurrence, x, cotangent)
    assert recurrence.weight_hh_l0.grad.eq(1).all() and recurrence.weight_ih_l0.grad is None
    assert recurrence.training and torch.equal(torch.random.get_rng_state(), state)
    assert not x.requires_grad and not cotangent.requires_grad
    assert all(torch.equal(w, weights[n]) for n, w in recurrence.named_parameters())


def test_whatever_mode_of_gradients_is_on(recurrence):
    x, cotangent = problem(recurrence)
    true = long_memory(recurrence, x, cotangent)
    with torch.inference_mode():
        found = long_memory(recurrence, x.clone(), cotangent.clone())
    assert all(torch.equal(a, b) for a, b in zip(found, true, strict=True))


def test_rows_do_not_know_of_each_other(recurrence):
    x, cotangent = problem(recurrence)
    cotangent[0] = 0
    found = long_memory(recurrence, x, cotangent)
    alone = long_memory(recurrence, x[1:], cotangent[1:])
    assert found.curve[0].eq(-math.inf).all() and found.inputs[0].eq(-math.inf).all()
    torch.testing.assert_close(found.curve[1:], alone.curve, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(found.inputs[1:], alone.inputs, rtol=1e-13, atol=1e-13)


def biases_only(forget, width=4, dtype=torch.float64):
    lstm = nn.LSTM(1, width, batch_first=True).to(dtype)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.zero_()
        lstm.bias_ih_l0[width : 2 * width] = forget
    return lstm


def test_far_below_the_smallest_float():
    """GRADFLOW: T log f + 0.5 log H over 50,000 steps, in float32 to 8e-8."""
    T, width = 50_000, 16
    cotangent = torch.tensor([[0.0] * width + [1.0] * width])
    lstm, x = biases_only(1.0, width, torch.float32), torch.zeros(1, T, 1)
    found = float(long_memory(lstm, x, cotangent).curve[0, -1])
    true = T * math.log10(1 / (1 + math.exp(-1))) + math.log10(width) / 2
    assert true == pytest.approx(-6801.8, abs=0.05)
    assert round(abs(found / true - 1), 8) <= 8e-8
    rounded = float(torch.tensor(1.0).sigmoid())  # nearly all of that is the gate in float32
    exact = T * math.log10(rounded) + math.log10(width) / 2
    assert found == pytest.approx(exact, rel=2e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight", [1e-9, 1e9])
def test_a_chunk_that_leaves_the_range_of_floats_is_cut(dtype, weight):
    """1e-540 and 1e540 within a single chunk of 60 steps."""
    rnn = nn.RNN(1, 1, batch_first=True).to(dtype)
    with torch.no_grad():
        for w, value in zip(rnn.all_weights[0], (1.0, weight, 0.0, 0.0), strict=True):
            w.fill_(value)
    found = long_memory(rnn, torch.zeros(1, 60, 1, dtype=dtype), torch.ones(1, 1, dtype=dtype), 60)
    true = torch.arange(61, dtype=torch.float64) * math.log10(weight)
    error = 1e-7 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(found.curve[0], true, rtol=error, atol=error)
    torch.testing.assert_close(found.inputs[0], true[:-1], rtol=error, atol=error)


def test_chunks_that_are_cut_are_those_that_are_not():
    """Float32, where 19 decades are a chunk, against float64; 0.4 decades are lost per step."""
    torch.manual_seed(0)
    rnn, x = nn.RNN(3, 5, batch_first=True), torch.randn(2, 300, 3)
    cotangent = torch.randn(2, 5)
    cut = long_memory(rnn, x, cotangent, 300)
    whole = long_memory(rnn.double(), x.double(), cotangent.double(), 10)
    assert float(whole.curve[:, -1].max()) < -90
    torch.testing.assert_close(cut.curve, whole.curve, rtol=0, atol=1e-3)
    torch.testing.assert_close(cut.inputs, whole.inputs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("H", [1, 4])
def test_chrono_forgets_to_one_over_e(H):
    """GRADFLOW: ((T - 1) / T)^T, 3e-15 of the logarithm."""
    T = 1000
    cotangent = torch.tensor([[0.0] * H + [1.0] * H], dtype=torch.float64)
    lstm = biases_only(math.log(T - 1), H)
    found = long_memory(lstm, torch.zeros(1, T, 1, dtype=torch.float64), cotangent).curve[0, -1]
    true = ((T - 1) / T) ** T * math.sqrt(H)
    assert 10 ** float(found) == pytest.approx(true, rel=1e-12)


def test_an_orthogonal_recurrence_loses_rho_at_every_step():
    """GRADFLOW: rho^k at each of 1,000 distances, 1e-13."""
    rho, two = 0.9, torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    four = torch.kron(two, two)
    rnn = nn.RNN(1, 16, batch_first=True, bias=False).double()
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(rho * torch.kron(four, four) / 4)  # orthogonal to the last bit
    cotangent = torch.linspace(-1, 2, 16, dtype=torch.float64)[None]
    found = long_memory(rnn, torch.zeros(1, 1000, 1, dtype=torch.float64), cotangent).curve[0]
    true = torch.arange(1001, dtype=torch.float64) * math.log10(rho) + cotangent.norm().log10()
    assert float((10 ** (found - true) - 1).abs().max()) < 1e-13


def test_a_relu_that_is_off_lets_nothing_through():
    rnn = nn.RNN(1, 2, batch_first=True, nonlinearity="relu")
    nn.init.constant_(rnn.bias_ih_l0, -10.0)
    found = long_memory(rnn, torch.zeros(1, 5, 1), torch.ones(1, 2))
    assert found.curve[0].tolist() == [pytest.approx(math.log10(math.sqrt(2)))] + [-math.inf] * 5


def held(T, K):
    """States and costates, ``(1, 5)`` each, that exist at once."""
    rnn = KINDS["RNN"]().double()
    x, cotangent = torch.zeros(1, T, 3).double(), torch.ones(1, 5).double()
    with LiveTensors(cotangent.shape) as live:
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
        (torch.full((1, 4, 3), math.nan), torch.zeros(1, 5), None, "x is not finite"),
        (torch.zeros(1, 4, 3), torch.full((1, 5), math.inf), None, "cotangent is not finite"),
        (torch.zeros(1, 4, 3).long(), torch.zeros(1, 5), None, "float32 as the weights, not"),
        (torch.zeros(1, 4, 3), torch.zeros(1, 5).double(), None, "cotangent must be torch.float32"),
    ],
)
def test_shapes_are_checked(x, cotangent, chunk, message):
    with pytest.raises(ValueError, match=message):
        long_memory(nn.RNN(3, 5, batch_first=True), x, cotangent, chunk)


def test_a_weight_that_is_not_a_number_is_named():
    rnn = nn.RNN(3, 5, batch_first=True)
    rnn.weight_hh_l0.data[0, 0] = math.inf
    with pytest.raises(ValueError, match="weight_hh_l0 has 1 of 25 elements"):
        long_memory(rnn, torch.zeros(1, 4, 3), torch.zeros(1, 5))


def test_states_that_grow_beyond_all_floats():
    rnn = nn.RNN(1, 1, batch_first=True, nonlinearity="relu")
    for weight in rnn.parameters():
        nn.init.constant_(weight, 1e10)
    with pytest.raises(ValueError, match="a state of steps 2 ... 3 is not finite"):
        long_memory(rnn, torch.ones(1, 9, 1), torch.ones(1, 1), 2)
