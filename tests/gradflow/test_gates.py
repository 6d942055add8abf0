"""Reports on gates against loops over the cell."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.gates import belt, chrono_initialise, first_run, gate_report, of_cell

B, T, C, H = 2, 12, 3, 4


@pytest.fixture(params=[{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
def lstm(request):
    torch.manual_seed(0)
    return nn.LSTM(C, H, batch_first=True, **request.param).double()


def sequence():
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def slow(weights, x):
    """Gates ``(T, B, 4H)`` and ``|d c_T / d (h_t, c_t)|`` of one direction, step by step."""
    ih, hh, *biases = weights
    state = [torch.zeros(B, H).double().requires_grad_() for _ in range(2)]
    states, gates = [state], []
    for now in x.unbind(1):
        h, c = states[-1]
        a = now @ ih.T + h @ hh.T + (sum(biases) if biases else 0)
        i, f, g, o = a.chunk(4, dim=1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        states.append([o * c.tanh(), c])
        gates.append(torch.cat([i, f, g, o], dim=1))
    flat = [part for pair in states[1:] for part in pair]
    found = torch.autograd.grad(states[-1][1].sum(), flat, materialize_grads=True)
    norms = [torch.cat(found[k : k + 2], dim=1).norm(dim=1) for k in range(0, 2 * T, 2)]
    outputs = torch.stack([h for h, _ in states[1:]], dim=1).detach()
    return torch.stack(gates).detach(), torch.stack(norms[::-1], dim=1), outputs


def test_every_layer_and_direction_is_what_a_loop_says(lstm):
    x = sequence()
    reports = iter(gate_report(lstm, x))
    ways = 1 + lstm.bidirectional
    for level in range(lstm.num_layers):
        outputs = []
        for way in range(ways):
            report = next(reports)
            assert report.name == f"l{level}{'_reverse' if way else ''}"
            gates, norms, hidden = slow(
                lstm.all_weights[level * ways + way], x.flip(1) if way else x
            )
            outputs.append(hidden.flip(1) if way else hidden)
            for place, gate in ((0, "i"), (1, "f"), (3, "o")):
                values = gates[..., place * H : (place + 1) * H]
                assert report.means[gate] == pytest.approx(float(values.mean()), rel=1e-12)
                assert report.closed[gate] == float((values < 0.1).double().mean())
                assert report.open[gate] == float((values > 0.9).double().mean())
            full = (norms / norms[:, :1]).log10().mean(dim=0)
            assert report.full.tolist() == pytest.approx(full.tolist(), abs=1e-12)
            product, alone = torch.ones(B, H).double(), [torch.zeros(B).double()]
            for f in gates[1:, :, H : 2 * H].flip(0):
                product = product * f
                alone.append((product.norm(dim=1) / math.sqrt(H)).log10())
            wanted = torch.stack(alone).mean(dim=1)
            assert report.belt.tolist() == pytest.approx(wanted.tolist(), abs=1e-12)
        x = torch.cat(outputs, dim=2)
    assert next(reports, None) is None


def biases(forget, output=0.0):
    lstm = nn.LSTM(1, H, batch_first=True).double()
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.zero_()
        lstm.bias_ih_l0[H : 2 * H] = forget
        lstm.bias_ih_l0[2 * H : 3 * H] = 0.7
        lstm.bias_ih_l0[3 * H :] = output
    return lstm


@pytest.mark.parametrize("f", [0.5, 0.9, 0.99])
def test_the_belt_is_a_power_of_the_forget_gate(f):
    lstm = biases(math.log(f / (1 - f)))
    layer = first_run(lstm.all_weights[0], torch.zeros(1, 30, 1).double())
    power = f**29
    with torch.no_grad():
        assert float(10 ** of_cell(layer)[0, -1]) == pytest.approx(power, rel=3e-14)
        assert float(10 ** belt(layer.gates)[0, -1]) == pytest.approx(power, rel=3e-14)


def test_far_below_the_smallest_float():
    layer = first_run(biases(-10.0).all_weights[0], torch.zeros(1, 400, 1).double())
    true = 399 * math.log10(1 / (1 + math.exp(10.0)))
    with torch.no_grad():
        assert float(belt(layer.gates)[0, -1]) == pytest.approx(true, rel=1e-13)
        assert float(of_cell(layer)[0, -1]) == pytest.approx(true, rel=1e-13)


@pytest.mark.parametrize(
    ("module", "x", "message"),
    [
        (nn.GRU(C, H), sequence(), "not GRU; in it there is none"),
        (
            nn.ModuleDict({"a": nn.LSTM(1, 1), "b": nn.ModuleList([nn.LSTM(1, 1)])}),
            sequence(),
            "there is a, b.0",
        ),
        (nn.LSTM(C, H), sequence(), "batch_first=True"),
        (nn.LSTM(C, H, proj_size=2, batch_first=True), sequence(), "without proj_size"),
        (nn.LSTM(C, H, batch_first=True), torch.zeros(1, 0, C), "not empty"),
        (nn.LSTM(C, H, batch_first=True), torch.zeros(1, 4, 9), r"must be \(B, T, 3\)"),
        (nn.LSTM(C, H, batch_first=True), sequence(), "must be torch.float32, not torch.float64"),
        (nn.LSTM(C, H, batch_first=True), torch.full((1, 4, C), math.inf), "x must be finite"),
    ],
)
def test_what_cannot_be_measured(module, x, message):
    with pytest.raises(ValueError, match=message):
        gate_report(module, x)


def test_a_hook_on_the_fused_module_would_see_nothing_of_what_the_report_sees():
    """The reason why all is made again: through time, nothing reaches the output's own gradient."""
    lstm, x = nn.LSTM(C, H, batch_first=True).double(), sequence()
    output, _ = lstm(x)
    output.retain_grad()
    output[:, -1].sum().backward()
    assert torch.equal(output.grad[:, -1], torch.ones(B, H).double())
    assert not output.grad[:, :-1].any()  # the direct term, and no more
    [report] = gate_report(lstm, x)
    assert report.full.isfinite().all()
    assert (report.full[1:] < 0).all()


def test_a_weight_that_is_not_a_number_is_named():
    lstm = nn.LSTM(C, H, batch_first=True)
    lstm.weight_ih_l0.data[0, 0] = math.nan
    with pytest.raises(ValueError, match="weight_ih_l0"):
        gate_report(lstm, torch.zeros(1, 4, C))


@pytest.mark.parametrize("T", [3, 1000])
def test_chrono_biases(T):
    torch.manual_seed(0)
    lstm = nn.LSTM(2, 500, num_layers=2, batch_first=True)
    chrono_initialise(lstm, T)
    for layer in range(2):
        total = getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")
        i, f, g, o = total.detach().chunk(4)
        assert float(f.min()) >= 0 and float(f.max()) <= math.log(T - 1) + 1e-6
        assert float(f.exp().mean()) == pytest.approx(T / 2, rel=0.1)
        assert torch.equal(i, -f) and not g.any() and not o.any()
    assert float(lstm.weight_hh_l0.detach().abs().max()) > 0


def test_chrono_needs_some_steps():
    with pytest.raises(ValueError, match="longest must be >= 3"):
        chrono_initialise(nn.LSTM(1, 1), 2)
