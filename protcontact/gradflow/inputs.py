"""What does an encoder read, once letters have become vectors?

Letters have no gradient; the vectors that they become do. These are the first ``(B, L, C)`` of
floating point that a submodule of the encoder returns, as an embedding does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from protcontact.errors import InputError
from protcontact.models.encoders.ensemble import EncoderEnsemble


@contextmanager
def input_of(
    encoder: nn.Module, shape: tuple[int, int], shift: Tensor | None = None
) -> Iterator[list[Tensor]]:
    """Add something to the input vectors.

    Args:
        encoder: Has an embedding, or anything that returns such vectors.
        shape: B and L.
        shift: ``(B, L, C)``, what is added; by default a zero whose gradient is that of the input.

    Yields:
        What was added and the vectors as they were, once the encoder has run.
    """
    found: list[Tensor] = []

    def add(vectors: Tensor) -> Tensor:
        added = torch.zeros_like(vectors, requires_grad=True) if shift is None else shift
        found.extend([added, vectors.detach()])
        return vectors + added

    with _changed(encoder, shape, add):
        yield found


class OnVectors(nn.Module):
    """An encoder that reads vectors in place of letters, so that it can be asked for a gradient.

    Args:
        encoder: Any of the package.
        more: Further arguments of its forward pass.
    """

    def __init__(self, encoder: nn.Module, **more: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, C) -> (B, L, C)``, whole chains without padding."""
        letters = torch.zeros(x.shape[:2], dtype=torch.int64, device=x.device)
        B, L = letters.shape
        with _changed(self.encoder, (B, L), lambda vectors: x):
            return self.encoder(letters, letters == 0, **self.more)


@contextmanager
def _changed(
    encoder: nn.Module, shape: tuple[int, int], change: Callable[[Tensor], Tensor]
) -> Iterator[None]:
    """Put something in the place of the input vectors, once.

    Raises:
        InputError: If there is more than one input.
    """
    done: list[bool] = []

    def hook(module: nn.Module, inputs: object, output: object) -> Tensor | None:
        if done or not isinstance(output, Tensor) or not output.is_floating_point():
            return None
        if output.ndim != 3 or output.shape[:2] != shape:
            return None
        done.append(True)
        return change(output)

    if isinstance(encoder, EncoderEnsemble) and len(encoder.members) > 1:
        raise InputError(
            "an ensemble has an input for each member; look at the members' own checkpoints"
        )
    parts = [module for module in encoder.modules() if module is not encoder]
    handles = [module.register_forward_hook(hook) for module in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
