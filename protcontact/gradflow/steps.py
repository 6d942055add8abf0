"""How far does an optimizer move a weight whose gradient is always g?

    SGD        after n steps   -n lr g
    momentum                   -lr g sum_{k<n} (1 - mu^(k+1)) / (1 - mu)
    Adam                       -n lr g / (|g| + eps)

The first two are linear in g: what vanishes does not move. Adam divides by the gradient's own size,
so a weight moves as far at 1e-6 as at 1e6, down to where g meets eps.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

MakeOptimizer = Callable[[Sequence[nn.Parameter]], Optimizer]


def displacement(make: MakeOptimizer, gradient: Tensor, steps: int) -> Tensor:
    """What weights at 0 are after some steps of the same gradient; one of torch's own optimizers.

    Args:
        make: Makes the optimizer of a list of parameters.
        gradient: ``(n,)``, one for each weight.
        steps: Number of steps.

    Raises:
        ValueError: If `steps` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be >= 1, not {steps}")
    weights = nn.Parameter(torch.zeros_like(gradient))
    optimizer = make([weights])
    for _ in range(steps):
        weights.grad = gradient.clone()
        optimizer.step()
    return weights.detach()


def trained(
    network: nn.Module, loss: Callable[[nn.Module], Tensor], make: MakeOptimizer, steps: int
) -> float:
    """Loss after some steps; infinite if it did not stay finite.

    Args:
        network: Trained in place.
        loss: Of the network; the same data at each step.
        make: Makes the optimizer of a list of parameters.
        steps: Number of steps.
    """
    optimizer = make(list(network.parameters()))
    for _ in range(steps):
        optimizer.zero_grad()
        loss(network).backward()
        optimizer.step()
    with torch.no_grad():
        last = loss(network)
    return float(last) if last.isfinite() else float("inf")
