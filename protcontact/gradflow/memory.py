"""How much does what a network says of one residue depend on a residue far before it?

The answer at distance d is the Jacobian block ``J_d = d y_T / d x_{T-d}``, one for each residue of
the chain. For signs r drawn at random

    E |J_d^T r|^2 = |J_d|_F^2        as E r r^T = 1 (Hutchinson 1990)

so one backward pass, from one residue, gives an estimate at all distances at once. Backpropagation
is linear in r, so r is multiplied by a large power of 2 and the result divided by it: what vanishes
stays a number for longer, to the last bit.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from protcontact.gradflow.taps import first_tensor
from protcontact.gradflow.trained import refuse_broken
from protcontact.gradflow.untouched import untouched


def memory_curve(
    module: nn.Module, x: Tensor, source: int = -1, probes: int = 8, seed: int = 0
) -> Tensor:
    """log10 of the norm of ``d y_source / d x_{source - d}``, by the distance d.

    The module is run in eval mode and in its own precision, with one copy of x for each probe in a
    batch, and left as it was. A gradient is a number down to 1e-57 in float32 and 1e-461 in
    float64, and -inf below; for recurrences `long_memory` has no such limit.

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
        square over B and probes. -inf where it is 0. Subtract the first for the share that is left.

    Raises:
        ValueError: If x is not of floating point, or has no residue, or `source` is none of them,
            or a weight or an output is not finite, or the output is no ``(B, L, ...)`` or does not
            depend on x, or the gradient is larger than the type of the output can hold.

    Example:
        >>> lstm = nn.LSTM(8, 8, batch_first=True).double()
        >>> curve = memory_curve(lstm, torch.randn(1, 100, 8).double())
        >>> curve.shape
        torch.Size([100])
        >>> bool(curve[50] < curve[0] - 3)  # a thousandth is lost within 50 residues
        True
    """
    if probes < 1:
        raise ValueError(f"probes must be >= 1, not {probes}")
    return rms_curve(module, x, source, probes, partial(_signs, seed=seed))


def rms_curve(
    module: nn.Module, x: Tensor, source: int, copies: int, draw: Callable[[Tensor], Tensor]
) -> Tensor:
    """`memory_curve` of cotangents of one's own: log10 of the rms of ``|J_d^T r|``.

    Args:
        module: As in `memory_curve`, which also says what is refused.
        x: As in `memory_curve`.
        source: As in `memory_curve`.
        copies: S, copies of x in the batch.
        draw: Gives the cotangents r of what the module says of the residue, ``(S * B, ...)``.

    Raises:
        ValueError: As `memory_curve`.
    """
    if not x.is_floating_point():
        raise ValueError(f"x must be of floating point, not {x.dtype}; give vectors, not letters")
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"x must be (B, L, ...) and not empty, not {tuple(x.shape)}")
    L = x.shape[1]
    if not -L <= source < L:
        raise ValueError(f"there is no residue {source} in a sequence of {L}")
    place = source % L
    refuse_broken(module)
    with torch.inference_mode(False), untouched(module):
        leaf = x.repeat(copies, *[1] * (x.ndim - 1)).detach().requires_grad_()
        said = _output(module, leaf.clone())[:, place]  # a copy: a module may work in place
        answer, exponent = _pull_back(said, leaf, draw(said.detach()), type(module).__name__)
    before = answer[:, : place + 1].reshape(len(answer), place + 1, -1).flip(1)
    largest = before.abs().amax(dim=(0, 2)).double()
    gone = largest < torch.finfo(answer.dtype).tiny  # below, digits are lost one by one
    largest = torch.where(gone, 1.0, largest)
    rows = before.double() / largest[:, None]  # squares of vanished gradients are 0
    part, power = largest.frexp()  # so that no digit of the logarithm goes to the power of 2
    logs = rows.square().sum(dim=2).mean(dim=0).log10() / 2 + part.log10()
    return torch.where(gone, -math.inf, logs + (power - exponent).double() * math.log10(2))


def _output(module: nn.Module, x: Tensor) -> Tensor:
    y = first_tensor(module(x))
    name = type(module).__name__
    if y is None or y.ndim < 2 or y.shape[:2] != x.shape[:2] or 0 in y.shape:
        shape = None if y is None else tuple(y.shape)
        raise ValueError(
            f"{name} must map (B, L, ...) to (B, L, ...), not {tuple(x.shape)} to {shape}"
        )
    if not y.isfinite().all():
        raise ValueError(f"the output of {name} is not finite")
    return y


def _pull_back(said: Tensor, x: Tensor, sent: Tensor, name: str) -> tuple[Tensor, int]:
    """The gradient by x, multiplied by a power of 2, and its exponent: the largest that fits.

    Raises:
        ValueError: If there is no gradient, or no exponent is small enough.
    """
    lost = ValueError(f"the output of {name} does not depend on x")
    if not said.requires_grad:
        raise lost
    half = math.frexp(torch.finfo(said.dtype).max)[1] // 2
    for exponent in (half, 0, -half):
        (answer,) = torch.autograd.grad(
            said, x, sent * 2.0**exponent, retain_graph=True, allow_unused=True
        )
        if answer is None:
            raise lost
        if answer.isfinite().all():
            return answer, exponent
    raise ValueError(f"the gradient of {name} is larger than {said.dtype} can hold")


def _signs(like: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(0, 2, like.shape, generator=generator) * 2 - 1).to(like)
