"""What does a network cost on a chain of L residues: operations, and memory for its gradient?

Both are counted, not timed, so they are the same on every machine: multiplications and additions of
matrix products by torch's own counter, and the bytes that the forward pass keeps for the backward
pass, by autograd's hooks.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


def floating_operations(function: Callable[[], object]) -> int:
    """Operations in the matrix products of a forward pass; what is fused may not be counted.

    On a processor that is so for LSTMs in float32 and fused attention; not in float64, and not for
    attention whose maps are shown.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


def saved_bytes(function: Callable[[], Tensor]) -> int:
    """Bytes kept for the backward pass, each piece of memory once.

    Weights, and all else that is there before the pass and wants a gradient, are not counted.

    Args:
        function: A forward pass, whose output is dropped after the count.
    """
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        leaf = tensor if tensor._base is None else tensor._base
        if not (leaf.is_leaf and leaf.requires_grad):
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda held: held):
        output = function()
        total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del output
    return total


def polynomial(lengths: tuple[int, ...], costs: tuple[int, ...]) -> Callable[[int], float]:
    """The polynomial in L through as many points as are given: exact for counts that are one."""
    x = torch.tensor(lengths, dtype=torch.float64) / lengths[0]
    powers = torch.stack([x**k for k in range(len(lengths))], dim=1)
    factors = torch.linalg.solve(powers, torch.tensor(costs, dtype=torch.float64))
    return lambda L: float(sum(c * (L / lengths[0]) ** k for k, c in enumerate(factors.tolist())))


class LiveTensors(TorchDispatchMode):
    """Counts the tensors of one shape that are made in here and exist at once.

    Args:
        shape: Of what is counted.

    Attributes:
        most: The most so far.
    """

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape = shape
        self.most = 0
        self._alive = 0

    def _gone(self) -> None:
        self._alive -= 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and watch what it makes."""
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, Tensor) and tensor.shape == self.shape:
                self._alive += 1
                self.most = max(self.most, self._alive)
                weakref.finalize(tensor, self._gone)
        return made
