"""Through how many layers does a gradient come back, if it may take many ways?

A network with identities or skips is a sum over paths (Veit, Wilber and Belongie 2016): each block
``z + F(z)`` is left by its identity or by its branch. With the gradient through every branch
multiplied by a number a,

    g(a) = prod_k (1 + a J_k^T) lambda_D = sum_k a^k g_k

where g_k came by all paths through k branches. Their mean length, each weighted by what it brings
along g, is a derivative; and as a goes to 0 only the shortest are left:

    mean = sum_k k <g_k, g> / <g, g> = d log|g| / d log a  at a = 1
    shortest = d log|g| / d log a  as a -> 0

What is passed forward does not change with a.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from protcontact.gradflow.linear import LinearMap, scan_scaled, vjp

Block = Callable[[Tensor], Tensor]
SHORT = 1e-6  # a: paths longer by one weigh a millionth; a^50 is still a float64


@torch.no_grad()
def lengths(blocks: Sequence[Block], x: Tensor, cotangent: Tensor) -> Tensor:
    """Mean number of branches on the gradient's paths through the last k of D residual blocks.

    ``(g, dg/da)`` is carried from block to block and scaled at each, at any depth.

    Args:
        blocks: D functions ``z + F(z)``, applied one after the other, of one shape.
        x: ``(...)``, the input; all of it is one vector.
        cotangent: Of the output, of the same shape.

    Returns:
        ``(D + 1,)`` float64, for k = 0 ... D; NaN where the gradient is 0. With ``F(z) = a z`` it
        is ``k a / (1 + a)``.
    """

    def carry(back: LinearMap) -> LinearMap:
        def step(pair: Tensor) -> Tensor:
            g, slope = pair.view(2, *x.shape)
            whole = back(g)
            return torch.stack([whole, (whole - g) + back(slope)]).flatten()

        return step

    start = torch.stack([cotangent, torch.zeros_like(cotangent)]).flatten()
    units, _ = scan_scaled(start, map(carry, _backward(blocks, x)))
    g, slope = units.double().view(len(units), 2, -1).unbind(dim=1)
    return (g * slope).sum(dim=1) / (g * g).sum(dim=1)


@torch.no_grad()
def parts(blocks: Sequence[Block], x: Tensor, cotangent: Tensor) -> Tensor:
    """The gradient at the input of D residual blocks, taken apart by the length of its paths.

    It costs D (D + 1) / 2 backward passes of a block.

    Args:
        blocks: As in `lengths`.
        x: As in `lengths`.
        cotangent: As in `lengths`.

    Returns:
        ``(D + 1, ...)``: g_k, by paths through k branches; their sum is the gradient.
    """
    found = cotangent[None]
    for back in _backward(blocks, x):
        branch = torch.stack([back(part) - part for part in found])
        none = torch.zeros_like(branch[:1])
        found = torch.cat([found, none]) + torch.cat([none, branch])
    return found


def shares(found: Tensor) -> Tensor:
    """``(D + 1, ...) -> (D + 1,)`` float64: ``<g_k, g> / <g, g>`` of `parts`; their sum is 1.

    One is negative where what came by paths of this length points against the whole. Where paths
    cancel to much less than they bring, shares are large and as inexact as their sum; `lengths` is
    not.
    """
    flat = found.double().flatten(1)
    g = flat.sum(dim=0)
    return flat @ g / (g @ g)


def _backward(blocks: Sequence[Block], x: Tensor) -> Iterator[LinearMap]:
    inputs = [x]
    for block in blocks:
        inputs.append(block(inputs[-1]))
    for block, at in zip(reversed(blocks), reversed(inputs[:-1]), strict=True):
        yield vjp(block, at)


@contextmanager
def counted(modules: Iterable[nn.Module]) -> Iterator[Tensor]:
    """Multiply each gradient that comes back to the output of one of the modules by a number.

    Args:
        modules: Each returns a tensor; those whose forward pass runs inside are counted.

    Yields:
        The number a, a scalar for `path_length`; as long as that does not set it, 1.
    """
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)

    def tap(module: nn.Module, inputs: object, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: gradient * factor)

    with ExitStack() as hooks:
        for module in modules:
            hooks.callback(module.register_forward_hook(tap).remove)
        yield factor


def path_length(
    output: Tensor, source: Tensor, cotangent: Tensor, factor: Tensor, at: float = 1.0
) -> float:
    """``d log|g| / d log a``, g the gradient from an output to a tensor that it was made from.

    Any network will do: the derivative is taken by a second backward pass through the first.

    Args:
        output: ``(...)``, computed within `counted`.
        source: Any tensor on the way to it.
        cotangent: As `output`.
        factor: The a of `counted`; it stays at `at`.
        at: Its value: 1 for the mean number of counted modules on a path, `SHORT` for the smallest.

    Returns:
        The number; NaN if the gradient is 0.
    """
    with torch.no_grad():
        factor.fill_(at)
    [g] = torch.autograd.grad(output, source, cotangent, create_graph=True, materialize_grads=True)
    size = g.detach().abs().amax()
    if size == 0:
        return math.nan
    unit = g / size  # so that its square does not underflow
    if not unit.requires_grad:  # nothing was counted
        return 0.0
    direction = unit.detach()
    [slope] = torch.autograd.grad(unit, factor, direction, materialize_grads=True)
    return float(slope * at / (direction * direction).sum())
