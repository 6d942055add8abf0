"""What does the norm of a pair head do to a gradient, and what is the head without it?

`MaskedInstanceNorm` takes its mean and variance from the whole map, so through it every cell reads
every other, and it divides by the spread of the map, so it enlarges a gradient where the map is
small. To see what convolutions do by themselves, its statistics are held, or it is left out. Both
last as long as a ``with`` block and change no parameter.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from protcontact.models.residual import MaskedInstanceNorm

Hook = Callable[[MaskedInstanceNorm, tuple[Tensor, Tensor], Tensor], Tensor]


@contextmanager
def held_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, the norms' means and variances are constants to the gradient; no value changes.

    The norm is then ``factor * z + offset`` with numbers for each channel, as a batch norm is when
    it does not train. A model without such a norm is a ValueError.
    """
    with _hooked(model, _hold):
        yield


@contextmanager
def without_norm(model: nn.Module) -> Iterator[None]:
    """Inside, each norm hands on what it is given. A model without such a norm is a ValueError."""
    with _hooked(model, lambda module, inputs, output: inputs[0]):
        yield


@contextmanager
def _hooked(model: nn.Module, hook: Hook) -> Iterator[None]:
    norms = [module for module in model.modules() if isinstance(module, MaskedInstanceNorm)]
    if not norms:
        raise ValueError(f"a {type(model).__name__} has no MaskedInstanceNorm")
    with ExitStack() as hooks:
        for norm in norms:
            hooks.callback(norm.register_forward_hook(hook).remove)
        yield


def _hold(module: MaskedInstanceNorm, inputs: tuple[Tensor, Tensor], output: Tensor) -> Tensor:
    z, cells = inputs
    fixed = z.detach()
    count = cells.sum(dim=(1, 2), keepdim=True)
    mean = fixed.sum(dim=(1, 2), keepdim=True) / count
    square = (fixed**2).sum(dim=(1, 2), keepdim=True) / count
    factor = module.scale.detach() * torch.rsqrt((square - mean**2).clamp(min=0) + 1e-5)
    return output.detach() + factor * (z - fixed)
