"""What does an optimizer make of a gradient that has vanished?"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

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
    lines,
    relative_error,
)
from protcontact.gradflow.layers import trainable
from protcontact.gradflow.optimizer import copies, update_table, updates
from protcontact.gradflow.stacks import stack
from protcontact.gradflow.steps import MakeOptimizer, displacement, trained
from protcontact.models.encoders.recurrent import BiLSTM

LR, MU, EPS, STEPS = 1e-3, 0.9, 1e-8, 100
POWERS = range(-12, 7)
SGD_RATES = (1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
ADAM_RATES = (1e-3, 3e-3, 1e-2)


def _sgd(lr: float, momentum: float = 0.0) -> MakeOptimizer:
    return partial(SGD, lr=lr, momentum=momentum)


def _adam(lr: float, eps: float = EPS) -> MakeOptimizer:
    return partial(Adam, lr=lr, eps=eps)


RULES: dict[str, Callable[[], MakeOptimizer]] = {
    "SGD": lambda: _sgd(LR),
    "momentum 0.9": lambda: _sgd(LR, MU),
    "Adam": lambda: _adam(LR),
}


@dataclass(frozen=True)
class OptimizerExperiment(Experiment):
    """Step size by gradient scale, and a network that only one of them trains."""

    title: ClassVar = "Adam moves a weight whose gradient has vanished as far as any other"
    formula: ClassVar = (
        "SGD: w - lr g;   Adam: w - lr m / (sqrt(v) + eps), m and v running means of g and g^2\n"
        "constant g: SGD moves n lr g, Adam n lr g / (|g| + eps) -> n lr sign(g)"
    )
    explanation: ClassVar = (
        "A vanished gradient is small, but it still has a direction. SGD moves each weight in "
        "proportion to its gradient, so the early layers of a deep network stand still while the "
        "late ones learn. Adam divides each gradient by its own typical size: a layer whose "
        "gradient is a million times smaller moves as far as the others. So it trains networks "
        "that SGD cannot, as long as the gradient is larger than eps and than the noise on it."
    )
    source: ClassVar = "Kingma and Ba 2015; Robbins and Monro 1951; Polyak 1964"

    depth: int = field(default=6, metadata={"help": "sigmoid layers of the deep network"})
    width: int = field(default=32, metadata={"help": "units of a layer"})
    steps: int = field(default=1000, metadata={"help": "training steps of each network"})

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: If one is below 1.
        """
        if min(self.depth, self.width, self.steps) < 1:
            raise ValueError(
                "depth, width and steps must be >= 1, not "
                f"{self.depth}, {self.width} and {self.steps}"
            )

    def measure(self) -> Result:
        """Constant gradients, then a deep network, then the package's BiLSTM."""
        scales = torch.tensor([10.0**k for k in POWERS], dtype=torch.float64)
        readings: list[Reading] = []
        for name, make in RULES.items():
            moved = displacement(make(), scales, STEPS).abs() / STEPS
            readings += curve("step", name, moved.log10().tolist(), POWERS)
        best = self._deep(readings)
        self._blocks(readings)
        return Result(
            readings, _checks(scales), _panels(readings), _conclusion(readings, best, self)
        )

    def _deep(self, readings: list[Reading]) -> dict[str, float]:
        """The same deep sigmoid network, at each learning rate."""
        x = torch.randn(64, self.width, dtype=torch.float64)
        truth = (x[:, 0] * x[:, 1] > 0).double()
        start = nn.Sequential(
            stack(self.depth, self.width, torch.sigmoid), nn.Linear(self.width, 1).double()
        )

        def loss(network: nn.Module) -> Tensor:
            logits = network(x)[:, 0]
            return functional.binary_cross_entropy_with_logits(logits, truth)

        best = {}
        for name, make, rates in (("SGD", _sgd, SGD_RATES), ("Adam", _adam, ADAM_RATES)):
            losses = [trained(copy.deepcopy(start), loss, make(lr), self.steps) for lr in rates]
            readings += curve("loss", name, losses, [math.log10(lr) for lr in rates])
            best[name] = min(losses)
        readings.append(Reading("loss", "chance", 0.0, _of_guessing(truth)))
        best["chance"] = _of_guessing(truth)
        return best

    def _blocks(self, readings: list[Reading]) -> None:
        """One step of each on the encoder of the package, which has residual connections."""
        encoder = BiLSTM(channels=self.width, layers=3).double()
        tokens = torch.randint(0, 20, (4, 50))
        direction = torch.randn(encoder.out_channels, dtype=torch.float64)
        for name, make in (("SGD", _sgd(LR)), ("Adam", _adam(LR))):
            network = copy.deepcopy(encoder)
            (network(tokens, tokens >= 0)[:, -1] @ direction).mean().backward()
            optimizer = make(list(network.parameters()))
            chosen = trainable(network)
            before = copies(chosen.tensors)
            optimizer.step()
            table = update_table(chosen.tensors, before)
            for place, (block, values) in enumerate(updates(table, chosen.names).items()):
                readings.append(Reading("ratio", name, place, math.log10(values["ratio"])))
                if name == "Adam":
                    readings.append(Reading(f"block: {block}", name, place, values["cos_grad"]))


def _of_guessing(truth: Tensor) -> float:
    """Cross entropy of the best answer that does not look at x."""
    share = float(truth.mean())
    return -sum(p * math.log(p) for p in (share, 1 - share) if p > 0)


def _checks(scales: Tensor) -> list[Check]:
    signed = torch.cat([scales, -scales])
    adam = displacement(_adam(LR, eps=0.0), signed, STEPS)
    with_eps = displacement(_adam(LR), signed, STEPS)
    sgd = displacement(_sgd(LR), signed, STEPS)
    momentum = displacement(_sgd(LR, MU), signed, STEPS)
    summed = sum((1 - MU ** (k + 1)) / (1 - MU) for k in range(STEPS))
    shrunk = signed / (signed.abs() + EPS)
    return [
        Check(
            f"Adam, eps = 0: {STEPS} steps of g move by -n lr sign(g), g = 1e-12 ... 1e6",
            relative_error(adam, -STEPS * LR * signed.sign()),
            1e-14,
        ),
        Check("Adam: -n lr g / (|g| + eps)", relative_error(with_eps, -STEPS * LR * shrunk), 1e-12),
        Check("SGD: -n lr g", relative_error(sgd, -STEPS * LR * signed), 1e-13),
        Check(
            "momentum: -lr g sum (1 - mu^(k+1)) / (1 - mu)",
            relative_error(momentum, -LR * summed * signed),
            1e-13,
        ),
    ]


def _panels(readings: Sequence[Reading]) -> list[Panel]:
    closed = [LR * 10.0**k / (10.0**k + EPS) for k in POWERS]
    theory = Line("lr g / (g + eps)", POWERS, [math.log10(v) for v in closed], theory=True)
    sgd, adam, chance = lines(readings, "loss")
    return [
        Panel(
            [*lines(readings, "step"), theory],
            "log10 of the gradient",
            "log10 of the mean step",
            f"constant gradient, lr = {LR:g}",
        ),
        Panel(
            [sgd, adam],
            "log10 of the learning rate",
            "loss after training (nats)",
            "deep sigmoid network (grey: guessing)",
            ylog=True,
            level=chance.y[0],
        ),
        Panel(
            lines(readings, "ratio"),
            "block of the BiLSTM, from the input",
            "log10 of update / weight",
            f"one step, lr = {LR:g}",
        ),
    ]


def _conclusion(
    readings: Sequence[Reading], best: dict[str, float], sizes: OptimizerExperiment
) -> str:
    step = {(r.where, r.index): 10**r.value for r in readings if r.probe == "step"}
    adam, sgd = (step[name, 6.0] / step[name, -6.0] for name in ("Adam", "SGD"))
    return (
        f"Between gradients of 1e-6 and 1e6 the step of Adam differs by a factor of {adam:.3g}, "
        f"that of SGD by {sgd:.3g}. A network of {sizes.depth} sigmoid layers ends, after "
        f"{sizes.steps} steps at the best of its learning rates, at a loss of {best['SGD']:.3f} "
        f"with SGD and {best['Adam']:.3f} with Adam, where guessing has {best['chance']:.3f}."
    )
