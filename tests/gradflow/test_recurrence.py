"""Costates and gates of LSTMs against an unrolled cell with autograd, and against closed forms."""

import gc
import math
import warnings
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from protcontact.gradflow.layers import trainable
from protcontact.gradflow.probe import Step
from protcontact.gradflow.recurrence import (
    Gates,
    Layer,
    Recurrence,
    adjoint_scan,
    gate_shares,
    last_step,
    lstm_gates,
    propagate,
    reach,
    run_layer,
    slope,
)
from protcontact.models.encoders.recurrent import BiLSTM

B, T, C, H = 3, 7, 5, 4


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Unrolled:
    """One direction of one layer as a loop over a cell, everything kept for autograd.

    `entry` are zeros added to the outputs and to the last states: their gradient is what reaches
    (h_t, c_t) other than through time.
    """

    def __init__(self, x, h, c, weights):
        ih, hh, *biases = weights
        self.h, self.c, self.a, self.gates = [], [], [], []
        for t in range(x.shape[1]):
            a = x[:, t] @ ih.T + h @ hh.T + sum(biases)
            i, f, g, o = a.chunk(4, dim=1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            c = f * c + i * g
            h = o * c.tanh()
            self.h.append(h)
            self.c.append(c)
            self.a.append(a)
            self.gates.append((i, f, g, o))
        self.entry = torch.zeros(len(x), x.shape[1] + 2, h.shape[1], dtype=x.dtype)
        self.entry.requires_grad_()
        self.outputs = torch.stack(self.h, dim=1) + self.entry[:, :-2]
        self.h_n, self.c_n = h + self.entry[:, -2], c + self.entry[:, -1]

    def direct(self):
        """After backward: ``(B, T, 2H)``."""
        grad = self.entry.grad
        found = torch.cat([grad[:, :-2], torch.zeros_like(grad[:, :-2])], dim=2)
        found[:, -1] += torch.cat([grad[:, -2], grad[:, -1]], dim=1)
        return found

    def curves(self):
        """List of B lists: log10 of the relative costate by distance from the last direct one."""
        found = []
        for chain, sent in enumerate(self.direct()):
            steps = [t for t in range(len(sent)) if bool((sent[t] != 0).any())]
            if not steps:
                found.append([])
                continue
            start = steps[-1]
            seed_h, seed_c = sent[start].chunk(2)
            aim = self.h[start][chain] @ seed_h + self.c[start][chain] @ seed_c
            states = self.h[: start + 1] + self.c[: start + 1]
            grads = torch.autograd.grad(aim, states, retain_graph=True, allow_unused=True)
            norms = [
                math.hypot(*(float(0 if g is None else g[chain].norm()) for g in pair))
                for pair in zip(grads[: start + 1], grads[start + 1 :], strict=True)
            ]
            found.append([math.log10(norm / norms[-1]) for norm in reversed(norms)])
        return found


def unroll(lstm, x, initial=None):
    """Every layer and direction of a module, and what the module returns; x is ``(B, T, C)``."""
    D = 2 if lstm.bidirectional else 1
    zeros = torch.zeros(lstm.num_layers * D, len(x), lstm.hidden_size, dtype=x.dtype)
    h, c = initial or (zeros, zeros)
    found = {}
    for layer in range(lstm.num_layers):
        ways = []
        for way, suffix in enumerate(["", "_reverse"][:D]):
            place = layer * D + way
            read = x.flip(1) if way else x
            run = Unrolled(read, h[place], c[place], lstm.all_weights[place])
            found[f"l{layer}{suffix}"] = run
            ways.append(run.outputs.flip(1) if way else run.outputs)
        x = torch.cat(ways, dim=2)
    runs = found.values()
    return found, x, torch.stack([r.h_n for r in runs]), torch.stack([r.c_n for r in runs])


def make(seed=0, **settings):
    torch.manual_seed(seed)
    lstm = nn.LSTM(C, H, batch_first=True, **settings).double()
    for weight in lstm.parameters():
        nn.init.normal_(weight, std=0.7)
    return lstm


def taken_apart(seed=0, initial=True):
    """A layer, its unrolled twin, and the tensors that both start from."""
    lstm, x = make(seed), draw(B, T, C, seed=1).requires_grad_()
    h, c = (draw(B, H, seed=s) * initial for s in (2, 3))
    h, c = h.requires_grad_(), c.requires_grad_()
    weights = lstm.all_weights[0]
    with torch.no_grad():
        layer = run_layer(x, h, c, weights)
    return layer, Unrolled(x, h, c, weights), (x, h, c, weights)


def constant(f=0.5, o=0.5, g=0.25, steps=T, width=H):
    """A layer whose weights are 0, so that each gate is the same at all times; i is 1/2."""
    bias = torch.zeros(4, width, dtype=torch.float64)
    bias[1], bias[3] = math.log(f / (1 - f)), math.log(o / (1 - o))
    bias[2] = math.atanh(g)
    zeros, x = torch.zeros(1, width).double(), torch.zeros(1, steps, 1).double()
    weights = [torch.zeros(4 * width, n).double() for n in (1, width)]
    return run_layer(x, zeros, zeros, [*weights, bias.flatten(), torch.zeros_like(bias).flatten()])


def same(found, expected, tolerance=1e-13):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def measure(model, backward, probe=None, context=nullcontext):
    """``layer -> (scalars, curves)``, names below it, of what one backward pass leaves."""
    probe = probe or Recurrence()
    with probe.attach(model), context():
        backward(model)
    pending = probe.before_update(Step(model, None, trainable(model)))
    return [one.read(one.values.detach().cpu().double().view(1, -1)) for one in pending]


def merged(findings):
    scalars = {k: v for one in findings for k, v in one.scalars.items()}
    return scalars, {k: v for one in findings for k, v in one.curves.items()}


# one layer, one direction


def test_gates_and_states_are_those_of_the_loop_and_of_torch():
    layer, twin, (x, h, c, weights) = taken_apart()
    for place, gate in enumerate(layer.gates):
        same(gate, torch.stack([gates[place] for gates in twin.gates], dim=1).detach())
    same(layer.cells, torch.stack([c, *twin.c], dim=1).detach())
    outputs, (h_n, c_n) = make()(x, (h[None], c[None]))
    same(layer.hidden, outputs.detach())
    same(layer.cells[:, -1], c_n[0].detach())


def test_known_hidden_states_are_not_run_again():
    layer, _, (x, h, c, weights) = taken_apart()
    with torch.no_grad():
        again = run_layer(x, h, c, weights, layer.hidden)
    assert again.hidden is layer.hidden
    same(again.cells, layer.cells)


def test_a_layer_without_biases_is_one_whose_biases_are_zero():
    _, _, (x, h, c, weights) = taken_apart()
    with torch.no_grad():
        bare = run_layer(x, h, c, weights[:2])
        zero = run_layer(x, h, c, [*weights[:2], *(torch.zeros_like(b) for b in weights[2:])])
    same(bare.hidden, zero.hidden)
    same(bare.gates.f, zero.gates.f)


@pytest.mark.parametrize("seed", range(3))
def test_adjoint_scan_is_autograd_through_the_loop(seed):
    layer, twin, (x, h, c, weights) = taken_apart(seed)
    direct = draw(B, T, 2 * H, seed=9)
    loss = sum((torch.cat([twin.h[t], twin.c[t]], dim=1) * direct[:, t]).sum() for t in range(T))
    groups = (twin.h, twin.c, twin.a, [x, h, c, *weights])
    flat = torch.autograd.grad(loss, [tensor for group in groups for tensor in group])
    by_h, by_c, by_a = (torch.stack(flat[n * T : (n + 1) * T], dim=1) for n in range(3))
    by_x, by_h0, by_c0, by_ih, by_hh, by_bias, _ = flat[3 * T :]
    found = adjoint_scan(layer, direct)
    for one, true in ((found.h, by_h), (found.c, by_c), (found.a, by_a)):
        same(one, true)
        assert (one - true).norm().item() <= 4e-16 * true.norm().item()  # GRADFLOW's
    same(found.a @ layer.weight_ih, by_x)
    same(found.a[:, 0] @ layer.weight_hh, by_h0)
    same(found.c[:, 0] * layer.gates.f[:, 0], by_c0)
    before = torch.cat([h[:, None], layer.hidden[:, :-1]], dim=1).detach()
    same(torch.einsum("bta,btc->ac", found.a, x.detach()), by_ih)
    same(torch.einsum("bta,bth->ah", found.a, before), by_hh)
    same(found.a.sum(dim=(0, 1)), by_bias)


def test_adjoint_scan_gives_the_gradients_of_torch():
    layer, _, (x, h, c, _) = taken_apart()
    lstm, direct = make(), draw(B, T, H, seed=9)
    lstm(x, (h[None], c[None]))[0].backward(direct)
    found = adjoint_scan(layer, torch.cat([direct, torch.zeros_like(direct)], dim=2))
    same(found.a @ layer.weight_ih, x.grad)
    same(torch.einsum("bta,btc->ac", found.a, x.detach()), lstm.weight_ih_l0.grad)
    same(found.a.sum(dim=(0, 1)), lstm.bias_hh_l0.grad)


def test_propagate_is_autograd_from_one_step_of_each_chain():
    layer, twin, _ = taken_apart()
    weight = draw(B, T + 2, H, seed=9)
    weight[:, -2:] = 0
    weight[1, 4:] = 0  # ends at step 3
    weight[2] = 0  # nothing reaches this chain
    twin.entry.grad = weight
    direct = twin.direct()
    start = last_step(direct)
    assert start.tolist() == [T - 1, 3, -1]
    found = propagate(layer, direct, start)
    expected = [curve + [math.nan] * (T - len(curve)) for curve in twin.curves()]
    same(found, torch.tensor(expected, dtype=torch.float64))
    assert found.isnan().sum(dim=1).tolist() == [0, T - 4, T]


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1e300])
def test_propagate_does_not_depend_on_the_scale_of_the_loss(scale):
    layer, _, _ = taken_apart()
    direct, start = draw(B, T, 2 * H, seed=9), torch.tensor([6, 3, 5])
    same(propagate(layer, scale * direct, start), propagate(layer, direct, start), 1e-12)


def test_a_small_cotangent_does_not_underflow_before_it_is_scaled():
    layer, start = constant(o=1e-9), torch.tensor([T - 1])
    direct = torch.cat([torch.ones(1, T, H), torch.zeros(1, T, H)], dim=2).double()
    same(propagate(layer, 1e-305 * direct, start), propagate(layer, direct, start), 1e-12)


def test_the_costate_of_the_last_cell_state_alone_is_followed():
    layer, twin, _ = taken_apart()
    twin.entry.grad = torch.zeros(B, T + 2, H, dtype=torch.float64)
    twin.entry.grad[:, -1] = draw(B, H, seed=9)
    same(
        propagate(layer, twin.direct(), last_step(twin.direct())),
        torch.tensor(twin.curves(), dtype=torch.float64),
    )


# closed forms


@pytest.mark.parametrize("f", [1e-30, 0.1, 0.5, 0.9, 0.999])
def test_the_forget_gate_is_a_conveyor_belt(f):
    """W = 0: d log10 f, once the part of h is gone, which reaches no step before its own."""
    layer = constant(f=f, g=1e-3, steps=200)
    direct = torch.cat([draw(1, 200, H), torch.zeros(1, 200, H).double()], dim=2)
    curve = propagate(layer, direct, torch.tensor([199]))[0]
    distance = torch.arange(200).double()
    same(curve[1:] - curve[1], (distance[1:] - 1) * math.log10(f), 1e-12)
    h = direct[0, -1, :H]
    c = h * layer.gates.o[0, -1] * (1 - layer.cells[0, -1].tanh() ** 2)
    share = f * c.norm() / torch.cat([h, c]).norm()
    assert 10 ** float(curve[1]) == pytest.approx(float(share), rel=1e-12)


@pytest.mark.parametrize("length", [10, 1000])
def test_a_chrono_bias_keeps_one_part_in_e(length):
    """A forget bias of log(T - 1) leaves ((T - 1) / T)^T, which is about 1 / e, after T steps."""
    layer = constant(f=(length - 1) / length, steps=length + 1)
    direct = torch.cat([torch.zeros(1, length + 1, H), torch.ones(1, length + 1, H)], dim=2)
    left = 10 ** float(propagate(layer, direct.double(), torch.tensor([length]))[0, -1])
    assert left == pytest.approx(((length - 1) / length) ** length, rel=1e-11)
    assert left == pytest.approx(1 / math.e, abs=0.6 / length)


@pytest.mark.parametrize("bias", [-5.0, -10.0, -20.0])
def test_a_closed_output_gate_blocks_the_gradient(bias):
    """Of a cotangent of h, sigma(b_o) (1 - tanh^2 c_T) f^d is left on c."""
    f, o = 0.9, 1 / (1 + math.exp(-bias))
    layer = constant(f=f, o=o, steps=50)
    c = 0.0
    for _ in range(50):
        c = f * c + 0.5 * 0.25
    passed = o * (1 - math.tanh(c) ** 2)
    direct = torch.zeros(1, 50, 2 * H).double()
    direct[..., :H] = 1
    curve = propagate(layer, direct, torch.tensor([49]))[0]
    expected = math.log10(passed * f**49 / math.hypot(1, passed))
    assert float(curve[-1]) == pytest.approx(expected, rel=1e-11)
    last = torch.zeros_like(direct)
    last[:, -1, :H] = 1
    scan = adjoint_scan(layer, last)
    true = torch.full((H,), passed * f**49, dtype=torch.float64)
    torch.testing.assert_close(scan.c[0, 0], true, rtol=4e-15, atol=0)  # 49 gates, each to a bit


@pytest.mark.parametrize(
    ("dtype", "steps", "tolerance"),
    [(torch.float32, 50_000, 1e-6), (torch.float64, 5_000, 1e-12)],
    ids=["float32", "float64"],
)
def test_it_is_right_far_below_the_smallest_float(dtype, steps, tolerance):
    f = torch.tensor(1.0, dtype=dtype).sigmoid()
    gates = Gates(*[f.expand(1, steps + 1, 2)] * 4)
    zeros = torch.zeros(8, 2, dtype=dtype)
    layer = Layer(
        zeros, zeros, gates.o, gates, torch.zeros(1, 1, 1, dtype=dtype).expand(1, steps + 2, 2)
    )
    direct = torch.tensor([0, 0, 1, 1], dtype=dtype).expand(1, steps + 1, 4)
    curve = propagate(layer, direct, torch.tensor([steps]))
    decades = math.log10(1 / (1 + math.exp(-1)))
    assert steps * decades < -6800 * steps / 50_000
    assert float(curve[0, -1]) == pytest.approx(steps * decades, rel=tolerance)
    assert float(slope(curve)) == pytest.approx(decades, rel=tolerance)
    assert float(reach(curve)) == math.floor(-3 / decades) + 1


def test_a_gate_that_is_shut_leaves_nothing():
    layer = constant(f=0.5)
    layer = layer._replace(gates=layer.gates._replace(f=torch.zeros_like(layer.gates.f)))
    direct = torch.ones(1, T, 2 * H).double()
    curve = propagate(layer, direct, torch.tensor([T - 1]))
    assert curve[0].tolist() == [0.0] + [-math.inf] * (T - 1)
    assert float(reach(curve)) == 1
    assert math.isnan(float(slope(curve)))


def test_a_gradient_that_grows_beyond_the_largest_float():
    """Through the input gate alone: h_{t-1} gets w g i (1 - i) = 400 / 16 = 25 times c_t."""
    layer = constant(steps=400, width=1)
    shut = torch.zeros_like(layer.gates.f)
    weight = torch.tensor([[400.0], [0.0], [0.0], [0.0]]).double()
    layer = layer._replace(weight_hh=weight, gates=layer.gates._replace(f=shut))
    direct = torch.tensor([0.0, 1.0]).double().expand(1, 400, 2)
    curve = propagate(layer, direct, torch.tensor([399]))[0]
    log_c, expected = 0.0, [0.0]
    for t in reversed(range(399)):
        read = 0.5 * (1 - math.tanh(float(layer.cells[0, t + 1, 0])) ** 2)
        expected.append(log_c + math.log10(25 * math.hypot(1, read)))
        log_c += math.log10(25 * read)
    assert curve.tolist() == pytest.approx(expected, rel=1e-12)
    assert curve[-1] > 400


# statistics


def test_gate_shares_are_those_of_a_count():
    gates = Gates(*(draw(B, T, H, seed=s).mul(3).sigmoid() for s in range(4)))
    known = torch.arange(T) <= torch.tensor([T - 1, 2, -1])[:, None]
    found = gate_shares(gates, known)
    for row, gate in zip(found, (gates.f, gates.i, gates.o), strict=True):
        values = [v for b in range(B) for t in range(T) if known[b, t] for v in gate[b, t].tolist()]
        assert float(row[0]) == pytest.approx(sum(values) / len(values), rel=1e-13)
        bins = [sum(n / 20 <= v < (n + 1) / 20 for v in values) for n in range(20)]
        same(row[1:], torch.tensor(bins).double() / len(values))
    assert found[:, 1:].sum(dim=1).tolist() == pytest.approx([1.0] * 3)


def test_gates_at_the_ends_and_gates_that_are_nan():
    ends = torch.tensor([[[0.0, 1.0, math.nan, 0.5]]]).double()
    found = gate_shares(Gates(ends, ends, ends, ends), torch.ones(1, 1, dtype=torch.bool))[0, 1:]
    assert {n: v for n, v in enumerate(found.tolist()) if v} == {0: 0.25, 10: 0.25, 19: 0.25}
    nothing = gate_shares(Gates(ends, ends, ends, ends), torch.zeros(1, 1, dtype=torch.bool))
    assert nothing.isnan().all()


# whole modules


def expectation(name, twin):
    """What must be found for one layer and direction, in plain Python."""
    curves, length = twin.curves(), len(twin.h)
    by_distance = [[c[d] for c in curves if len(c) > d] for d in range(length)]
    mean = [sum(v) / len(v) if v else math.nan for v in by_distance]
    reaches = [next((d for d, v in enumerate(c) if v < -3), len(c)) for c in curves if c]
    scalars = {f"time/{name}/reach_1e-3": sum(reaches) / len(reaches)}
    found = {f"time/{name}/log10_costate": mean}
    for gate, place in (("i", 0), ("f", 1), ("o", 3)):
        values = [
            value
            for chain, curve in enumerate(curves)
            for t in range(len(curve))
            for value in twin.gates[t][place][chain].tolist()
        ]
        n = len(values)
        scalars[f"lstm/{name}/{gate}_mean"] = sum(values) / n
        scalars[f"lstm/{name}/{gate}_lt0.1"] = sum(v < 0.1 for v in values) / n
        scalars[f"lstm/{name}/{gate}_gt0.9"] = sum(v > 0.9 for v in values) / n
        found[f"lstm/{name}/{gate}_hist"] = [
            sum(k / 20 <= v < (k + 1) / 20 for v in values) / n for k in range(20)
        ]
    return scalars, found


MODULES = {
    "plain": {},
    "no_bias": {"bias": False},
    "stacked": {"num_layers": 3},
    "bidirectional": {"bidirectional": True},
    "stacked_bidirectional": {"num_layers": 2, "bidirectional": True},
}
LOSSES = {
    "outputs": lambda y, h, c: (y.square() * draw(*y.shape, seed=5)).sum(),
    "padded": lambda y, h, c: y[1, :4].square().sum() + y[0].sin().sum(),
    "last_output": lambda y, h, c: y[:, -1].square().sum(),
    "h_n": lambda y, h, c: (h.square() * draw(*h.shape, seed=5)).sum(),
    "c_n": lambda y, h, c: (c.square() * draw(*c.shape, seed=5)).sum(),
    "everything": lambda y, h, c: y.square().sum() + h.sin().sum() + 3 * c.square().sum(),
}


@pytest.mark.parametrize("initial", [False, True], ids=["from_zero", "initial"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", MODULES)
def test_modules_against_the_unrolled_one(kind, loss, initial):
    lstm, x = make(**MODULES[kind]), draw(B, T, C, seed=1)
    n = len(lstm.all_weights)
    states = (draw(n, B, H, seed=2), draw(n, B, H, seed=3)) if initial else None

    def backward(model):
        y, (h, c) = model[0](x, states)
        LOSSES[loss](y, h, c).backward()

    scalars, curves = merged(measure(nn.Sequential(lstm), backward))
    twins, *outputs = unroll(lstm, x, states)
    LOSSES[loss](*outputs).backward(retain_graph=True)
    slopes = {name for name in scalars if name.endswith("slope_log10")}
    wanted_scalars, wanted_curves = {}, {}
    for label, twin in twins.items():
        name = f"0.{label}" if n > 1 else "0"
        more, others = expectation(name, twin)
        wanted_scalars |= more
        wanted_curves |= others
        padded = [c + [math.nan] * (T - len(c)) for c in twin.curves()]
        expected = float(slope(torch.tensor(padded, dtype=torch.float64)))
        assert scalars[f"time/{name}/slope_log10"] == pytest.approx(
            expected, rel=1e-11, nan_ok=True
        )
    assert scalars.keys() == wanted_scalars.keys() | slopes
    assert curves.keys() == wanted_curves.keys()
    for name, value in wanted_scalars.items():
        assert scalars[name] == pytest.approx(value, rel=1e-11), name
    for name, values in wanted_curves.items():
        assert curves[name] == pytest.approx(values, rel=1e-11, abs=1e-11, nan_ok=True), name


def test_time_first_is_batch_first_transposed():
    x = draw(B, T, C, seed=1)
    first = make(num_layers=2)
    second = nn.LSTM(C, H, num_layers=2).double()
    second.load_state_dict(first.state_dict())
    found = measure(first, lambda m: m(x)[0][:, :5].square().sum().backward())
    turned = measure(second, lambda m: m(x.transpose(0, 1))[0][:5].square().sum().backward())
    assert len(found) == 2
    for one, other in zip(found, turned, strict=True):
        assert one.scalars == pytest.approx(other.scalars, rel=1e-12)
        for name, values in one.curves.items():
            assert other.curves[name] == pytest.approx(values, rel=1e-12, nan_ok=True)


def test_arguments_by_name():
    lstm, x, state = make(), draw(B, T, C, seed=1), draw(1, B, H, seed=2)
    by_place = measure(lstm, lambda m: m(x, (state, state))[0].square().sum().backward())
    by_name = measure(lstm, lambda m: m(hx=(state, state), input=x)[0].square().sum().backward())
    from_zero = measure(lstm, lambda m: m(x)[0].square().sum().backward())
    assert by_name == by_place
    assert from_zero != by_place


def test_padding_does_not_count():
    """The encoder's two chains, one padded, against each of them alone."""
    torch.manual_seed(0)
    encoder = BiLSTM(channels=3, layers=2).double()
    tokens = torch.randint(0, 20, (2, 9))
    mask = torch.arange(9) < torch.tensor([9, 5])[:, None]

    def found(rows, length):
        def backward(model):
            model(tokens[rows, :length], mask[rows, :length]).square().sum().backward()

        return merged(measure(encoder, backward))

    both, long, short = found([0, 1], 9), found([0], 9), found([1], 5)
    layers = [f"{way}_lstms.{n}" for n in range(2) for way in ("forward", "backward")]
    assert {name.split("/")[1] for name in both[0]} == set(layers)
    for layer in layers:
        curve = both[1][f"time/{layer}/log10_costate"]
        alone, other = (each[1][f"time/{layer}/log10_costate"] for each in (long, short))
        mean = [(a + b) / 2 for a, b in zip(alone[:5], other, strict=True)]
        assert curve == pytest.approx(mean + alone[5:], rel=1e-10)
        assert alone[1:5] != pytest.approx(other[1:], rel=1e-3)
        for gate in "fio":
            mean = (9 * long[0][f"lstm/{layer}/{gate}_mean"]) / 14
            mean += (5 * short[0][f"lstm/{layer}/{gate}_mean"]) / 14
            assert both[0][f"lstm/{layer}/{gate}_mean"] == pytest.approx(mean, rel=1e-12)


def test_a_module_that_is_the_model_has_a_name():
    (found,) = measure(make(), lambda m: m(draw(B, T, C))[0].sum().backward())
    assert "time/l0/slope_log10" in found.scalars


def test_wrappers_are_not_part_of_a_name():
    model = nn.ModuleDict({"_orig_mod": nn.ModuleDict({"rnn": make()})})
    (found,) = measure(model, lambda m: squares(m["_orig_mod"]["rnn"]))
    assert "time/rnn/slope_log10" in found.scalars


def test_it_may_be_read_before_the_hooks_are_gone():
    lstm, probe = make(), Recurrence()
    with probe.attach(lstm):
        squares(lstm)
        (pending,) = probe.before_update(Step(lstm, None, trainable(lstm)))
    assert [pending.read(pending.values[None])] == measure(lstm, squares)


# what it leaves alone


def squares(model, seed=1):
    model(draw(B, T, C, seed=seed))[0].square().sum().backward()


def test_a_model_without_a_recurrence_has_nothing_to_tell():
    model = nn.Linear(C, 1).double()
    assert measure(model, lambda m: m(draw(B, C)).sum().backward()) == []


def test_only_passes_with_a_gradient_are_kept():
    lstm, probe = make(), Recurrence()

    def without(model):
        with torch.no_grad():
            model(draw(B, T, C))

    assert measure(lstm, without, probe) == []
    assert measure(lstm, lambda m: m(draw(B, T, C)), probe) == []  # its output was not used

    def validated(model):
        squares(model)
        without(model)

    assert measure(lstm, validated, probe) == measure(lstm, squares, probe) != []
    for weight in lstm.parameters():
        weight.requires_grad_(False)
    assert measure(lstm, lambda m: m(draw(B, T, C)), probe) == []


def test_the_last_of_several_calls_is_kept():
    lstm = make()

    def accumulated(model):
        squares(model, seed=4)
        squares(model, seed=1)

    def shared(model):
        losses = [model(draw(B, T, C, seed=s))[0].square().sum() for s in (4, 1)]
        sum(losses).backward()

    alone = measure(lstm, squares)
    assert measure(lstm, accumulated) == alone
    assert measure(lstm, shared) == alone
    assert measure(lstm, lambda m: squares(m, seed=4)) != alone


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_runs_the_forward_pass_twice(reentrant):
    lstm = make()

    def backward(model):
        x = draw(B, T, C, seed=1).requires_grad_()
        y = checkpoint(lambda x: model(x)[0], x, use_reentrant=reentrant)
        y.square().sum().backward()

    assert measure(lstm, backward) == measure(lstm, squares) != []


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules())


def test_hooks_are_gone_afterwards():
    model, probe = nn.Sequential(make()), Recurrence()
    with probe.attach(model):
        output, _ = model[0](draw(B, T, C))
        assert hooks(model) == 1
    assert hooks(model) == 0
    output.sum().backward()
    assert probe.before_update(Step(model, None, trainable(model))) == []


def test_hooks_and_tensors_are_gone_after_an_exception():
    model, probe = nn.Sequential(make()), Recurrence()
    with pytest.raises(KeyError, match="of the model"), probe.attach(model):
        squares(model[0])
        raise KeyError("of the model")
    assert hooks(model) == 0
    assert probe.before_update(Step(model, None, trainable(model))) == []
    assert measure(model, lambda m: squares(m[0]), probe) == measure(model, lambda m: squares(m[0]))


def kept(length):
    """Tensors alive with a time axis of this length."""
    gc.collect()
    return sum(isinstance(o, torch.Tensor) and length in o.shape for o in gc.get_objects())


def test_tensors_are_freed_once_they_are_read():
    lstm, probe = make(), Recurrence()

    def run():
        with probe.attach(lstm):
            lstm(draw(B, 37, C))[0].sum().backward()

    run()
    assert kept(37) > 0
    pending = probe.before_update(Step(lstm, None, trainable(lstm)))
    assert kept(37) == 0
    assert [one.values.shape for one in pending] == [(3 * 21 + 2 + 37,)]
    run()
    with probe.attach(lstm):
        assert kept(37) == 0


def test_measuring_changes_nothing():
    torch.manual_seed(0)
    lstm = nn.LSTM(C, H, 2, batch_first=True).double()
    model = nn.ModuleList([lstm, nn.Dropout(0.5)])

    def backward(model):
        torch.manual_seed(3)
        model[1](model[0](draw(B, T, C))[0]).square().sum().backward()

    def left():
        return [p.grad.clone() for p in model.parameters()], torch.get_rng_state(), torch.rand(1)

    backward(model)
    grads, state, number = left()
    model.zero_grad()
    assert len(measure(model, backward)) == 2
    now_grads, now_state, now_number = left()
    assert all(torch.equal(a, b) for a, b in zip(grads, now_grads, strict=True))
    assert torch.equal(state, now_state)
    assert torch.equal(number, now_number)
    assert all(module.training for module in model.modules())
    assert torch.is_grad_enabled()


class NoSync(TorchDispatchMode):
    """Fails where a number would have to reach the host, or a shape depends on one."""

    BAD = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal.")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function)
        by_mask = "index" in name and any(
            isinstance(i, torch.Tensor) and i.dtype == torch.bool
            for i in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ())
        )
        if by_mask or any(bad in name for bad in self.BAD):
            raise AssertionError(f"{name} makes a GPU wait")
        return function(*args, **(kwargs or {}))


def test_the_device_never_waits():
    lstm, probe = make(num_layers=2, bidirectional=True), Recurrence()
    with probe.attach(lstm):
        squares(lstm)
    with NoSync():
        pending = probe.before_update(Step(lstm, None, trainable(lstm)))
        with pytest.raises(AssertionError, match="wait"):
            pending[0].values[pending[0].values > 0]
        with pytest.raises(AssertionError, match="wait"):
            pending[0].values[0].item()
    assert len(pending) == 4


def test_autocast_is_switched_off_for_the_measurement():
    torch.manual_seed(0)
    lstm, x = nn.LSTM(C, H, 2, batch_first=True), draw(B, T, C).float()

    def found(passes, measurement):
        probe = Recurrence()
        with probe.attach(lstm):
            with torch.autocast("cpu", torch.bfloat16, enabled=passes):
                y, _ = lstm(x)
            assert y.dtype == (torch.bfloat16 if passes else torch.float32)
            y.float().square().sum().backward()
        with torch.autocast("cpu", torch.bfloat16, enabled=measurement):
            pending = probe.before_update(Step(lstm, None, trainable(lstm)))
        return merged([one.read(one.values[None]) for one in pending])

    exact, rough = found(False, False), found(True, False)
    assert found(False, True) == exact
    assert found(True, True) == rough != exact
    for layer in ("l0", "l1"):
        name = f"time/{layer}/log10_costate"
        assert rough[1][name] == pytest.approx(exact[1][name], abs=0.02)
        for gate in "fio":
            name = f"lstm/{layer}/{gate}_mean"
            assert rough[0][name] == pytest.approx(exact[0][name], abs=2e-3)


def test_a_model_in_bfloat16_is_measured_in_float32_from_what_it_gave_out():
    torch.manual_seed(0)
    lstm, x, outputs = nn.LSTM(C, H, batch_first=True).bfloat16(), draw(B, T, C).bfloat16(), []

    def backward(model):
        outputs.append(model(x)[0])
        outputs[0].square().sum().backward()

    scalars, _ = merged(measure(lstm, backward))
    before = torch.cat([torch.zeros(B, 1, H), outputs[0][:, :-1]], dim=1).double()
    ih, hh, *biases = (weight.double() for weight in lstm.all_weights[0])
    gates = lstm_gates(x.double(), before, ih, hh, sum(biases))
    for gate in "fio":
        mean = float(getattr(gates, gate).detach().mean())
        assert scalars[f"lstm/l0/{gate}_mean"] == pytest.approx(mean, rel=1e-6)


# what it cannot measure


def packed(model):
    for module in model.children():
        batch = pack_padded_sequence(draw(B, T, C), torch.tensor([7, 5, 2]), batch_first=True)
        module(batch)[0].data.square().sum().backward()


class Shard(nn.Parameter):
    """What tells a part of a parameter from a whole one."""

    def to_local(self):
        return self.data


def sharded(lstm):
    lstm.weight_hh_l0 = Shard(lstm.weight_hh_l0.data)
    return lstm


@pytest.mark.parametrize(
    ("lstm", "backward", "advice"),
    [
        (lambda: make(), packed, "give it a padded batch"),
        (lambda: make(proj_size=2), lambda m: squares(m.rnn), "nn.Linear behind"),
        (
            lambda: make(num_layers=2, dropout=0.5),
            lambda m: squares(m.rnn),
            "split it into one nn.LSTM per layer",
        ),
        (
            lambda: make(),
            lambda m: m.rnn(draw(T, C))[0].sum().backward(),
            "give it a batch of one",
        ),
        (lambda: sharded(make()), lambda m: squares(m.rnn), "leave it out of FSDP"),
    ],
    ids=["packed", "proj_size", "dropout", "unbatched", "sharded"],
)
def test_what_it_cannot_measure_is_named(lstm, backward, advice):
    model = nn.ModuleDict({"rnn": lstm()})
    with pytest.warns(UserWarning, match=f"rnn: .*{advice}"):
        assert measure(model, backward) == []


def test_one_warning_names_them_all_once():
    model = nn.ModuleDict({"a": make(), "b": make(proj_size=2), "c": make(proj_size=3)})
    probe = Recurrence()

    def backward(model):
        for module in model.children():
            squares(module)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [measure(model, backward, probe) for _ in range(2)]
    assert [len(each) for each in found] == [1, 1]
    (only,) = caught
    assert only.filename == __file__
    assert "b: proj_size" in str(only.message)
    assert "c: proj_size" in str(only.message)
    assert "a:" not in str(only.message)


@pytest.mark.filterwarnings("ignore:dropout option adds dropout")
@pytest.mark.parametrize(("layers", "training"), [(2, False), (1, True)])
def test_dropout_that_does_not_act_is_no_obstacle(layers, training):
    lstm = make(num_layers=layers, dropout=0.5).train(training)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(measure(lstm, squares)) == layers
