"""How far back through time does the gradient of a recurrence travel, and what do its gates do?

An LSTM (Hochreiter and Schmidhuber 1997) steps forward by

    a_t = W_ih x_t + W_hh h_{t-1} + b        i, f, o = sigmoid(a), g = tanh(a)
    c_t = f_t c_{t-1} + i_t g_t              h_t = o_t tanh(c_t)

and its costate, the gradient of the loss with respect to (h_t, c_t), steps backward by

    lambda_h_t = direct_h_t + W_hh^T lambda_a_{t+1}
    lambda_c_t = direct_c_t + f_{t+1} lambda_c_{t+1} + o_t (1 - tanh^2 c_t) lambda_h_t
    lambda_a_t = (g i (1-i) lambda_c, c_{t-1} f (1-f) lambda_c, i (1-g^2) lambda_c,
                  tanh(c) o (1-o) lambda_h)

where direct_t is what the loss and the layers above send to the state other than through time.
Shapes: B chains, T time steps, C input channels, H channels of h and of c. A costate has 2H, h
before c. Weights and pre-activations a are in torch's order i, f, g, o.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, islice, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from protcontact.gradflow.curves import reach, slope
from protcontact.gradflow.layers import is_sharded, plain_name
from protcontact.gradflow.linear import LinearMap, log_norms, scaled, scan_scaled, steps
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe

BINS = 20


class Gates(NamedTuple):
    """Input gate, forget gate, candidate and output gate, each ``(B, T, H)``."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor


class Layer(NamedTuple):
    """What one direction of one layer has done, in the order of its own time.

    Shapes ``(4H, C)``, ``(4H, H)``, ``(B, T, H)``; the rest from `lstm_gates` and `cell_states`.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    hidden: Tensor
    gates: Gates
    cells: Tensor


class Adjoint(NamedTuple):
    """Gradients by h, c ``(B, T, H)``, and the derivatives of (c, c, c, h) by a ``(B, T, 4H)``."""

    h: Tensor
    c: Tensor
    by_a: Tensor

    @property
    def a(self) -> Tensor:
        """``(B, T, 4H)``: gradients by a; that by x is ``a @ weight_ih``."""
        return self.by_a * torch.cat([self.c, self.c, self.c, self.h], dim=2)


def lstm_gates(
    x: Tensor, h_before: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor | None
) -> Gates:
    """All gates of all time steps at once.

    Args:
        x: ``(B, T, C)`` inputs.
        h_before: ``(B, T, H)`` hidden states of the step before.
        weight_ih: ``(4H, C)``.
        weight_hh: ``(4H, H)``.
        bias: ``(4H,)``, the sum of torch's two.
    """
    a = nn.functional.linear(x, weight_ih, bias)
    a += nn.functional.linear(h_before, weight_hh)
    i, f, g, o = (a.unflatten(2, (4, -1))[:, :, gate] for gate in range(4))
    return Gates(i.sigmoid_(), f.sigmoid_(), g.tanh_(), o.sigmoid_())  # a is as large as all else


def cell_states(gates: Gates, initial: Tensor) -> Tensor:
    """``(B, T, H) gates, (B, H) -> (B, T + 1, H)``: the initial cell state, then each step's."""
    cells = [initial]
    for f, update in zip(gates.f.unbind(1), (gates.i * gates.g).unbind(1), strict=True):
        cells.append(torch.addcmul(update, f, cells[-1]))
    return torch.stack(cells, dim=1)


def run_layer(
    x: Tensor, h: Tensor, c: Tensor, weights: list[Tensor], hidden: Tensor | None = None
) -> Layer:
    """``(B, T, C), (B, H), (B, H), ..., (B, T, H)``: take a layer apart.

    It starts from h and c, and is run first if its hidden states are not known. The weights are
    ``[weight_ih, weight_hh]`` and, of a layer that has them, ``bias_ih, bias_hh``.
    """
    ih, hh, *biases = weights
    if hidden is None:
        states = [(h, c)]
        for now in x.unbind(1):  # torch.lstm would go to cuDNN, which wants weights in one piece
            states.append(torch.lstm_cell(now, states[-1], *weights))
        hidden = torch.stack([state for state, _ in states[1:]], dim=1)
    before = torch.cat([h[:, None], hidden[:, :-1]], dim=1)
    gates = lstm_gates(x, before, ih, hh, biases[0] + biases[1] if biases else None)
    return Layer(ih, hh, hidden, gates, cell_states(gates, c))


class _Slopes(NamedTuple):
    """Of each step: of c_t by c_{t-1}, of h by c ``(B, T, H)``, of (c, c, c, h) by a."""

    forget: Tensor
    read: Tensor
    by_a: Tensor


def _slopes(layer: Layer) -> _Slopes:
    (i, f, g, o), y = layer.gates, layer.cells[:, 1:].tanh()
    by_a = i.new_empty(*i.shape[:2], 4, i.shape[2])
    torch.mul(g, torch.addcmul(i, i, i, value=-1), out=by_a[:, :, 0])
    torch.mul(layer.cells[:, :-1], torch.addcmul(f, f, f, value=-1), out=by_a[:, :, 1])
    torch.addcmul(i, i * g, g, value=-1, out=by_a[:, :, 2])
    torch.mul(y, torch.addcmul(o, o, o, value=-1), out=by_a[:, :, 3])
    return _Slopes(f, torch.addcmul(o, o * y, y, value=-1), by_a.flatten(2))


def _maps(layer: Layer, slopes: _Slopes) -> Iterator[LinearMap]:
    """Total costates ``(B, 2H)`` of a step to those of the step before, the last step first.

    Total: c has what h sends it.

    Yields:
        T - 1 maps.
    """

    def step(forget: Tensor, by_a: Tensor, read: Tensor, v: Tensor) -> Tensor:
        h, c = v.chunk(2, dim=1)
        below = (by_a * torch.cat([c, c, c, h], dim=1)) @ layer.weight_hh
        return torch.cat([below, torch.addcmul(c * forget, below, read)], dim=1)

    derivatives = zip(*(reversed(values.unbind(1)) for values in slopes), strict=True)
    for (forget, _, by_a), (_, read, _) in pairwise(derivatives):
        yield partial(step, forget, by_a, read)


def _total(direct: Tensor, read: Tensor) -> Tensor:
    """``(..., 2H), (..., H) -> (..., 2H)``: what is sent to (h, c), with what h sends to c."""
    h, c = direct.chunk(2, dim=-1)
    return torch.cat([h, torch.addcmul(c, h, read)], dim=-1)


def adjoint_scan(layer: Layer, direct: Tensor) -> Adjoint:
    """The total costate at each step.

    Args:
        layer: What the recurrence has done.
        direct: ``(B, T, 2H)``, what reaches (h_t, c_t) other than through time.
    """
    slopes = _slopes(layer)
    last, *before = reversed(_total(direct, slopes.read).unbind(1))
    found = list(steps(last, _maps(layer, slopes), before))
    h, c = torch.stack(found[::-1], dim=1).chunk(2, dim=2)
    return Adjoint(h, c, slopes.by_a)


def last_step(direct: Tensor) -> Tensor:
    """``(B, T, 2H) -> (B,)``: last step with a direct cotangent, where padding begins; -1: none."""
    place = torch.arange(direct.shape[1], device=direct.device)
    return torch.where((direct != 0).any(dim=2), place, -1).amax(dim=1)


def propagate(layer: Layer, direct: Tensor, start: Tensor) -> Tensor:
    """How the cotangent of one time step grows or vanishes on its way back through time.

    In logarithms, which are exact far below the smallest float.

    Args:
        layer: What the recurrence has done.
        direct: ``(B, T, 2H)``, as in `adjoint_scan`, of which one time step is used.
        start: ``(B,)``: that step; -1: none.

    Returns:
        ``(B, T)`` float64: log10 of ``|(lambda_h, lambda_c)|`` at distance 0, 1, ... from the
        start over that at distance 0. -inf where it is 0, NaN before the first step.
    """
    B, T, H2 = direct.shape
    slopes = _slopes(layer)
    at = start.clamp(min=0)[:, None, None]
    seed = direct.gather(1, at.expand(B, 1, H2))[:, 0]
    read = slopes.read.gather(1, at.expand(B, 1, H2 // 2))[:, 0]
    seed = _total(scaled(seed)[0], read)  # `read` may be tiny, too
    order = torch.arange(T, device=start.device)
    # a chain that ends early waits, unchanged, for its last step
    waits = (T - 2 - order[: T - 1])[:, None, None] >= start[:, None]
    pairs = zip(_maps(layer, slopes), waits, strict=True)
    maps = (lambda v, s=s, wait=wait: torch.where(wait, v, s(v)) for s, wait in pairs)
    logs = log_norms(*scan_scaled(seed, maps)).mT
    place = (T - 1 - start)[:, None] + order
    curves = logs.gather(1, place.clamp(max=T - 1)) - logs[:, :1]
    return torch.where(place < T, curves, math.nan)


def gate_shares(gates: Gates, known: Tensor) -> Tensor:
    """Means and histograms of the forget, input and output gates at known time steps.

    ``(B, T, H) gates, (B, T) -> (3, 1 + BINS)`` float64: for f, i, o the mean and the share in each
    of the equal bins of [0, 1]. NaN if no step is known. A gate that is NaN is in no bin.
    """
    values = torch.stack([gates.f, gates.i, gates.o])
    counts = values.new_zeros(*values.shape[:3], BINS)
    bins = (values * BINS).long().clamp(0, BINS - 1)
    counts.scatter_add_(3, bins, (~values.isnan()).to(values.dtype))
    rows = torch.cat([values.mean(dim=3, keepdim=True), counts / values.shape[3]], dim=3)
    return torch.where(known[..., None], rows.double(), 0.0).sum(dim=(1, 2)) / known.sum()


class _Call(NamedTuple):
    """A forward pass, batch first; `sent`: the cotangents of output, h_n, c_n that have come."""

    number: int
    module: nn.LSTM
    x: Tensor
    output: Tensor
    initial: tuple[Tensor, ...]
    sent: dict[str, Tensor]


class Recurrence(StepProbe):
    """What the gates of each `torch.nn.LSTM` do, and how far its gradient travels.

    The costate is followed from the last time step of each chain that anything but time sends a
    cotangent to; its logarithm by distance is averaged over the chains that are long enough. Gates
    are counted up to this step, without the padding behind it. The reverse direction of a
    bidirectional module reads padding first, and there it counts.

    Of several calls of a module the last is measured. Modules with proj_size, PackedSequence,
    dropout between layers, inputs without a batch or sharded weights are left out with a warning.
    """

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._refused: dict[str, str] = {}
        self._warned: set[str] = set()
        self._numbers = count()

    @contextmanager
    def attach(self, model: nn.Module) -> Iterator[None]:
        """Keep inputs, outputs and cotangents until `before_update` or the next `attach`."""
        self._calls = {}
        try:
            for name, module in model.named_modules():
                if isinstance(module, nn.LSTM):
                    hook = partial(self._called, plain_name(name))
                    self._handles.append(module.register_forward_hook(hook, with_kwargs=True))
            yield
        except BaseException:
            self._calls = {}
            raise
        finally:
            for handle in self._handles:
                handle.remove()
            self._handles = []

    def before_update(self, step: Step) -> list[Pending]:
        """``time/<layer>/{log10_costate,slope_log10,reach_1e-3}``, ``lstm/<layer>/f_mean``, ..."""
        calls, self._calls = self._calls, {}
        for name, call in [*calls.items()]:
            if any(map(is_sharded, call.module.parameters())):  # a forward hook sees them whole
                self._refused[name] = "sharded weights (leave it out of FSDP)"
                del calls[name]
        news = {name: why for name, why in self._refused.items() if name not in self._warned}
        self._warned.update(news)
        if news:
            listed = "; ".join(f"{name or 'the model'}: {why}" for name, why in news.items())
            warnings.warn(f"the recurrence is not measured in {listed}", stacklevel=2)
        return [found for name, call in calls.items() for found in _measure(name, call)]

    def _called(
        self, name: str, module: nn.LSTM, args: tuple, kwargs: dict[str, Any], outputs: tuple
    ) -> None:
        """Forward hook."""
        x = args[0] if args else kwargs["input"]
        initial = args[1] if len(args) > 1 else kwargs.get("hx")
        output, (h_n, c_n) = outputs
        if not h_n.requires_grad:
            return
        if reason := why_refused(module, x):
            self._refused[name] = reason
            return
        states = tuple(state.detach() for state in initial or ())
        sequences = _batch_first(module, x), _batch_first(module, output)
        call = _Call(next(self._numbers), module, *sequences, states, {})
        for what, tensor in (("output", output), ("h_n", h_n), ("c_n", c_n)):
            hook = partial(self._received, name, call, what)
            self._handles.append(tensor.register_hook(hook))

    def _received(self, name: str, call: _Call, what: str, cotangent: Tensor) -> None:
        """Tensor hook. A call counts once a cotangent comes: a checkpoint's second gets none."""
        whole = what == "output"
        call.sent[what] = _batch_first(call.module, cotangent) if whole else cotangent.detach()
        if name not in self._calls or self._calls[name].number <= call.number:
            self._calls[name] = call


def _batch_first(module: nn.LSTM, values: Tensor) -> Tensor:
    return values.detach() if module.batch_first else values.detach().transpose(0, 1)


def why_refused(module: nn.RNNBase, x: Tensor | PackedSequence) -> str | None:
    """Why a call is not measured, and what to do about it."""
    if isinstance(x, PackedSequence):
        return "PackedSequence (give it a padded batch)"
    if x.dim() == 2:
        return "an input without a batch (give it a batch of one)"
    if module.proj_size:
        return "proj_size (put an nn.Linear behind an nn.LSTM without it)"
    if module.num_layers > 1 and module.dropout > 0 and module.training:
        return "dropout between its layers (split it into one nn.LSTM per layer)"
    return None


@torch.no_grad()
def _measure(name: str, call: _Call) -> list[Pending]:
    """All layers and directions of one module."""
    weights = call.module.all_weights
    dtype = torch.promote_types(weights[0][0].dtype, torch.float32)
    x, output = call.x.to(dtype), call.output.to(dtype)
    zeros = x.new_zeros(len(weights), len(x), call.module.hidden_size)
    states = tuple(state.to(dtype) for state in call.initial) or (zeros, zeros)
    sent = {"output": torch.zeros_like(output), "h_n": zeros, "c_n": zeros}
    sent |= {what: values.to(dtype) for what, values in call.sent.items()}
    found: list[Pending] = []
    with torch.autocast(x.device.type, enabled=False):
        _descend(name, call._replace(output=output, initial=states, sent=sent), x, 0, found)
    return found


def _descend(name: str, call: _Call, x: Tensor, level: int, found: list[Pending]) -> Tensor:
    """Measure the layers from the top down to `level`, which reads x; the cotangent of x."""
    H, ways = call.module.hidden_size, 1 + call.module.bidirectional
    several, top = len(call.module.all_weights) > 1, level == call.module.num_layers - 1
    layers = []
    for way, known in enumerate(call.output.split(H, dim=2)):
        weights = [weight.to(x.dtype) for weight in call.module.all_weights[level * ways + way]]
        h, c = (state[level * ways + way] for state in call.initial)
        hidden = _turned(known, way) if top else None
        layers.append(run_layer(_turned(x, way), h, c, weights, hidden))
    outputs = torch.cat([_turned(layer.hidden, way) for way, layer in enumerate(layers)], dim=2)
    sent = call.sent["output"] if top else _descend(name, call, outputs, level + 1, found)
    below = torch.zeros_like(x)
    for way, (layer, part) in enumerate(zip(layers, sent.split(H, dim=2), strict=True)):
        h, c = (call.sent[what][level * ways + way] for what in ("h_n", "c_n"))
        direct = torch.cat([_turned(part, way), torch.zeros_like(part)], dim=2)
        direct[:, -1] += torch.cat([h, c], dim=1)
        label = f"l{level}{'_reverse' * way}" if several or not name else ""
        found.append(_pending(".".join(filter(None, [name, label])), layer, direct))
        if level:
            below += _turned(adjoint_scan(layer, direct).a @ layer.weight_ih, way)
    return below


def _turned(values: Tensor, reverse: int) -> Tensor:
    """``(B, T, ...)`` from the order of the chain into that of a direction, or back."""
    return values.flip(1) if reverse else values


def _pending(name: str, layer: Layer, direct: Tensor) -> Pending:
    """All numbers of one layer and direction in one tensor, and how to read them."""
    start = last_step(direct)
    curves = propagate(layer, direct, start)
    known = torch.arange(direct.shape[1], device=start.device) <= start[:, None]
    fits = torch.stack([slope(curves), reach(curves).nanmean()])
    table = [gate_shares(layer.gates, known).flatten(), fits, curves.nanmean(dim=0)]
    return Pending(torch.cat(table), partial(_read, name))


def _read(name: str, values: Tensor) -> Findings:
    numbers = iter(values.flatten().tolist())
    scalars: dict[str, float] = {}
    curves: dict[str, list[float]] = {}
    for gate in "fio":
        mean, *shares = islice(numbers, 1 + BINS)
        low, high = sum(shares[: BINS // 10]), sum(shares[-(BINS // 10) :])
        found = {"mean": mean, "lt0.1": low, "gt0.9": high}
        scalars |= {f"lstm/{name}/{gate}_{what}": value for what, value in found.items()}
        curves[f"lstm/{name}/{gate}_hist"] = shares
    scalars |= {f"time/{name}/{what}": next(numbers) for what in ("slope_log10", "reach_1e-3")}
    return Findings(scalars, curves | {f"time/{name}/log10_costate": list(numbers)})
