"""How much does what a network says of one residue depend on a residue far before it?

The answer at distance d is the Jacobian block ``J_d = d y_T / d x_{T-d}``, one for each residue of
the chain. For signs r drawn at random

    E |J_d^T r|^2 = |J_d|_F^2        as E r r^T = 1 (Hutchinson 1990)

so one backward pass, from one residue, gives an estimate at all distances at once.
"""

import torch
from torch import Tensor, nn

from protcontact.gradflow.taps import first_tensor
from protcontact.gradflow.untouched import untouched


def memory_curve(
    module: nn.Module, x: Tensor, source: int = -1, probes: int = 8, seed: int = 0
) -> Tensor:
    """log10 of the norm of ``d y_source / d x_{source - d}``, by the distance d.

    The module is run in eval mode, with one copy of x for each probe in a batch, and left as it
    was. A gradient below the smallest number that its type holds (1e-38 in float32, 1e-308 in
    float64) is not told from 0; give it a module and an x of type float64 where that is too near,
    and for recurrences `long_memory`, which has no such limit.

    Args:
        module: Any that maps ``(B, L, ...)`` to ``(B, L, ...)``, or to several tensors of which the
            first is that, like `torch.nn.LSTM` with ``batch_first=True``.
        x: ``(B, L, ...)`` floating point.
        source: The residue that is asked; negative numbers count from the end.
        probes: S, number of random signs that are averaged. The square of the norm is off by about
            ``sqrt(2 / S)`` of itself, less if many channels take part.
        seed: Of the signs.

    Returns:
        ``(D,)`` float64 for distances ``0 ... D - 1`` back to the first residue: the root mean
        square over B and probes. -inf where it is 0.

    Raises:
        ValueError: If x is not of floating point, or has no residue, or `source` is none of them,
            or a weight or an output is not finite, or the output is no ``(B, L, ...)`` or does not
            depend on x.

    Example:
        >>> lstm = nn.LSTM(8, 8, batch_first=True).double()
        >>> memory_curve(lstm, torch.randn(1, 100, 8).double()).shape
        torch.Size([100])
    """
    if not x.is_floating_point():
        raise ValueError(f"x must be of floating point, not {x.dtype}; give vectors, not letters")
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"x must be (B, L, ...) and not empty, not {tuple(x.shape)}")
    B, L = x.shape[:2]
    if not -L <= source < L:
        raise ValueError(f"there is no residue {source} in a sequence of {L}")
    if probes < 1:
        raise ValueError(f"probes must be >= 1, not {probes}")
    place = source % L
    refuse_nonfinite(module)
    with untouched(module):
        leaf = x.detach().repeat(probes, *[1] * (x.ndim - 1)).requires_grad_()
        y = _output(module, leaf)
        answer = torch.autograd.grad(y[:, place], leaf, _signs(y[:, place], seed))[0]
    before = answer[:, : place + 1].double().flatten(2).flip(1)
    largest = before.abs().amax(dim=(0, 2)).clamp_min(torch.finfo(torch.float64).tiny)
    scaled = before / largest[:, None]  # squares of vanished gradients are 0
    squares = scaled.square().sum(dim=(0, 2)) / (probes * B)
    return squares.log10() / 2 + largest.log10()


def _output(module: nn.Module, x: Tensor) -> Tensor:
    y = first_tensor(module(x))
    name = type(module).__name__
    if y is None or y.ndim < 2 or y.shape[:2] != x.shape[:2]:
        shape = None if y is None else tuple(y.shape)
        raise ValueError(
            f"{name} must map (B, L, ...) to (B, L, ...), not {tuple(x.shape)} to {shape}"
        )
    if not y.isfinite().all():
        raise ValueError(f"the output of {name} is not finite")
    if not y.requires_grad:
        raise ValueError(f"the output of {name} does not depend on x")
    return y


def _signs(like: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(0, 2, like.shape, generator=generator) * 2 - 1).to(like)


def refuse_nonfinite(module: nn.Module) -> None:
    """Name the first weight that is not a number.

    Raises:
        ValueError: If there is one.
    """
    for name, weight in module.named_parameters():
        if not weight.isfinite().all():
            raise ValueError(f"{name or 'a weight'} of {type(module).__name__} is not finite")
