"""By what does one step of a trained encoder multiply a gradient? The spectra of its Jacobians.

Of a recurrent layer a step is a residue, and of its Jacobian ``D_t = d state_t / d state_{t-1}``
(for an LSTM the state is h and c) two things are told:

    singular values of D_t      what one step does: none above 1 lets no gradient grow
    Lyapunov exponents          what many do: |D_T ... D_1| goes as exp(mu_1 T)

In long chains mu_1 / ln 10 is the slope of the costates' curve, in decades per residue. Of a
residual block, which sees all residues at once, a step is the block: ``J_ij = d output_i / d
input_j`` has, for j = i, its singular values, and for others the norm that is handed over in one
step, by distance.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from protcontact.gradflow.distance import rms_by_distance
from protcontact.gradflow.layers import plain_name
from protcontact.gradflow.lyapunov import exponents
from protcontact.gradflow.recurrence import why_refused
from protcontact.gradflow.systems import Map, follow, recurrent
from protcontact.gradflow.taps import first_tensor

TRANSIENT = 10  # steps in which the directions turn into those of the largest exponents
EXPONENTS = 8
MORE = 4  # directions that are followed, too, as one that falls behind at first may win


class Call(NamedTuple):
    """A call of a module.

    Attributes:
        args: Its arguments; those that have a place of their own are here, even if named.
        kwargs: The others.
        returned: What it returned.
        output: The tensor in it.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    returned: Any
    output: Tensor


class RecurrentSpectrum(NamedTuple):
    """Of one layer and direction on one chain; n is the width of its state.

    Attributes:
        singular: ``(S, n)``, singular values of the Jacobians of S steps, falling.
        exponents: ``(k,)``, the largest Lyapunov exponents, falling, natural logarithm per residue.
            Of long chains: of short ones they are what the directions have met so far.
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
            bound = inspect.signature(module.forward).bind(*args, **kwargs)
            found[name] = Call(bound.args, bound.kwargs, output, tensor)

    with ExitStack() as hooks:
        for name, module in modules.items():
            hook = partial(note, name)
            hooks.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        yield found


def sequence_of(module: nn.RNNBase, call: Call) -> tuple[Tensor, Tensor]:
    """What a recurrence of one layer and direction has read, and the state that it began with.

    Args:
        module: The recurrence; `refusal` must have nothing to say of the call.
        call: With a batch of one.

    Returns:
        ``(T, C)``, and ``(n,)``: for an LSTM (h, c).
    """
    x = of_one(module, call.args[0])
    initial = call.args[1] if len(call.args) > 1 else None
    if initial is None:
        return x, x.new_zeros(module.hidden_size * (1 + isinstance(module, nn.LSTM)))
    states = (initial,) if isinstance(initial, Tensor) else initial
    return x, torch.cat([state.detach().flatten() for state in states])


def of_one(module: nn.RNNBase, values: Tensor) -> Tensor:
    """Detached, ``(1, T, C)`` or ``(T, 1, C)`` to ``(T, C)``."""
    return (values[0] if module.batch_first else values[:, 0]).detach()


def cotangents_of(module: nn.RNNBase, output: Tensor, last: Tensor) -> Tensor:
    """``(T, H)``: what is sent to h at each step, by the gradients of a module's output and h_n."""
    sent = of_one(module, output).clone()
    sent[-1] += last.flatten()
    return sent


def refusal(module: nn.RNNBase, call: Call) -> str | None:
    """Why a call of a recurrence is not measured, and what to do about it; None if it is."""
    return why_refused(module, call.args[0])


@torch.no_grad()
def recurrent_spectrum(
    module: nn.RNNBase, x: Tensor, start: Tensor, steps: int
) -> RecurrentSpectrum:
    """Spectra of a recurrent layer on what it reads.

    Args:
        module: One layer, one direction, no projection; float64.
        x: ``(T, C)``, without padding.
        start: ``(n,)``, the state that it begins with.
        steps: S, for how many steps singular values are found, spread over the chain.

    Returns:
        Singular values and exponents. Refuses what `recurrent` refuses.
    """
    maps = recurrent(module, x)
    states = follow(maps, start)
    T, count = len(maps), min(EXPONENTS, len(start))
    places = torch.linspace(0, T - 1, min(steps, T)).round().long().tolist()
    singular = [torch.linalg.svdvals(dense_jacobian(maps[t], states[t])) for t in places]
    found = exponents(maps, states, min(TRANSIENT, T // 2), min(count + MORE, len(start)))
    falling = found.sort(descending=True).values
    return RecurrentSpectrum(torch.stack(singular), falling[:count])


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
