"""By what does one step of a trained encoder multiply a gradient? The spectra of its Jacobians.

Of a recurrent layer a step is a residue, and of its Jacobian ``D_t = d state_t / d state_{t-1}``
(for an LSTM the state is h and c) two things are told:

    singular values of D_t      what one step does: none above 1 lets no gradient grow
    Lyapunov exponents          what many do: |D_T ... D_1| goes as exp(mu_1 T)

mu_1 / ln 10 is what the costates' curve must fall to, in decades per residue. Of a residual block,
which sees all residues at once, a step is the block: ``J_ij = d output_i / d input_j`` has, for
j = i, its singular values, and for others the norm that is handed over in one step, by distance.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from protcontact.gradflow.distance import rms_by_distance
from protcontact.gradflow.layers import plain_name
from protcontact.gradflow.lyapunov import exponents
from protcontact.gradflow.systems import Map, follow, recurrent
from protcontact.gradflow.taps import first_tensor

TRANSIENT = 10  # steps in which the directions turn into those of the largest exponents
EXPONENTS = 8


class Call(NamedTuple):
    """A call of a module: its positional and keyword arguments, and the tensor it returned."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Tensor


class RecurrentSpectrum(NamedTuple):
    """Of one layer and direction on one chain; n is the width of its state.

    Attributes:
        singular: ``(S, n)``, singular values of the Jacobians of S steps, falling.
        exponents: ``(k,)``, the largest Lyapunov exponents, natural logarithm per residue.
    """

    singular: Tensor
    exponents: Tensor


def recurrences(model: nn.Module) -> dict[str, nn.RNNBase]:
    """The recurrent layers of a model that are one layer and one direction, by name."""
    return {
        plain_name(name): module
        for name, module in model.named_modules()
        if isinstance(module, nn.RNNBase)
        and module.num_layers == 1
        and not module.bidirectional
        and not module.proj_size
    }


def residual_blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that say of themselves that they add to their input, by name."""
    return {
        plain_name(name): module
        for name, module in model.named_modules()
        if getattr(module, "residual", False) is True
    }


@contextmanager
def calls_of(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Call]]:
    """Note the last call of each module.

    Args:
        modules: By name.

    Yields:
        Name -> call, of those that have been called.
    """
    found: dict[str, Call] = {}

    def note(
        name: str, module: nn.Module, args: tuple, kwargs: dict[str, Any], output: object
    ) -> None:
        tensor = first_tensor(output)
        if tensor is not None:
            found[name] = Call(args, kwargs, tensor)

    with ExitStack() as hooks:
        for name, module in modules.items():
            hook = partial(note, name)
            hooks.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        yield found


@torch.no_grad()
def recurrent_spectrum(module: nn.RNNBase, x: Tensor, steps: int) -> RecurrentSpectrum:
    """Spectra of a recurrent layer on what it reads.

    Args:
        module: One layer, one direction, no projection; float64.
        x: ``(T, C)``, without padding, T >= 2.
        steps: S, for how many steps singular values are found, spread over the chain.

    Returns:
        Singular values and exponents. Refuses what `recurrent` refuses.
    """
    maps = recurrent(module, x)
    double = isinstance(module, nn.LSTM)
    start = x.new_zeros(module.hidden_size * (1 + double))
    states = follow(maps, start)
    T, n = len(maps), len(start)
    places = torch.linspace(0, T - 1, min(steps, T)).round().long().tolist()
    singular = [torch.linalg.svdvals(dense_jacobian(maps[t], states[t])) for t in places]
    transient = min(TRANSIENT, T // 2)
    return RecurrentSpectrum(
        torch.stack(singular), exponents(maps, states, transient, min(EXPONENTS, n))
    )


def dense_jacobian(step: Map, state: Tensor) -> Tensor:
    """``(n,) -> (n, n)``: the Jacobian of a map of ``(..., n)``, all columns at once."""
    n = len(state)
    directions = torch.eye(n, dtype=state.dtype)
    return torch.func.jvp(step, (state.expand(n, n).clone(),), (directions,))[1].mT


def block_jacobian(block: nn.Module, call: Call, residue: int) -> Tensor:
    """What a block hands on at one residue, by what it is given at any.

    Args:
        block: Called as noted, with the vectors ``(1, L, C)`` first.
        call: The noted call.
        residue: i.

    Returns:
        ``(C, L, C)``: output channel of residue i, by residue and channel of the input.
    """
    with torch.enable_grad():
        x = call.args[0].detach().requires_grad_()
        output = first_tensor(block(x, *call.args[1:], **call.kwargs))
        assert output is not None
        row = output[0, residue]
        units = torch.eye(len(row)).to(row)
        pulled = [torch.autograd.grad(row, x, unit, retain_graph=True)[0][0] for unit in units]
    return torch.stack(pulled)


def block_spectrum(block: nn.Module, call: Call, residue: int) -> tuple[Tensor, Tensor]:
    """Of one residue i: the singular values of J_ii, and the norms of J_ij by distance.

    Args:
        block: As for `block_jacobian`.
        call: As for `block_jacobian`.
        residue: i.

    Returns:
        ``(C,)`` falling, and ``(L,)``: root mean square of ``|J_ij|_F`` for |i - j| = 0 ... L-1,
        NaN where no residue is. Both float64.
    """
    jacobian = block_jacobian(block, call, residue).double()
    norms = jacobian.square().sum(dim=(0, 2)).sqrt()
    places = torch.arange(len(norms))
    real = torch.ones(len(norms), dtype=torch.bool)
    curve = rms_by_distance(norms[None], real, places, torch.tensor([residue]))
    return torch.linalg.svdvals(jacobian[:, residue]), curve


def decades(exponent: float) -> float:
    """Of a Lyapunov exponent: from natural to decimal logarithm."""
    return exponent / math.log(10)
