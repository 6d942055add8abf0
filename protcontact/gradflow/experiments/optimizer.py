"""What does an optimizer make of a gradient that has vanished?"""

import copy
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam

from protcontact.figures.panels import Line, Panel
from protcontact.gradflow.experiment import (
    Check,
    Experiment,
    Reading,
    Result,
    curve,
    largest,
    lines,
    relative_error,
    size,
)
from protcontact.gradflow.layers import Parameters, trainable
from protcontact.gradflow.optimizer import copies, update_table, updates
from protcontact.gradflow.stacks import stack
from protcontact.gradflow.steps import MakeOptimizer, displacement, trained
from protcontact.models.encoders.recurrent import BiLSTM

LR, MU, EPS, STEPS = 1e-3, 0.9, 1e-8, 100
POWERS = range(-12, 7)
LATE = 400  # steps after which momentum has all but 0.9^400 = 5e-19 of its speed
DATA, LAYERS = 64, 3  # points for the deep network, layers of the BiLSTM


def _sgd(lr: float, momentum: float = 0.0) -> MakeOptimizer:
    return partial(SGD, lr=lr, momentum=momentum)


def _adam(lr: float, eps: float = EPS) -> MakeOptimizer:
    return partial(Adam, lr=lr, eps=eps)


class Rule(NamedTuple):
    """An optimizer by its learning rate, and the rates at which it trains the deep network.

    Half decades: coarser ones may step over the one that works.
    """

    make: Callable[[float], MakeOptimizer]
    rates: tuple[float, ...]


Loss = Callable[[nn.Module], Tensor]

RULES = {
    "SGD": Rule(_sgd, (1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 1e1, 3e1, 1e2)),
    "momentum 0.9": Rule(partial(_sgd, momentum=MU), (1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 1e1)),
    "Adam": Rule(_adam, (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)),
}
COMPARED = ("SGD", "Adam")  # in a single step, where momentum is SGD


@dataclass(frozen=True)
class OptimizerExperiment(Experiment):
    """Step size by gradient scale, and a network that only one of them trains."""

    title: ClassVar = "Adam moves a weight whose gradient is small as far as any other"
    formula: ClassVar = (
        "SGD: w - lr g;   Adam: w - lr m / (sqrt(v) + eps), m and v running means of g and g^2\n"
        "constant g: SGD moves n lr g, Adam n lr g / (|g| + eps) -> n lr sign(g)"
    )
    explanation: ClassVar = (
        "A vanished gradient is small, but it still has a direction. SGD moves each weight in "
        "proportion to its gradient, so the early layers of a deep network stand still while the "
        "late ones learn. Adam divides each gradient by its own typical size: a layer whose "
        "gradient is a million times smaller moves as far as the others. So it can train networks "
        "that SGD does not, as long as the gradient is larger than eps and than the noise on it."
    )
    source: ClassVar = "Kingma and Ba 2015; Robbins and Monro 1951; Polyak 1964"

    depth: int = size(8, "sigmoid layers of the deep network")
    width: int = size(32, "units of a layer")
    steps: int = size(1000, "training steps of each network")

    def measure(self) -> Result:
        """Constant gradients, then a deep network, then the package's BiLSTM."""
        scales = torch.tensor([10.0**k for k in POWERS], dtype=torch.float64)
        readings: list[Reading] = []
        for name, rule in RULES.items():
            moved = displacement(rule.make(LR), scales, STEPS).abs() / STEPS
            readings += curve("step", name, moved.log10().tolist(), POWERS)
        start, loss, guess = self._deep()
        best = {"guessing": guess}
        readings.append(Reading("loss", "guessing", 0.0, guess))
        for name, (make, rates) in RULES.items():
            losses = [trained(copy.deepcopy(start), loss, make(lr), self.steps) for lr in rates]
            readings += curve("loss", name, losses, [math.log10(lr) for lr in rates])
            best[name] = min(losses)
        readings += _by_block("sigmoid", start, loss)
        encoder, far = self._encoder()
        readings += _by_block("BiLSTM", encoder, far)
        checks = [*_checks(scales), *_of_weights(encoder, far)]
        return Result(readings, checks, _panels(readings, guess), _conclusion(readings, best, self))

    def _deep(self) -> tuple[nn.Module, Loss, float]:
        """A deep sigmoid network, a task that one of its inputs solves, the loss of guessing."""
        x = torch.randn(DATA, self.width, dtype=torch.float64)
        truth = (x[:, 0] > 0).double()
        layers = stack(self.depth, self.width, torch.sigmoid)
        answer = nn.Linear(self.width, 1).double()
        network = nn.Sequential(OrderedDict(layers=layers, answer=answer))

        def loss(network: nn.Module) -> Tensor:
            return functional.binary_cross_entropy_with_logits(network(x)[:, 0], truth)

        return network, loss, _of_guessing(truth)

    def _encoder(self) -> tuple[nn.Module, Loss]:
        """The encoder of the package, which has residual connections, asked at its last residue."""
        encoder = BiLSTM(channels=self.width, layers=LAYERS).double()
        tokens = torch.randint(0, 20, (4, 50))
        direction = torch.randn(encoder.out_channels, dtype=torch.float64)

        def loss(network: nn.Module) -> Tensor:
            return (network(tokens, tokens >= 0)[:, -1] @ direction).mean()

        return encoder, loss


class _Step(NamedTuple):
    """Weights before a step, and the same after it with the gradient that it used."""

    before: list[Tensor]
    chosen: Parameters


def _first(name: str, start: nn.Module, loss: Loss) -> _Step:
    network = copy.deepcopy(start)
    loss(network).backward()
    optimizer = RULES[name].make(LR)(list(network.parameters()))
    chosen = trainable(network)
    before = copies(chosen.tensors)
    optimizer.step()
    return _Step(before, chosen)


def _by_block(kind: str, start: nn.Module, loss: Loss) -> list[Reading]:
    """log10 of update over weight, and its cosine with the gradient, by block.

    A block ``forward_lstms.2`` is read as ``BiLSTM, SGD: forward_lstms`` at index 2.
    """
    readings = []
    for name in COMPARED:
        before, (names, tensors) = _first(name, start, loss)
        for block, values in updates(update_table(tensors, before), names).items():
            part, _, place = block.rpartition(".")
            index, part = (int(place), part) if place.isdigit() else (0, block)
            where = f"{kind}, {name}: {part}"
            readings.append(Reading("log10_ratio", where, index, _log10(values["ratio"])))
            readings.append(Reading("cos_grad", where, index, values["cos_grad"]))
    return readings


def _log10(x: float) -> float:
    return math.log10(x) if x > 0 else -math.inf


def _of_guessing(truth: Tensor) -> float:
    """Cross entropy of the best answer that does not look at x."""
    share = float(truth.mean())
    return -sum(p * math.log(p) for p in (share, 1 - share) if p > 0)


def _checks(scales: Tensor) -> list[Check]:
    signed = torch.cat([scales, -scales])
    adam = displacement(_adam(LR, eps=0.0), signed, STEPS)
    with_eps = displacement(_adam(LR), signed, STEPS)
    sgd = displacement(_sgd(LR), signed, STEPS)
    doubled = displacement(_sgd(LR), 2.0**40 * signed, STEPS)
    momentum = displacement(_sgd(LR, MU), signed, STEPS)
    late = displacement(_sgd(LR, MU), signed, LATE + 1) - displacement(_sgd(LR, MU), signed, LATE)
    summed = sum((1 - MU ** (k + 1)) / (1 - MU) for k in range(STEPS))
    shrunk = signed / (signed.abs() + EPS)
    return [
        Check(
            f"Adam, eps = 0: {STEPS} steps of g move by -n lr sign(g), g = 1e-12 ... 1e6",
            relative_error(adam, -STEPS * LR * signed.sign()),
            1e-15,
        ),
        Check("Adam: -n lr g / (|g| + eps)", relative_error(with_eps, -STEPS * LR * shrunk), 5e-15),
        Check("SGD: -n lr g", relative_error(sgd, -STEPS * LR * signed), 5e-15),
        Check("SGD: 2^40 g moves 2^40 times as far", relative_error(doubled, 2.0**40 * sgd), 0.0),
        Check(
            "momentum: -lr g sum (1 - mu^(k+1)) / (1 - mu)",
            relative_error(momentum, -LR * summed * signed),
            5e-15,
        ),
        Check(
            f"momentum, step {LATE + 1}: -lr g / (1 - mu)",
            relative_error(late, -LR / (1 - MU) * signed),
            1e-12,
        ),
    ]


def _of_weights(start: nn.Module, loss: Loss) -> list[Check]:
    """The same for each weight of a network, in units of lr: the step is one of 1e-3."""
    forms: dict[str, Callable[[Tensor], Tensor]] = {
        "SGD": lambda g: g,
        "Adam": lambda g: g / (g.abs() + EPS),
    }
    checks = []
    for name, form in forms.items():
        before, chosen = _first(name, start, loss)
        gaps = largest(
            float(((old - new.detach()) / LR - form(new.grad)).abs().max())
            for old, new in zip(before, chosen.tensors, strict=True)
            if new.grad is not None
        )
        claim = f"{name}, first step: the same for every weight of the BiLSTM, in units of lr"
        checks.append(Check(claim, gaps, 2e-12))
    return checks


def _panels(readings: Sequence[Reading], guess: float) -> list[Panel]:
    closed = [LR * 10.0**k / (10.0**k + EPS) for k in POWERS]
    theory = Line("lr g / (g + eps)", POWERS, [math.log10(v) for v in closed], theory=True)
    ratios = lines(readings, "log10_ratio")
    layers = [
        Line(line.label.removeprefix("sigmoid, ").removesuffix(": layers"), line.x, line.y)
        for line in ratios
        if line.label.endswith(": layers")
    ]
    lstms = [
        Line(line.label.removeprefix("BiLSTM, "), line.x, line.y)
        for line in ratios
        if line.label.endswith("_lstms")
    ]
    update, one = "log10 of update / weight", f"the first step, lr = {LR:g}"
    return [
        Panel(
            [*lines(readings, "step"), theory],
            "log10 of the gradient",
            "log10 of the mean step",
            f"constant gradient, {STEPS} steps, lr = {LR:g}",
        ),
        Panel(
            [line for line in lines(readings, "loss") if line.label in RULES],
            "log10 of the learning rate",
            "loss after training (nats)",
            "deep sigmoid network (grey: guessing)",
            ylog=True,
            level=guess,
        ),
        Panel(layers, "layer of the deep network, from the input", update, one),
        Panel(lstms, "layer of the BiLSTM, from the input", update, one),
    ]


def _conclusion(
    readings: Sequence[Reading], best: Mapping[str, float], sizes: OptimizerExperiment
) -> str:
    step = {(r.where, r.index): 10**r.value for r in readings if r.probe == "step"}
    adam, sgd = (step[name, 6.0] / step[name, -6.0] for name in ("Adam", "SGD"))
    losses = ", ".join(f"{best[name]:.2g} with {name}" for name in RULES)
    ratios = {line.label: line.y for line in lines(readings, "log10_ratio")}
    first, last = (
        {name: ratios[f"sigmoid, {name}: layers"][place] for name in COMPARED} for place in (0, -1)
    )
    less = " and ".join(f"10^{first[name] - last[name]:.1f} with {name}" for name in COMPARED)
    return (
        f"Between gradients of 1e-6 and 1e6 the step of Adam differs by a factor of {adam:.3g}, "
        f"that of SGD by {sgd:.3g}. In a network of {sizes.depth} sigmoid layers the first step "
        f"moves the first layer by {less} of what it moves the last, in units of their weights, "
        f"and after {sizes.steps} steps, at the best of its learning rates, the loss is {losses}, "
        f"where guessing has {best['guessing']:.2g}."
    )
