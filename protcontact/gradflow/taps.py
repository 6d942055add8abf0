"""What gradient arrives at the activations of each block?

The gradient of the loss with respect to an activation is its costate: what the loss would change
by, to first order, if the activation did. Hooks on the activations see it in the backward pass.
They are put there in the forward pass of the measured step only, and an activation that
checkpointing computes twice is seen once, as only one of the two has a backward pass.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from protcontact.gradflow.layers import block_of, norms, plain_name, widest
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe


def blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The modules behind the blocks of a model, in the order of ``named_parameters()``.

    A layer of a recurrence that keeps its layers in one module stands for that module.
    """
    modules: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        modules.setdefault(plain_name(name), module)  # of a wrapper and what it holds, the wrapper
    found = {}
    for name, _ in model.named_parameters():
        block = block_of(plain_name(name))
        while block not in modules:
            block = block.rpartition(".")[0]
        if block:
            found[block] = modules[block]
    return found


def first_tensor(output: object) -> Tensor | None:
    """The tensor that a module hands on: its output, or the first of several."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, tuple | list):
        return next((found for part in output if (found := first_tensor(part)) is not None), None)
    return None


class Costates(StepProbe):
    """Norm and rms of the costate of what each block hands on: ``costate/<block>/{norm, rms}``.

    Accumulated batches count as one batch. Each rank has its own activations, as each has its own
    batch: with N ranks the costates are those of the mean of N losses, put together at the gather.
    Blocks that nothing came back to are left out.
    """

    def __init__(self) -> None:
        self._squares: dict[str, Tensor] = {}
        self._sizes: dict[str, int] = {}
        self._names: tuple[str, ...] = ()

    @contextmanager
    def attach(self, model: nn.Module) -> Iterator[None]:
        """Put hooks on the blocks."""
        watched = blocks(model)
        self._squares, self._sizes, self._names = {}, {}, tuple(watched)
        with ExitStack() as hooks:
            hooks.callback(self.forget)
            for name, module in watched.items():
                hooks.callback(module.register_forward_hook(partial(self._tap, name)).remove)
            yield

    def forget(self) -> None:
        """Drop what has come back."""
        self._squares, self._sizes, self._names = {}, {}, ()

    def _tap(self, name: str, module: nn.Module, inputs: object, output: object) -> None:
        tensor = first_tensor(output)
        if tensor is not None and tensor.requires_grad:
            tensor.register_hook(partial(self._add, name))

    def _add(self, name: str, costate: Tensor) -> None:
        square = square_sum(costate)
        self._squares[name] = self._squares[name] + square if name in self._squares else square
        self._sizes[name] = self._sizes.get(name, 0) + costate.numel()

    def before_update(self, step: Step) -> list[Pending]:
        """Hand out what the backward pass has left: the same names on every rank."""
        if not self._names:
            return []
        names, ranks = self._names, step.ranks
        device = step.parameters.tensors[0].device
        zero = torch.zeros((), dtype=widest(device), device=device)
        squares = torch.stack([self._squares.get(name, zero) for name in names])
        sizes = torch.stack([torch.full_like(zero, self._sizes.get(name, 0)) for name in names])

        def read(rows: Tensor) -> Findings:
            squared, elements = rows.view(len(rows), 2, -1).sum(dim=0)
            squared = squared / ranks**2
            found = zip(names, squared.tolist(), elements.tolist(), strict=True)
            scalars: dict[str, float] = {}
            for name, total, count in found:
                if count > 0:
                    scalars[f"costate/{name}/norm"] = math.sqrt(total)
                    scalars[f"costate/{name}/rms"] = math.sqrt(total / count)
            return Findings(scalars)

        values = torch.cat([squares / step.loss_scale**2, sizes])
        return [Pending(values, read, joined=ranks > 1)]


def square_sum(tensor: Tensor) -> Tensor:
    """Sum of squares, a float64 scalar: in float32 the square of a vanished costate is 0."""
    return norms([tensor])[0] ** 2


class IdentityShare(StepProbe):
    """Which share of a residual block's costate comes back by the identity?

    For ``y = x + f(x)`` the costates obey ``lambda_x = lambda_y + J_f^T lambda_y``. The share
    ``|lambda_y| / (|lambda_y| + |J_f^T lambda_y|)`` is 1 where the block does nothing, 1/2 where
    both paths bring the same. Logged as ``resnet/<block>/identity_share`` for every module with a
    true attribute ``residual`` whose first input has the shape of its output. Not for one that adds
    in place.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}

    @contextmanager
    def attach(self, model: nn.Module) -> Iterator[None]:
        """Put hooks on the residual blocks."""
        self._sums = {}
        with ExitStack() as hooks:
            for name, module in model.named_modules():
                if getattr(module, "residual", False) is True:
                    tap = _ResidualTap(partial(self._add, plain_name(name)))
                    hooks.callback(module.register_forward_pre_hook(tap.enter).remove)
                    hooks.callback(module.register_forward_hook(tap.leave).remove)
            hooks.callback(self.forget)
            yield

    def forget(self) -> None:
        """Drop what has come back."""
        self._sums = {}

    def _add(self, name: str, identity: Tensor, branch: Tensor) -> None:
        before = self._sums.get(name)
        self._sums[name] = (
            (identity, branch) if before is None else (before[0] + identity, before[1] + branch)
        )

    def before_update(self, step: Step) -> list[Pending]:
        """Hand out the sums of squares of both paths."""
        names = tuple(self._sums)
        if not names:
            return []

        def read(rows: Tensor) -> Findings:
            identity, branch = rows.view(len(names), 2).sqrt().unbind(dim=1)
            share = (identity / (identity + branch)).tolist()
            return Findings(
                {f"resnet/{n}/identity_share": v for n, v in zip(names, share, strict=True)}
            )

        return [Pending(torch.stack([torch.stack(self._sums[n]) for n in names]), read)]


class _ResidualTap:
    """Compares the costate of a block's output with that of its input.

    The input passes through an alias, so that what other readers of it send back is not counted.
    """

    def __init__(self, add: Callable[[Tensor, Tensor], None]) -> None:
        self._add = add
        self._input: Tensor | None = None

    def enter(self, module: nn.Module, inputs: tuple[object, ...]) -> tuple[object, ...] | None:
        if not inputs:
            return None
        x, *rest = inputs
        if not isinstance(x, Tensor) or not x.requires_grad:
            return None
        self._input = x.view_as(x)
        return self._input, *rest

    def leave(self, module: nn.Module, inputs: object, output: object) -> None:
        x, self._input, y = self._input, None, first_tensor(output)
        if x is None or y is None or y is x or y.shape != x.shape:
            return
        if not y.requires_grad:
            return
        arrived: list[Tensor] = []
        y.register_hook(arrived.append)

        def compare(costate: Tensor) -> None:
            if not arrived:  # the gradient has come by another output
                return
            identity = arrived.pop()
            self._add(square_sum(identity), square_sum(costate - identity))

        x.register_hook(compare)
