"""What do the layers of a trained encoder do to a gradient? On one chain, and means over chains.

Recurrences: the costate by time steps from the end that the loss is sent to, gates (LSTM), spectra.
Residual blocks: spectra at one residue, and what is handed to others in one step. Transformer: the
share that attention hands farther than 24 residues. What an encoder does not have is named, and so
is what cannot be measured, and why.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from protcontact.batch import ContactBatch
from protcontact.gradflow.adjoint import log_costates
from protcontact.gradflow.attention import Attentive, direct_costate
from protcontact.gradflow.experiment import Reading, curve
from protcontact.gradflow.inputs import input_of
from protcontact.gradflow.layers import Parameters, plain_name
from protcontact.gradflow.probe import Pending, Step
from protcontact.gradflow.recurrence import BINS, Recurrence, last_step
from protcontact.gradflow.spectrum import (
    Call,
    block_spectrum,
    calls_of,
    cotangents_of,
    recurrences,
    recurrent_spectrum,
    refusal,
    residual_blocks,
    sequence_of,
)
from protcontact.gradflow.systems import follow, recurrent
from protcontact.gradflow.transfer import ship
from protcontact.gradflow.untouched import untouched
from protcontact.metrics.loss import masked_contact_loss
from protcontact.metrics.ranges import LONG
from protcontact.models.contract import ContactModel

STEPS = 6  # of each recurrence and chain, whose singular values are found
COSTATE, DEPENDENCE, HANDED = "log10_costate", "log10_dependence", "log10_handed_over"
SINGULAR, LYAPUNOV, FAR = "singular_value", "lyapunov_decades", "far_share_of_attention"
GATES = {"f": "forget_gate", "i": "input_gate", "o": "output_gate"}


class LayerReadings:
    """Collects curves of one chain after another, and averages them.

    Args:
        model: In the precision that it was trained in.
        min_separation: Smallest ``|i - j|`` that enters the loss.
        positive_weight: Factor on the loss of contacts.
    """

    def __init__(self, model: ContactModel, min_separation: int, positive_weight: float) -> None:
        self.model = model
        self.min_separation = min_separation
        self.positive_weight = positive_weight
        self.recurrences = {
            f"encoder.{name}": module for name, module in recurrences(model.encoder).items()
        }
        self.blocks = {
            f"encoder.{name}": module for name, module in residual_blocks(model.encoder).items()
        }
        self._all = {
            f"encoder.{plain_name(name)}": module
            for name, module in model.encoder.named_modules()
            if isinstance(module, nn.RNNBase)
        }
        self._wide = {n: copy.deepcopy(module).double() for n, module in self.recurrences.items()}
        self._refused: dict[str, str] = {}
        self._curves: dict[tuple[str, str], list[Tensor]] = {}

    def add(self, batch: ContactBatch) -> None:
        """Measure one chain: one forward and one backward pass, and what each layer needs."""
        probe, L = Recurrence(), batch.tokens.shape[1]
        modules = {**self._all, **self.blocks}
        with (
            untouched(self.model),
            input_of(self.model.encoder, (1, L)) as found,  # from there on all has a gradient
            probe.attach(self.model),
            calls_of(modules) as calls,
        ):
            loss = masked_contact_loss(
                self.model(batch),
                batch,
                min_separation=self.min_separation,
                positive_weight=self.positive_weight,
            )
            self._refused |= _refusals(modules, calls)
            layers = {n: c for n, c in calls.items() if n not in self._refused}
            single = {n: c for n, c in layers.items() if n in self.recurrences}
            loops = {n: c for n, c in single.items() if not isinstance(modules[n], nn.LSTM)}
            asked = [tensor for call in loops.values() for tensor in call.returned]
            _, *sent = torch.autograd.grad(loss, [found[0], *asked], materialize_grads=True)
            self._lstms(probe.before_update(Step(self.model, batch, Parameters((), ()))))
            for name, *ends in zip(loops, sent[::2], sent[1::2], strict=True):
                self._costates(name, loops[name], *ends)
            for name, call in layers.items():
                if name in self.recurrences:
                    self._steps(name, call)
                elif name in self.blocks:
                    self._block(name, call, L // 2)
        self._attention(batch)

    def readings(self) -> list[Reading]:
        """Means over the chains in the order of the layers, and what there is nothing of."""
        order = [plain_name(name) for name, _ in self.model.named_modules()]
        places = [(k + 0.5) / BINS for k in range(BINS)]
        found: list[Reading] = []
        for (probe, where), curves in sorted(
            self._curves.items(), key=lambda item: _rank(item[0][1], order)
        ):
            mean = joined if probe in (COSTATE, HANDED) else mean_curve
            at = places if probe in GATES.values() else None
            found += curve(probe, where, mean(curves).tolist(), at)
        return found + [Reading("left_out", reason, 0, math.nan) for reason in self._left_out()]

    def _keep(self, probe: str, where: str, values: Tensor | Sequence[float]) -> None:
        tensor = torch.as_tensor(values, dtype=torch.float64)
        self._curves.setdefault((probe, where), []).append(tensor)

    def _lstms(self, pending: Sequence[Pending]) -> None:
        """Costates and gates of each `torch.nn.LSTM`, of any number of layers and directions."""
        for findings in ship(pending).read():
            for name, values in findings.curves.items():
                kind, layer, what = name.split("/")
                gate, _, _ = what.partition("_")
                self._keep(COSTATE if kind == "time" else GATES[gate], layer, values)

    def _costates(self, name: str, call: Call, output: Tensor, last: Tensor) -> None:
        """Of a recurrence that is no LSTM, by the gradients of what it returned."""
        module = self._wide[name]
        x, start = (values.double() for values in sequence_of(module, call))
        sent = cotangents_of(module, output, last).double()
        self._keep(COSTATE, name, _costate_curve(module, x, start, sent))

    def _steps(self, name: str, call: Call) -> None:
        """Spectra of a recurrence."""
        module = self._wide[name]
        x, start = (values.double() for values in sequence_of(module, call))
        spectrum = recurrent_spectrum(module, x, start, STEPS)
        self._keep(SINGULAR, name, spectrum.singular.median(dim=0).values)
        self._keep(LYAPUNOV, name, spectrum.exponents / math.log(10))

    def _block(self, name: str, call: Call, residue: int) -> None:
        singular, norms = block_spectrum(self.blocks[name], call, residue)
        self._keep(SINGULAR, name, singular)
        self._keep(HANDED, name, (norms / norms[0]).log10())

    def _attention(self, batch: ContactBatch) -> None:
        encoder, head = self.model.encoder, self.model.head
        if isinstance(encoder, Attentive):
            far, everywhere = direct_costate(
                encoder, head, batch, LONG, self.min_separation, self.positive_weight
            )
            self._keep(FAR, f"{LONG.low} residues or more, by layer", far / everywhere)

    def _left_out(self) -> Iterator[str]:
        yield from (f"{name}: {reason}" for name, reason in self._refused.items())
        encoder, single = self.model.encoder, "recurrence of one layer and one direction"
        lstm = any(isinstance(module, nn.LSTM) for module in self._all.values())
        for there, what in (
            (lstm or self.recurrences, f"costate against time: no LSTM, and no other {single}"),
            (lstm, "gates: no torch.nn.LSTM"),
            (self.recurrences, f"spectra of steps: no {single}"),
            (self.blocks, "Jacobians of blocks: no residual block"),
            (isinstance(encoder, Attentive), "far share of attention: no attention with maps"),
        ):
            if not there:
                yield f"{what} in a {type(encoder).__name__}"


def _refusals(modules: Mapping[str, nn.Module], calls: Mapping[str, Call]) -> dict[str, str]:
    """Name -> why it is not measured, of those that are not."""
    found = {name: "it was not called" for name in modules if name not in calls}
    for name, call in calls.items():
        module = modules[name]
        if isinstance(module, nn.RNNBase) and (reason := refusal(module, call)):
            found[name] = reason
    return found


def _rank(where: str, order: Sequence[str]) -> int:
    """Place of a layer among the modules; one within a module has the module's place."""
    return max((k for k, name in enumerate(order) if where.startswith(name)), default=0)


def mean_curve(curves: Sequence[Tensor]) -> Tensor:
    """Mean of curves of any lengths, at each place over those that reach it."""
    return _table(curves).nanmean(dim=0)


def joined(curves: Sequence[Tensor]) -> Tensor:
    """Mean of curves of any lengths in logarithms, without a jump where one of them ends.

    It starts at the mean and goes on by the mean step of the curves that go on, from where each was
    last finite. -inf where all of them are: a convolution depends on nothing beyond its reach.
    """
    table = _table(curves)
    found, ahead = [], torch.zeros(len(table), dtype=table.dtype)  # of the mean, of each curve
    for values in table.unbind(dim=1):
        real = values.isfinite()
        mean = (values + ahead)[real].mean() if real.any() else values.nanmean()
        ahead = torch.where(real, mean - values, ahead)
        found.append(mean)
    return torch.stack(found)


def _table(curves: Sequence[Tensor]) -> Tensor:
    """``(N, T)``, NaN behind the end of each."""
    return nn.utils.rnn.pad_sequence([*curves], batch_first=True, padding_value=math.nan)


def _costate_curve(module: nn.RNNBase, x: Tensor, start: Tensor, sent: Tensor) -> Tensor:
    """``(T, C), (n,), (T, H) -> (T',)``: log10 of the costate by steps, relative to the first.

    From the last step that anything is sent to, as for LSTMs; NaN if there is none.
    """
    last = int(last_step(sent[None]))
    if last < 0:
        return x.new_full((len(x),), math.nan)
    maps = recurrent(module, x[: last + 1])
    with torch.no_grad():
        states = follow(maps, start)
    logs = log_costates(maps, states, sent[last]).flip(0)
    return (logs - logs[0])[: len(maps)]
