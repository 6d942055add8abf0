"""How much does what the encoder says of one residue depend on another, by their distance?

The answer is the Jacobian block ``J_ij``, ``(C, C)``: the output at residue i by the input vector
of residue j. All of it would take L x C backward passes. For signs r drawn at random

    E |J_ij^T r|^2 = |J_ij|_F^2        as E r r^T = 1 (Hutchinson 1990)

so one backward pass gives an estimate for all j at once, and S residues i are asked at once as S
copies of the chain in one batch. A gradient that falls below the smallest normal float32, 1e-38, is
not told from one that is 0: the curve ends there and the slope is taken above it.
"""

import math

import torch
from torch import Tensor

from protcontact.gradflow.inputs import input_of
from protcontact.gradflow.layers import log_slope
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe
from protcontact.gradflow.untouched import subject, untouched
from protcontact.models.contract import Encoder
from protcontact.structure.alphabet import PADDING

FLOOR = torch.finfo(torch.float32).tiny
DROP = 1e-3


def distance_curve(
    encoder: Encoder, tokens: Tensor, index: Tensor, sources: Tensor, generator: torch.Generator
) -> Tensor:
    """Root mean square of ``|J_ij|_F`` over sources i and residues j, by distance.

    Args:
        encoder: Run in eval mode and left as it was.
        tokens: ``(L,)``, one chain; padding has no part.
        index: ``(L,)``, place of each residue in its full sequence.
        sources: ``(S,)`` int64, places in `tokens` of the residues i.
        generator: Draws the signs; on the device of `tokens`.

    Returns:
        ``(D,)`` float64 with D = L: for ``|i - j| = 0 ... D-1`` along `index`. NaN where no residue
        is at this distance from a source. Refuses what `dependence` refuses.
    """
    shape = (len(sources), encoder.out_channels)
    signs = torch.randint(0, 2, shape, generator=generator, device=generator.device) * 2 - 1
    norms = dependence(encoder, tokens, index, sources, signs)
    return rms_by_distance(norms, tokens != PADDING, index, sources)


def dependence(
    encoder: Encoder, tokens: Tensor, index: Tensor, sources: Tensor, cotangents: Tensor
) -> Tensor:
    """``|J_ij^T r_i|`` for each source i and each residue j, by one backward pass.

    The input is the first ``(B, L, channels)`` that a submodule of the encoder returns, as an
    embedding does.

    Args:
        encoder: Run in eval mode and left as it was.
        tokens: ``(L,)``, one chain.
        index: ``(L,)``, place of each residue in its full sequence.
        sources: ``(S,)`` int64, places in `tokens` of the residues i.
        cotangents: ``(S, C)``, of the encoder's outputs at the sources.

    Returns:
        ``(S, L)`` float64.

    Raises:
        ValueError: If shapes disagree, or no submodule returns such an input, or the output does
            not depend on it.
    """
    S, L = len(sources), len(tokens)
    if tokens.ndim != 1 or index.shape != tokens.shape:
        raise ValueError(
            "tokens and index must be (L,) of one chain, "
            f"not {tuple(tokens.shape)} and {tuple(index.shape)}"
        )
    copies = tokens.repeat(S, 1)
    with untouched(encoder), input_of(encoder, (S, L)) as inputs:
        y = encoder(copies, copies != PADDING, index.repeat(S, 1))
        if not inputs or not y.requires_grad:
            raise ValueError(
                f"no submodule of {type(encoder).__name__} returns vectors (B, L, channels) that "
                "the output depends on; leave this probe out"
            )
        here = torch.arange(L, device=tokens.device) == sources[:, None]
        (answer,) = torch.autograd.grad(
            y, inputs[0], cotangents[:, None].to(y.dtype) * here[..., None]
        )
    return torch.linalg.vector_norm(answer, dim=-1, dtype=torch.float64)


def rms_by_distance(values: Tensor, real: Tensor, index: Tensor, sources: Tensor) -> Tensor:
    """Root mean square over all pairs of a source and a residue at each distance.

    Args:
        values: ``(S, L)``, for each source and residue.
        real: ``(L,)`` bool, False at padding.
        index: ``(L,)``, place of each residue in its full sequence.
        sources: ``(S,)`` int64, places of the sources among the L.

    Returns:
        ``(L,)`` float64 for distances 0 ... L-1; NaN at those that nobody is at. Pairs farther
        apart, as in a crop of two windows, have no part.
    """
    L = len(index)
    distance = (index - index[sources][:, None]).abs().masked_fill(~real, L).clamp(max=L)
    squares = values.double().flatten() ** 2
    sums = squares.new_zeros(2, L + 1)
    sums.index_add_(1, distance.flatten(), torch.stack([squares, torch.ones_like(squares)]))
    total, count = sums[:, :L]
    return (total / count).sqrt()


def spread_evenly(length: Tensor, count: int) -> Tensor:
    """``(count,)`` int64: places in a chain from its first residue to its last.

    Args:
        length: ``()`` int64, number of residues.
        count: Number of places; with more than there are residues some come twice.
    """
    steps = torch.arange(count, device=length.device)
    return (steps * (length - 1) / max(count - 1, 1)).round().long()


def read_curve(curve: Tensor) -> Findings:
    """What a curve that has been copied to the host says; nothing if it is not finite.

    Args:
        curve: ``(D,)`` float64, from `distance_curve`.
    """
    values = curve.tolist()
    while values and math.isnan(values[-1]):
        values.pop()
    if not values or not math.isfinite(values[0]):
        return Findings()
    floored = [max(value, FLOOR) for value in values]  # NaN stays: a distance that nobody is at
    shares = [value / floored[0] for value in floored]
    far = (distance for distance, share in enumerate(shares) if share < DROP)
    scalars = {"dist/reach_1e-3": float(next(far, len(shares)))}
    slope = log_slope(value if value > FLOOR else 0.0 for value in values)
    if math.isfinite(slope):
        scalars["dist/slope_log10_per_residue"] = slope
    return Findings(scalars, {"dist/curve": [math.log10(share) for share in shares]})


class DistanceCurve(StepProbe):
    """How far along the chain the encoder looks, on the longest chain of a batch.

    Logs the curve ``dist/curve``, log10 of the rms norm by distance over that at distance 0,
    ``dist/slope_log10_per_residue``, its slope by least squares, and ``dist/reach_1e-3``, the first
    distance at which less than a thousandth is left: the number of distances if there is none.
    Looks at a chain of this rank, with the weights after the update, without dropout and autocast.
    The signs are the same each time, so that the curve changes only where the model does.

    Args:
        sources: S, residues asked, spread evenly from end to end.
        longest: Residues of a longer chain that are looked at, from its beginning.
        seed: Of the signs.

    Raises:
        ValueError: If `sources` or `longest` is below 1.
    """

    runs_model = True

    def __init__(self, sources: int = 8, longest: int = 512, seed: int = 0) -> None:
        if min(sources, longest) < 1:
            raise ValueError(f"sources and longest must be >= 1, not {sources} and {longest}")
        self.sources = sources
        self.longest = longest
        self.seed = seed

    def after_update(self, step: Step) -> list[Pending]:
        """One forward and backward pass of the encoder, on copies of one chain."""
        found = subject(step, self)
        row = found.batch.mask.sum(dim=1).argmax().view(1)
        tokens = found.batch.tokens.index_select(0, row)[0, : self.longest]
        index = found.batch.index.index_select(0, row)[0, : self.longest]
        sources = spread_evenly((tokens != PADDING).sum(), self.sources)
        generator = torch.Generator(tokens.device).manual_seed(self.seed)
        curve = distance_curve(found.encoder, tokens, index, sources, generator)
        return [Pending(curve, lambda rows: read_curve(rows[0]))]
