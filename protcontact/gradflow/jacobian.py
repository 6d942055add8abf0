"""On whose residue does what a model says of residue i depend? The Jacobian as a contact map.

A model of sequences that has learnt which residues constrain each other shows it in its Jacobian:
for a Gaussian graphical model it *is* the couplings (`couplings`), and of a protein language model
it is a contact map. A contact model returns no letters, so what it says of residue i is here one of

    y_i            the encoder's output at i, C numbers
    logit_i.       its row of the map of logits, L numbers

and the entry of residues i and j is how much that changes with residue j, infinitesimally with its
input vector x_j (what the embedding makes of its letter), or by putting another letter there:

    |d y_i / d x_j|_F          sqrt(sum_k |d logit_ik / d x_j|^2)
    sqrt(mean_b |y_i(s_j -> b) - y_i(s)|^2),  b one of the 20 letters: the categorical Jacobian

The last two are not the same thing: a letter is no small step. None is symmetric; `as_contacts`
makes contact maps of them, by symmetrisation and average-product correction.

For random signs r, ``E |J_ij^T r|^2 = |J_ij|_F^2`` (Hutchinson 1990), so a few backward passes for
each residue i are enough for all j.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from protcontact.errors import InputError
from protcontact.gradflow.inputs import input_of
from protcontact.gradflow.untouched import untouched
from protcontact.models.contract import ContactModel, Encoder
from protcontact.models.pairing import average_product_correction, symmetrize
from protcontact.structure.alphabet import UNKNOWN

LETTERS = range(UNKNOWN)  # the 20
BUDGET = 1 << 21  # outputs that are computed at once: 100 residues, 200 channels, 100 mutants


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model says at each residue, as a function of the letters of a chain.

    Attributes:
        model: All that runs; in eval mode while it does, and left as it was.
        encoder: Whose input vectors are asked.
        read: ``(B, L) tokens -> (B, L, M)``.
    """

    model: nn.Module
    encoder: Encoder
    read: Callable[[Tensor], Tensor]


def encoder_outputs(encoder: Encoder, index: Tensor) -> Outputs:
    """The vectors y_i, M = C.

    Args:
        encoder: The encoder.
        index: ``(L,)``, place of each residue in its full sequence.
    """

    def read(tokens: Tensor) -> Tensor:
        return encoder(tokens, torch.ones_like(tokens, dtype=torch.bool), index.expand_as(tokens))

    return Outputs(encoder, encoder, read)


def logit_outputs(model: ContactModel, index: Tensor) -> Outputs:
    """The rows of the map of logits, M = L.

    Args:
        model: Encoder and any head.
        index: ``(L,)``, place of each residue in its full sequence.
    """
    below = encoder_outputs(model.encoder, index)

    def read(tokens: Tensor) -> Tensor:
        real = torch.ones_like(tokens, dtype=torch.bool)
        return model.head(below.read(tokens), real, index.expand_as(tokens))

    return Outputs(model, model.encoder, read)


def jacobian_map(
    outputs: Outputs,
    tokens: Tensor,
    probes: int,
    generator: torch.Generator,
    advance: Callable[[], None] = lambda: None,
) -> Tensor:
    """Frobenius norms of the Jacobian's blocks, by random signs.

    Args:
        outputs: What is differentiated.
        tokens: ``(L,)``, one chain without padding.
        probes: Backward passes for each residue. The error of a squared norm is at most
            ``sqrt(2 / probes)`` of it.
        generator: Draws the signs.
        advance: Told after each residue.

    Returns:
        ``(L, L)`` float64: entry (i, j) is output i by input j. Refuses what `jacobian_blocks`
        refuses.
    """
    squares = []
    with _run(outputs, tokens) as (y, leaf):
        for row in y:
            shape = (probes, *row.shape)
            signs = 2 * torch.randint(0, 2, shape, generator=generator).to(row) - 1
            found = [_pull(row, leaf, r) for r in signs]
            squares.append(torch.stack(found).double().square().sum(dim=-1).mean(dim=0))
            advance()
    return torch.stack(squares).sqrt()


def jacobian_blocks(outputs: Outputs, tokens: Tensor) -> Tensor:
    """All of the Jacobian, one output at a time: for short chains, and to check against.

    Args:
        outputs: What is differentiated.
        tokens: ``(L,)``, one chain without padding.

    Returns:
        ``(L, M, L, C)``, output i by input vector j. A model without input vectors is an
        InputError.
    """
    with _run(outputs, tokens) as (y, leaf):
        units = torch.eye(y.shape[1]).to(y)
        return torch.stack([torch.stack([_pull(row, leaf, r) for r in units]) for row in y])


def pull_back(outputs: Outputs, tokens: Tensor, cotangents: Tensor) -> Tensor:
    """The transposed Jacobian times some vectors, without forming it.

    Args:
        outputs: What is differentiated.
        tokens: ``(L,)``, one chain without padding.
        cotangents: ``(N, L, M)``, of the outputs.

    Returns:
        ``(N, L, C)``, of the input vectors. Refuses what `jacobian_blocks` refuses.
    """
    with _run(outputs, tokens) as (y, leaf):
        return torch.stack([_pull(y, leaf, cotangent) for cotangent in cotangents])


@torch.no_grad()
def categorical_map(
    outputs: Outputs,
    tokens: Tensor,
    budget: int = BUDGET,
    advance: Callable[[], None] = lambda: None,
) -> Tensor:
    """Root mean square change of each output by putting each of the 20 letters at each residue.

    Args:
        outputs: What changes.
        tokens: ``(L,)``, one chain without padding.
        budget: Numbers ``B * L * M`` of outputs that are computed at once, for B mutants.
        advance: Told after each residue.

    Returns:
        ``(L, L)`` float64: entry (i, j) is output i by letter j. The letter that is there counts as
        one of the 20, with a change of 0.
    """
    L = len(tokens)
    squares = []
    with untouched(outputs.model), torch.no_grad():
        before = outputs.read(tokens[None])
        at_once = max(budget // before.numel(), 1)
        for j, letter in enumerate(tokens.tolist()):
            others = torch.tensor([b for b in LETTERS if b != letter], device=tokens.device)
            total = torch.zeros(L, dtype=torch.float64, device=tokens.device)
            for part in others.split(at_once):
                mutants = tokens.repeat(len(part), 1)
                mutants[:, j] = part
                total += (outputs.read(mutants) - before).double().square().sum(dim=(0, 2))
            squares.append(total / len(LETTERS))
            advance()
    return torch.stack(squares, dim=1).sqrt()


def as_contacts(values: Tensor) -> Tensor:
    """``(L, L) -> (L, L)``: symmetric, without what each residue has in common with all others.

    What a residue depends on itself is left out, as it would outweigh its row.
    """
    hollow = values - torch.diag(values.diagonal())
    return average_product_correction(symmetrize(hollow))


@contextmanager
def _run(outputs: Outputs, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Run the model on a chain.

    Yields:
        Its outputs ``(L, M)`` and the zero ``(1, L, C)`` that was added to its input.

    Raises:
        InputError: If no input was found, or the outputs do not depend on it.
    """
    with untouched(outputs.model), input_of(outputs.encoder, (1, len(tokens))) as found:
        y = outputs.read(tokens[None])[0]
        if not found or not y.requires_grad:
            raise InputError(
                f"no submodule of {type(outputs.encoder).__name__} returns vectors "
                "(B, L, channels) that the output depends on, so there is no Jacobian"
            )
        yield y, found[0]


def _pull(y: Tensor, leaf: Tensor, cotangent: Tensor) -> Tensor:
    """``(...), (1, L, C), (...) -> (L, C)``."""
    [found] = torch.autograd.grad(y, leaf, cotangent, retain_graph=True, materialize_grads=True)
    return found[0]
