"""What does an activation function do to a gradient that passes through many layers?"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from protcontact.figures.panels import Line, Panel
from protcontact.gradflow.depth import depth_curve
from protcontact.gradflow.experiment import (
    Check,
    Experiment,
    Reading,
    Result,
    curve,
    lines,
    ratio_error,
    relative_error,
    size,
)
from protcontact.gradflow.linear import dense, vjp
from protcontact.gradflow.stacks import Activation, StackLayer, stack

# name -> function, gain of its usual initialisation
KINDS: dict[str, tuple[Activation, float]] = {
    "sigmoid, Xavier": (torch.sigmoid, 1.0),
    "tanh, Xavier": (torch.tanh, 1.0),
    "ReLU, Xavier": (functional.relu, 1.0),
    "ReLU, He": (functional.relu, math.sqrt(2)),
    "GELU, He": (functional.gelu, math.sqrt(2)),
}


@dataclass(frozen=True)
class ActivationExperiment(Experiment):
    """Costates through stacks of sigmoid, tanh, ReLU and GELU layers."""

    title: ClassVar = "A sigmoid lets at most a quarter of the gradient through at every layer"
    formula: ClassVar = (
        "lambda_{k-1} = W_k^T (phi'(a_k) * lambda_k)\n"
        "sigmoid' <= 1/4, so |lambda_0| <= |lambda_D| prod_k s_max(W_k) / 4;   ReLU' is 0 or 1"
    )
    explanation: ClassVar = (
        "Backpropagation multiplies by the slope of the activation at each layer. That of a "
        "sigmoid is at most 1/4, so weights of usual size, which keep the length of most vectors, "
        "leave about (1/4)^D after D layers, and less where units are saturated. The slope of a "
        "ReLU is 1 where the unit is on and 0 where it is off: what passes, passes whole. As half "
        "of the units are off, weights must be larger by sqrt(2) to keep the norm, which is what "
        "He's initialisation does."
    )
    source: ClassVar = "Glorot and Bengio 2010; He et al. 2015"

    depth: int = size(50, "number of layers")
    width: int = size(256, "units of a layer")

    def measure(self) -> Result:
        """Follow a random cotangent through each stack."""
        readings: list[Reading] = []
        x = torch.randn(self.width, dtype=torch.float64)
        cotangent = torch.randn(self.width, dtype=torch.float64)
        lost = {}
        for name, (function, gain) in KINDS.items():
            layers = stack(self.depth, self.width, function, gain=gain)
            logs = depth_curve(list(layers), x, cotangent)
            logs = logs - logs[0]
            readings += curve("log10_costate", name, logs.tolist())
            lost[name] = float(logs[-1]) / self.depth
            if function is torch.sigmoid:
                bound = _bound(layers, logs)
        checks = [_quarter(self.depth, self.width), bound, _mask(self.width)]
        sigmoid, relu, half = (lost[n] for n in ("sigmoid, Xavier", "ReLU, He", "ReLU, Xavier"))
        return Result(
            readings,
            checks,
            [_panel(readings, self.depth)],
            f"Each sigmoid layer leaves {10**sigmoid:.3f} of the gradient, so after {self.depth} "
            f"layers 10^{sigmoid * self.depth:.0f} of it is left; each ReLU layer with He's "
            f"initialisation leaves {10**relu:.2f}, and 10^{relu * self.depth:+.1f} is left. With "
            f"Xavier's initialisation ReLU leaves {100**half:.2f} of the squared norm at each "
            f"layer: {self.depth} layers leave 10^{half * self.depth:.1f}.",
        )


def _quarter(depth: int, width: int) -> Check:
    """Orthogonal weights, and biases that hold each unit at the steepest point of the sigmoid."""
    layers = stack(depth, width, torch.sigmoid)
    for layer in layers:
        assert isinstance(layer, StackLayer)
        nn.init.orthogonal_(layer.linear.weight)
        with torch.no_grad():
            layer.linear.bias.copy_(-0.5 * layer.linear.weight.sum(dim=1))
    cotangent = torch.randn(width, dtype=torch.float64)
    logs = depth_curve(list(layers), torch.full_like(cotangent, 0.5), cotangent)
    theory = torch.arange(depth + 1, dtype=torch.float64) * math.log10(0.25)
    return Check(
        "sigmoid at 0, orthogonal W: |lambda_k| = (1/4)^(D-k) |lambda_D|",
        ratio_error(logs - logs[0], theory),
        1e-12,
    )


@torch.no_grad()
def _bound(layers: nn.Sequential, logs: Tensor) -> Check:
    """No costate is above the product of the largest singular values, each by four."""
    weights = [layer.get_parameter("linear.weight") for layer in reversed(layers)]
    singular = [torch.linalg.matrix_norm(weight, 2) for weight in weights]
    most = (torch.stack(singular) / 4).log10().cumsum(dim=0)
    above = float((logs[1:] - most).clamp(min=0).max())
    return Check("sigmoid: |lambda_k| <= |lambda_D| prod s_max(W) / 4, decades above", above, 1e-12)


def _mask(width: int) -> Check:
    """The Jacobian of a ReLU layer is W with the rows of the units that are off set to 0."""
    layer = StackLayer(width, functional.relu, math.sqrt(2))
    x = torch.randn(width, dtype=torch.float64)
    on = (layer.linear(x) > 0).double()

    found = dense(vjp(layer, x), width).mT
    true = on[:, None] * layer.linear.weight.detach()
    return Check("ReLU: d layer / dx = mask * W, mask 0 or 1", relative_error(found, true), 1e-15)


def _panel(readings: list[Reading], depth: int) -> Panel:
    quarter = [k * math.log10(0.25) for k in range(depth + 1)]
    theory = Line("(1/4)^k", range(depth + 1), quarter, theory=True)
    return Panel(
        [*lines(readings, "log10_costate"), theory],
        "layers from the output",
        "log10 of the gradient's norm",
        "depth and activation",
    )
