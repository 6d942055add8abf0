"""The smallest task that needs a memory: say at the end which letter stood at the beginning.

The first residue is one of a few letters that stand nowhere else; all others are drawn from the
rest. A network that answers right above chance carries something from the first residue to the
last, and can only have learnt it from a gradient that came the whole way back.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from protcontact.gradflow.taps import first_tensor

LETTERS = 20


class Task(NamedTuple):
    """What is to be remembered, and for how long.

    Attributes:
        kinds: Letters that may stand at the beginning: chance is one in `kinds`.
        shortest: Residues of the shortest chain.
        longest: Residues of the longest.
        chains: Of a batch, all of one length.
    """

    kinds: int = 4
    shortest: int = 2
    longest: int = 32
    chains: int = 32

    def draw(self, length: int | None = None) -> tuple[Tensor, Tensor]:
        """``(B, L)`` letters, and ``(B,)`` which stood at the beginning."""
        drawn = int(torch.randint(self.shortest, self.longest + 1, ()))
        L = drawn if length is None else length
        letters = torch.randint(self.kinds, LETTERS, (self.chains, L))
        letters[:, 0] = torch.randint(0, self.kinds, (self.chains,))
        return letters, letters[:, 0].clone()


class Reader(nn.Module):
    """An embedding, a network ``(B, L, C) -> (B, L, C)``, and an answer from the last residue."""

    def __init__(self, network: nn.Module, channels: int, kinds: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, channels)
        self.network = network
        self.answer = nn.Linear(channels, kinds)

    def forward(self, letters: Tensor) -> Tensor:
        """``(B, L) -> (B, kinds)`` logits."""
        y = first_tensor(self.network(self.embedding(letters)))
        assert y is not None
        return self.answer(y[:, -1])


def train(reader: Reader, task: Task, steps: int, lr: float = 5e-3) -> None:
    """Train with Adam, gradients clipped to a norm of 1."""
    optimizer = torch.optim.Adam(reader.parameters(), lr=lr)
    for _ in range(steps):
        letters, truth = task.draw()
        loss = functional.cross_entropy(reader(letters), truth)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def accuracy(reader: Reader, task: Task, length: int, batches: int = 8) -> float:
    """Share of right answers on fresh chains of a length."""
    right = []
    for _ in range(batches):
        letters, truth = task.draw(length)
        right.append((reader(letters).argmax(dim=1) == truth).double().mean())
    return float(torch.stack(right).mean())
